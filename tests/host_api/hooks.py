"""Hooks for ``SYNC_STREAMS["AUTHORIZE"]``; docs/permissions.md shows the first two."""

import asyncio

from django.contrib.auth import get_user_model

from sync_streams.models import Stream

asked: list[tuple[str, str, str | None]] = []
tasks: list[asyncio.Task[object] | None] = []


def by_group(identity: str, action: str, target: Stream | str | None) -> bool:
    """Allow everyone to subscribe, and the group "publishers" to do the rest."""
    if action == "subscribe":
        return True
    users = get_user_model().objects.filter(is_active=True, username=identity)
    return users.filter(groups__name="publishers").exists()


def by_name(identity: str, action: str, target: Stream | str | None) -> bool:
    """Allow an identity everything on Streams like ``alice:inbox``, its own."""
    name = target.unique_name if isinstance(target, Stream) else target
    owner, colon, _ = (name or "").partition(":")
    return bool(colon) and owner == identity


async def asynchronous(identity: str, action: str, target: Stream | str | None) -> bool:
    asked.append((identity, action, str(target) if target else None))
    tasks.append(asyncio.current_task())
    return action != "publish"


class Denying:
    """A hook that is asynchronous only by its return value."""

    async def __call__(
        self, identity: str, action: str, target: Stream | str | None
    ) -> bool:
        return False


denying_object = Denying()


async def failing_later(
    identity: str, action: str, target: Stream | str | None
) -> bool:
    raise ZeroDivisionError


def failing(identity: str, action: str, target: Stream | str | None) -> bool:
    raise ZeroDivisionError


def denying(identity: str, action: str, target: Stream | str | None) -> bool:
    return False
