"""Rules for ``SYNC_STREAMS["AUTHORIZE"]``: what access tokens may do.

A rule is a function in the form that the setting expects. Combine rules with ``|``::

    # myproject/permissions.py
    may = own_streams("inbox-") | owned_objects("order-", orders_of)

Names are compared in full, code point by code point: ``al`` has no access to Streams of
``al-ice``, and ``*`` is an ordinary name. Anything that no rule allows is refused, and
so is every Stream without a unique name.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from asgiref.sync import markcoroutinefunction
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from .models import Stream
from .operations.permissions import Action, Target

WATCH: Collection[Action] = frozenset({"subscribe", "create"})
"""Open and read Streams: what a page needs if only the server publishes."""

EVERYTHING: Collection[Action] = frozenset({"subscribe", "publish", "create", "remove"})

Decide = Callable[[str, Action, str], bool]
"""Decides about an identity, an action, and the Stream's unique name."""


class Rule:
    """A function for ``AUTHORIZE``; ``a | b`` allows what either allows."""

    def __init__(self, decide: Decide, *, needs_thread: bool) -> None:
        """Create a rule from a function.

        Args:
            decide: makes the decision.
            needs_thread: whether it may wait, usually for the database. Other functions
                are called on the event loop, which saves a thread for each Message on a
                socket.
        """
        self._decide, self._needs_thread = decide, needs_thread
        if not needs_thread:
            markcoroutinefunction(self)

    def __call__(
        self, identity: str, action: Action, target: Target
    ) -> bool | Awaitable[bool]:
        """Return whether the identity may perform the action."""
        allowed = self.allows(identity, action, target)
        return allowed if self._needs_thread else _answer(allowed)

    def __or__(self, other: "Rule") -> "Rule":
        # Try rules that need no database first.
        first, second = sorted((self, other), key=lambda rule: rule._needs_thread)

        def decide(identity: str, action: Action, name: str) -> bool:
            return first._decide(identity, action, name) or second._decide(
                identity, action, name
            )

        return Rule(decide, needs_thread=second._needs_thread)

    def allows(self, identity: str, action: Action, target: Target) -> bool:
        """Return whether the identity may do the action; may query the database."""
        name = target.unique_name if isinstance(target, Stream) else target
        return bool(identity and name) and self._decide(identity, action, str(name))


def own_streams(
    prefix: str = "", *, separator: str = ":", actions: Collection[Action] = WATCH
) -> Rule:
    """Allow an identity its own Streams, named by the prefix and the identity.

    With ``own_streams("inbox-")``, ``alice`` may use ``inbox-alice`` and all of
    ``inbox-alice:…``. Every name belongs to one identity: the part up to the first
    separator. An identity that contains the separator has no Streams of its own.

    Args:
        prefix: the text before the identity.
        separator: the text after it, which no identity may contain.
        actions: the allowed actions, such as :data:`WATCH` or :data:`EVERYTHING`.

    Raises:
        ValueError: the separator is empty.
    """
    if not separator:
        raise ValueError("separator must not be empty")

    def decide(identity: str, action: Action, name: str) -> bool:
        owner, _, _ = name.removeprefix(prefix).partition(separator)
        return action in actions and name.startswith(prefix) and owner == identity

    return Rule(decide, needs_thread=False)


def named_streams(*names: str, actions: Collection[Action] = WATCH) -> Rule:
    """Allow every identity the Streams with these names."""

    def decide(_: str, action: Action, name: str) -> bool:
        return action in actions and name in names

    return Rule(decide, needs_thread=False)


def with_permission(
    permission: str, *names: str, actions: Collection[Action] = WATCH
) -> Rule:
    """Allow users with a Django permission the Streams with these names.

    The identity is the user's login name. Inactive users have no permissions.
    Permissions are read each time.

    Args:
        permission: for example ``"shop.view_order"``.
        *names: unique names, in full.
        actions: the allowed actions.
    """

    def decide(identity: str, action: Action, name: str) -> bool:
        return action in actions and name in names and _has(identity, permission)

    return Rule(decide, needs_thread=True)


def owned_objects(
    prefix: str,
    objects: Callable[[str], QuerySet[Any]],
    *,
    field: str = "pk",
    actions: Collection[Action] = WATCH,
) -> Rule:
    """Allow an identity the Streams of its objects.

    With ``owned_objects("order-", orders_of)``, ``alice`` may use ``order-7`` if the
    order with primary key 7 is among ``orders_of("alice")``.

    Args:
        prefix: the text before the object's key in a unique name.
        objects: returns the objects that the identity may access.
        field: the field that contains the key, which must match exactly: ``order-07``
            is not the Stream of order 7.
        actions: the allowed actions.
    """

    def decide(identity: str, action: Action, name: str) -> bool:
        if action not in actions or not name.startswith(prefix):
            return False
        key = name.removeprefix(prefix)
        return _is_among(objects(identity), field, key)

    return Rule(decide, needs_thread=True)


async def _answer(allowed: bool) -> bool:
    return allowed


def _has(identity: str, permission: str) -> bool:
    users = get_user_model()
    try:
        user: Any = users._default_manager.get_by_natural_key(identity)
    except (users.DoesNotExist, ValueError):
        return False
    # A custom user model or manager may compare names differently.
    return bool(user.get_username() == identity and user.has_perm(permission))


def _is_among(objects: QuerySet[Model], field: str, key: str) -> bool:
    try:
        found = list(objects.filter(**{field: key}).values_list(field, flat=True)[:1])
    except (ValueError, OverflowError, ValidationError):
        return False  # not a valid key: letters for a number, or half a UUID
    return [str(value) for value in found] == [key]
