"""Permissions: what the identity of an access token may do.

Account credentials (REST) and the host project's own code may do everything. For token
identities ``SYNC_STREAMS["AUTHORIZE"]`` decides, if it is set. In a Service with
``acl_enabled``, only account credentials can create Streams. See
https://www.twilio.com/docs/sync/identity-and-access-control.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import isawaitable
from typing import Any, Literal

from asgiref.sync import async_to_sync, iscoroutinefunction

from sync_streams.conf import get_settings, imported
from sync_streams.errors import AccessForbidden
from sync_streams.models import Service, Stream
from sync_streams.operations.databases import run

from .actor import Actor

logger = logging.getLogger(__name__)

Action = Literal["subscribe", "publish", "create", "remove"]
"""The requested action. A new TTL needs ``remove``, as it may end a Stream at once."""

Target = Stream | str | None
"""The Stream; for ``create``, its unique name, if any."""


def authorize(actor: Actor, action: Action, target: Target) -> None:
    """Check that the actor may perform an action.

    Raises:
        AccessForbidden: 54007, the hook denies it, or fails.
    """
    if not is_asked(actor):
        return
    with _failing_closed(action):
        answer = _hook()(actor.identity, action, target)
        _check(async_to_sync(_wait_for)(answer) if isawaitable(answer) else answer)


def authorize_creation(actor: Actor, service: Service, unique_name: str | None) -> None:
    """Check that the actor may create a Stream.

    Raises:
        AccessForbidden: 54007, it uses an access token and the Service has
            ``acl_enabled``, or the hook denies it.
    """
    if service.acl_enabled and not actor.is_trusted:
        raise AccessForbidden
    authorize(actor, "create", unique_name)


async def aauthorize(actor: Actor, action: Action, target: Target) -> None:
    """Async version of :func:`authorize`; an asynchronous hook needs no thread."""
    if not is_asked(actor):
        return
    with _failing_closed(action):
        hook = _hook()
        call = hook if iscoroutinefunction(hook) else partial(run, hook)
        answer = await call(actor.identity, action, target)
        _check(await answer if isawaitable(answer) else answer)


def check_may_change(actor: Actor) -> None:
    """Check that the actor may change and publish at all.

    Raises:
        AccessForbidden: 54007, its access token is read-only.
    """
    if actor.is_read_only:
        raise AccessForbidden


def is_asked(actor: Actor) -> bool:
    """Return whether the host project's hook must be called for the actor."""
    has_hook = bool(get_settings().authorize)
    return has_hook and not (actor.is_trusted or actor.is_observer)


def _hook() -> Callable[..., Any]:
    hook: Callable[..., Any] = imported(get_settings().authorize)
    return hook


def _check(answer: object) -> None:
    if not answer:
        raise AccessForbidden


async def _wait_for(answer: Awaitable[object]) -> object:
    return await answer


@contextmanager
def _failing_closed(action: Action) -> Iterator[None]:
    try:
        yield
    except AccessForbidden:
        raise
    except Exception as error:
        logger.exception("the AUTHORIZE hook failed; %s is refused", action)
        raise AccessForbidden from error
