"""How far a client has come in the histories of its groups; docs/resume.md says what is asked of it."""

from collections.abc import Iterable
from typing import Any, Final

from gatesocket.cursors import Cursor, parse
from gatesocket.registry.base import Place

__all__ = ["Histories", "told"]

FURTHEST: Final = 1000
"""Messages after a gap that are known; no server keeps more."""


class Histories:
    """What this client has seen of each group, so that it can ask for what is missing, and know again what it has.

    Args:
        cursor: how far an earlier client had come; what isn't one is left out.
    """

    def __init__(self, cursor: str = "") -> None:
        self._seen: dict[str, _Seen] = {}
        for each in map(parse, cursor.split(",")):
            if each is not None:
                self._seen[each.tag] = _Seen(each)

    @property
    def cursor(self) -> str:
        """How far this client has come, in all of its groups."""
        return ",".join(str(seen.up_to) for seen in self._seen.values())

    def knows(self, cursor: Cursor) -> bool:
        """Whether a message has come before."""
        return cursor.tag in self._seen and self._seen[cursor.tag].knows(cursor.place)

    def note(self, cursor: Cursor) -> None:
        """Note that a message has come."""
        if cursor.tag in self._seen:
            self._seen[cursor.tag].add(cursor)
        else:
            self._seen[cursor.tag] = _Seen(cursor)

    def go_on(self, cursor: Cursor, *, complete: bool) -> None:
        """Take the server's word for where a history goes on; during a hand-over it may be an older one than ours."""
        seen = self._seen.setdefault(cursor.tag, _Seen(cursor))
        if not complete or cursor.place >= seen.up_to.place:
            seen.jump(cursor)


def told(message: Any) -> tuple[Cursor | None, bool | None]:
    """Return a message's cursor, and whether a history is complete that it tells of; None for what it hasn't."""
    match message:
        case {"type": "history", "cursor": str(text), "complete": bool(complete)}:
            return parse(text), complete
        case {"cursor": str(text)}:
            return parse(text), None
    return None, None


class _Seen:
    """Of one group: up to a place, and beyond it what came out of order, as broadcasts that overlap may."""

    def __init__(self, up_to: Cursor) -> None:
        self.up_to = up_to
        self._beyond: dict[Place, Cursor] = {}

    def knows(self, place: Place) -> bool:
        return place <= self.up_to.place or place in self._beyond

    def add(self, cursor: Cursor) -> None:
        self._beyond[cursor.place] = cursor
        self._advance()
        if len(self._beyond) > FURTHEST:
            self.jump(self._beyond[min(self._beyond)])

    def jump(self, cursor: Cursor) -> None:
        self.up_to = cursor
        self._advance()

    def _advance(self) -> None:
        # A run begins with 1, a day after anything was kept: nothing that could still be had is in between.
        for first in _firsts(self._beyond):
            if first.run > self.up_to.place.run:
                self.up_to = self._beyond[first]
        while (following := self._beyond.get(self.up_to.place.next)) is not None:
            self.up_to = following
        self._beyond = {place: each for place, each in self._beyond.items() if place > self.up_to.place}


def _firsts(places: Iterable[Place]) -> list[Place]:
    return [place for place in places if place.index == 1]
