"""Permissions: what the identity of an access token may do.

Account credentials (REST) and the host project's own code may do everything. For token
identities ``SYNC_STREAMS["AUTHORIZE"]`` decides, if it is set, and a Service with
``acl_enabled`` has its Streams created with account credentials only. See
https://www.twilio.com/docs/sync/identity-and-access-control.
"""

import logging
from collections.abc import Callable
from typing import Any, Literal

from asgiref.sync import async_to_sync, iscoroutinefunction
from channels.db import database_sync_to_async
from django.utils.module_loading import import_string

from .announcements import Cause
from .conf import get_settings
from .errors import AccessForbidden
from .models import Service, Stream

logger = logging.getLogger(__name__)

Action = Literal["subscribe", "publish", "create", "remove"]
"""What is asked for; a new TTL needs ``remove``, for it may end a Stream at once."""

Target = Stream | str | None
"""The Stream, or for ``create`` its unique name, if it is to have one."""


def authorize(cause: Cause, action: Action, target: Target) -> None:
    """Let an action pass, or not.

    Raises:
        AccessForbidden: 54007, the hook says no, or fails.
    """
    if not is_allowed(cause, action, target):
        raise AccessForbidden


def authorize_creation(cause: Cause, service: Service, unique_name: str | None) -> None:
    """Let a Stream be created, or not.

    Raises:
        AccessForbidden: 54007, of an access token: the Service has ``acl_enabled``,
            or the hook says no.
    """
    if service.acl_enabled and not cause.is_trusted:
        raise AccessForbidden
    authorize(cause, "create", unique_name)


async def aauthorize(cause: Cause, action: Action, target: Target) -> None:
    """Do as :func:`authorize` does; only a hook costs a thread."""
    if get_settings().authorize and not cause.is_trusted:
        ask = database_sync_to_async(authorize, thread_sensitive=False)
        await ask(cause, action, target)


def is_allowed(cause: Cause, action: Action, target: Target) -> bool:
    """Tell whether an action may pass; a hook that fails says no."""
    path = get_settings().authorize
    if not path or cause.is_trusted:
        return True
    try:
        hook = import_string(path) if isinstance(path, str) else path
        return _call(hook, cause.identity, action, target)
    except Exception:
        logger.exception("%s failed; %s is refused", path, action)
        return False


def _call(
    hook: Callable[..., Any], identity: str, action: Action, target: Target
) -> bool:
    call = async_to_sync(hook) if iscoroutinefunction(hook) else hook
    return bool(call(identity, action, target))


def check_may_change(cause: Cause) -> None:
    """Let everybody change and publish but the holder of a read-only access token.

    Raises:
        AccessForbidden: 54007.
    """
    if cause.is_read_only:
        raise AccessForbidden
