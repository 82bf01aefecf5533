"""Hooks: callbacks of other parts for when a hub starts, or loses or gets events."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .events import Event

if TYPE_CHECKING:
    from .hub import Hub


@dataclass(slots=True)
class Hooks:
    """Callbacks of other parts, set by ``wiring``; all run on the hub's event loop."""

    started: list[Callable[[], None]] = field(default_factory=list)
    """Called when a hub starts to receive, before :func:`is_receiving` says so."""

    serving: list[Callable[[], None]] = field(default_factory=list)
    """Called when a hub starts to serve connections."""

    lost: list[Callable[[], None]] = field(default_factory=list)
    """Called when a hub may have missed events."""

    unreachable: list[Callable[[], None]] = field(default_factory=list)
    """Called when a hub stays unreachable for ``unreachable_timeout_seconds``."""

    stream_changed: list[Callable[[Event], None]] = field(default_factory=list)
    """Called with each event about a changed or removed Stream."""

    handlers: dict[str, "Callable[[Hub, Any], Coroutine[Any, Any, None]]"] = field(
        default_factory=dict
    )
    """Called with events that concern processes rather than a Stream, by type."""


hooks = Hooks()
