"""Many deadlines that move often, of which only the next is ever asked for."""

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Deadlines"]

Key = TypeVar("Key", bound=Hashable)


class Deadlines(Generic[Key]):
    """A priority queue of keys by their deadline, in whatever unit the caller counts time.

    An idle deadline moves with every message. Therefore `set` touches the heap only if a deadline comes
    nearer: one that moves away is left where it is, and put right when it reaches the top.
    """

    def __init__(self) -> None:
        self._when: dict[Key, int] = {}
        self._heap: list[tuple[int, int, Key]] = []
        self._queued: dict[Key, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._when)

    def set(self, key: Key, when: int) -> None:
        """Give *key* a deadline, in place of the one that it had."""
        self._when[key] = when
        if key not in self._queued or when < self._queued[key]:
            self._push(key, when)

    def drop(self, key: Key) -> None:
        """Take the deadline of *key* away, if it has one."""
        self._when.pop(key, None)

    def next(self) -> int | None:
        """Return the nearest deadline; None if there is none."""
        self._tidy()
        return self._heap[0][0] if self._heap else None

    def pop(self, now: int) -> Key | None:
        """Remove and return the key with the nearest deadline if that is *now* or earlier; None if not."""
        nearest = self.next()
        if nearest is None or nearest > now:
            return None
        _, _, key = heapq.heappop(self._heap)
        del self._queued[key], self._when[key]
        return key

    def _push(self, key: Key, when: int) -> None:
        self._queued[key] = when
        self._count += 1  # keeps keys with the same deadline in order, and keys themselves from being compared
        heapq.heappush(self._heap, (when, self._count, key))

    def _tidy(self) -> None:
        """Leave on top of the heap a deadline that still holds."""
        while self._heap:
            when, _, key = self._heap[0]
            if self._queued.get(key) == when and self._when.get(key) == when:
                return
            heapq.heappop(self._heap)
            if self._queued.get(key) != when:
                continue  # an earlier deadline was queued for the same key since
            del self._queued[key]
            if key in self._when:
                self._push(key, self._when[key])
