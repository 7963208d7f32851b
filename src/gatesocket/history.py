"""What groups have been sent, kept for a while for members that come back.

::

    manager = ConnectionManager(history=History(messages=100, seconds=300))


    @app.websocket("/ws/{room}")
    async def chat(websocket: WebSocket, room: str, after: str | None = None) -> None:
        await manager.connect(websocket, groups=[room], after=after)
        async for text in websocket.iter_text():
            await manager.broadcast({"text": text}, group=room, keep=True)

Each message that is kept gets a place in the group's history before anybody gets the message itself, and carries it as
its cursor. A member that comes back is a member first, and then reads the history from its cursor on. So what is sent
meanwhile is either in the history by then, or is sent by somebody who sees the member; or both, and the client drops
what it has seen.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from gatesocket.backend import Backend
from gatesocket.cursors import Cursor, cursor_of, marker, read, tag_of, with_cursor
from gatesocket.exceptions import UnreadableHistory
from gatesocket.registry.base import REMEMBERED_SECONDS, START, Kept, Place, Registry, Replay

__all__ = ["MOST_MESSAGES", "History", "keep_text", "replay_of", "texts"]

logger = logging.getLogger("gatesocket")

MOST_MESSAGES: Final = 1000
"""Messages of one group that somebody who comes back can get at the most: each is a post, one after the other."""


@dataclass(frozen=True, slots=True)
class History:
    """How much of what is sent to a group with ``keep=True`` is kept for members that come back.

    Raises:
        ValueError: there is nothing that could be kept, or more than can be.
    """

    messages: int = 100
    """The most that one member gets of one group, 1 to `MOST_MESSAGES`; who has missed more is told so."""
    seconds: int = 300
    """For how long a message is kept, 1 to `registry.base.REMEMBERED_SECONDS`; who was away for longer is told so."""

    def __post_init__(self) -> None:
        if not 1 <= self.messages <= MOST_MESSAGES or not 1 <= self.seconds <= REMEMBERED_SECONDS:
            raise ValueError(
                f"a history keeps 1 to {MOST_MESSAGES} messages for 1 to {REMEMBERED_SECONDS} seconds, but these are "
                f"messages={self.messages}, seconds={self.seconds}"
            )


async def keep_text(text: str, group: str, history: History, through: Backend) -> str:
    """Keep *text*, which `cursors.checked` has returned, for *group*; return it as it is to be sent, with its cursor.

    Raises:
        RegistryError: it couldn't be kept.
        ValueError: *group* can't be a group's name.
    """
    kept = await through.registry.keep(
        group,
        text,
        id=uuid4().hex,
        seconds=history.seconds,
        messages=history.messages,
        now=through.clock(),
    )
    return with_cursor(text, cursor_of(group, kept))


def replay_of(after: str, groups: Iterable[str], history: History) -> Replay:
    """Return what is to be read for a client that has given *after*, without what isn't of *groups*."""
    names = tuple(sorted(groups))
    own = ",".join(map(str, read(after, names).values()))
    # What is there and can't be understood must not look like a client that has never been here.
    return Replay(names, own or ("?" if after else ""), history.messages)


async def texts(replay: Replay, registry: Registry, *, now: int) -> list[str]:
    """Read what a client has missed: of each group a `cursors.marker`, and then what follows on it, oldest first.

    Raises:
        RegistryError: it couldn't be read.
    """
    cursors = read(replay.after, replay.groups)
    found = []
    for group in replay.groups:
        try:
            found += await _of(group, cursors.get(group), replay, registry, now)
        except UnreadableHistory as error:
            # The client can't change it, and neither would another try.
            logger.error("%s; a client that comes back is told that it may have missed something", error)  # noqa: TRY400
            found.append(marker(Cursor(tag_of(group), START, now // 1000), complete=False))
    return found


async def _of(group: str, cursor: Cursor | None, replay: Replay, registry: Registry, now: int) -> list[str]:
    tag, seconds = tag_of(group), now // 1000

    async def last() -> Place | None:
        found = await registry.recent(group, since=START, most=1, now=now)
        return found[0].place if found else None

    if cursor is None:
        return [marker(Cursor(tag, await last() or START, seconds), complete=not replay.after)]
    # One more than it may get, and the one that it has seen: it tells that the cursor is a true one.
    found = await registry.recent(group, since=cursor.place, most=replay.messages + 2, now=now)
    later = [kept for kept in found if kept.place > cursor.place]
    if not later:
        end = cursor.place if found else await last()
        if end is not None and end < cursor.place:
            return [marker(Cursor(tag, end, seconds), complete=False)]
        # Nothing later is there. If its own place isn't either, that is known of the time that is remembered.
        complete = bool(found) or _remembers(cursor, seconds)
        return [marker(Cursor(tag, cursor.place, seconds), complete=complete)]
    missed = _newest(later, replay.messages, seconds)
    complete = len(missed) == len(later) and _follows(later[0].place, cursor, seconds)
    if complete:
        begin = cursor
    elif missed:
        begin = Cursor(tag, missed[0].place.before, missed[0].at)
    else:
        begin = Cursor(tag, later[-1].place, seconds)
    return [marker(begin, complete=complete), *(with_cursor(kept.text, cursor_of(group, kept)) for kept in missed)]


def _newest(later: list[Kept], most: int, seconds: int) -> list[Kept]:
    """Return what may still be sent of the end of *later*, without a gap."""
    newest = later[-most:]
    for over in range(len(newest), 0, -1):
        if newest[over - 1].until <= seconds:
            return newest[over:]
    return newest


def _follows(first: Place, cursor: Cursor, seconds: int) -> bool:
    """Whether nothing can have been between *cursor* and *first*."""
    if first.run == cursor.place.run:
        return first == cursor.place.next
    # A run begins when nothing is remembered of the one before: what that had was kept before the client's time.
    return first.index == 1 and _remembers(cursor, seconds)


def _remembers(cursor: Cursor, seconds: int) -> bool:
    """Whether all that was kept since the cursor's time is remembered, where nothing is of the cursor's own run."""
    if cursor.place != START and seconds - cursor.place.run < REMEMBERED_SECONDS:
        # That would be there still: it was kept elsewhere, as by a process that has ended with all that it remembered.
        return False
    return seconds - cursor.at < REMEMBERED_SECONDS
