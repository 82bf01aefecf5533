"""Lines of what waits, one for each address; the addresses take turns."""

from collections import deque
from typing import TypeVar

T = TypeVar("T")


class Lines(dict[str, deque[T]]):
    """What waits, by address; no line is empty."""

    __slots__ = ()

    def length(self, address: str) -> int:
        """Return how many items of an address wait."""
        return len(self.get(address, ()))

    def add(self, address: str, item: T) -> None:
        """Let an item wait behind the others of its address."""
        self.setdefault(address, deque()).append(item)

    def take(self) -> T:
        """Remove and return the first item of the next address; something must wait."""
        address = next(iter(self))
        line = self.pop(address)
        item = line.popleft()
        if line:
            self[address] = line
        return item

    def discard(self, address: str, item: T) -> bool:
        """Remove an item that may wait; return whether it did."""
        line = self.get(address)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del self[address]
        return True
