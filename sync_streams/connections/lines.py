"""Queues of waiting items, one for each address; the addresses take turns."""

from collections import deque
from typing import TypeVar

T = TypeVar("T")


class Lines(dict[str, deque[T]]):
    """Waiting items by address; no queue is empty."""

    __slots__ = ()

    def length(self, address: str) -> int:
        """Return the number of waiting items of an address."""
        return len(self.get(address, ()))

    def add(self, address: str, item: T) -> None:
        """Add an item to the queue of its address."""
        self.setdefault(address, deque()).append(item)

    def take(self) -> T:
        """Remove and return the first item of the next address; there must be one."""
        address = next(iter(self))
        line = self.pop(address)
        item = line.popleft()
        if line:
            self[address] = line
        return item

    def discard(self, address: str, item: T) -> bool:
        """Remove an item, if it is waiting; return whether it was."""
        line = self.get(address)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del self[address]
        return True
