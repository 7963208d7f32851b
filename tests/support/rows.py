"""What may be stored of a connection and what may happen to it then: together, the rows of `gatesocket.session`."""

from dataclasses import replace
from typing import Any, Final

from gatesocket.registry.base import Changes, Entry, Lease, Record
from gatesocket.registry.bounds import Bounds
from gatesocket.session import MAX_ATTEMPTS, Arrived, Created, Ended, Event, HeldBack, Released, Restored

__all__ = ["BOUNDS", "CONNECTION", "EVENTS", "HELLO", "HOLDER", "IDLE", "NEXT", "NOW", "STORED", "TAKEN"]

NOW: Final = 1_700_000_000_000  # ms since the epoch
CONNECTION: Final = "TXzPWdnOjoECGjA="
BOUNDS: Final = Bounds(inbox_entries=2)

HOLDER: Final = Lease("holder", NOW + 30_000)
NEXT: Final = Lease("next", NOW + 60_000)
HELLO: Final = Entry("message", "m1", "hello")
POST: Final = Entry("post", "p1", "from elsewhere")

IDLE: Final = Record(CONNECTION, b"scope", NOW - 5000, NOW // 1000 + 7200, snapshot=b"before", user="ann", version=4)
TAKEN: Final = replace(IDLE, inbox=(HELLO,), lease=HOLDER, attempts=1, version=5)
"""The record of `IDLE` as `HOLDER` has taken it, with `HELLO`."""
DEAD: Final = replace(TAKEN, lease=replace(HOLDER, expires_at=NOW))

STORED: Final[dict[str, Record | None]] = {
    "absent": None,
    "idle": IDLE,
    "idle, live": replace(IDLE, live=True),
    "idle, after what was held": replace(IDLE, version=6),
    "idle, full": replace(IDLE, inbox=(HELLO, POST)),
    "held": TAKEN,
    "held, live": replace(TAKEN, live=True),
    "held, more has come": replace(TAKEN, inbox=(HELLO, Entry("disconnect", "d0", "left", 1001))),
    "held, full": replace(TAKEN, inbox=(HELLO, POST)),
    "held by one too many": replace(TAKEN, attempts=MAX_ATTEMPTS + 1),
    "held by twice as many": replace(TAKEN, attempts=2 * MAX_ATTEMPTS + 1),
    "held by the next": replace(TAKEN, lease=NEXT, version=6),
    "abandoned": DEAD,
    "abandoned, full": replace(DEAD, inbox=(HELLO, POST)),
    "abandoned by one too many": replace(DEAD, attempts=MAX_ATTEMPTS),
    "abandoned by twice as many": replace(DEAD, attempts=2 * MAX_ATTEMPTS),
    "expired": replace(IDLE, expires_at=NOW // 1000),
    "expired, held": replace(TAKEN, expires_at=NOW // 1000),
}
"""What may be stored of a connection at `NOW`."""

AFTER: Final = Changes(b"after", live=True, user="ann")

LEFT: Final = Entry("disconnect", "d", code=1006)

EVENTS: Final[dict[str, Event[Any]]] = {
    "created": Created(IDLE),
    "created while its route is at it": Created(TAKEN),
    "created otherwise": Created(replace(IDLE, snapshot=b"another")),
    "a message": Arrived(Entry("message", "m2", "there"), NEXT),
    "a disconnect": Arrived(Entry("disconnect", "d", "left", 1001), NEXT),
    "a wake": Arrived(Entry("wake", "w"), NEXT),
    "a timer's wake": Arrived(Entry("wake", "w", str(NOW)), NEXT),
    "the holder's message once more": Arrived(HELLO, HOLDER),
    "a message that waits already": Arrived(HELLO, NEXT),
    "a text from elsewhere": HeldBack(Entry("post", "p2", "from elsewhere")),
    "a text that waits already": HeldBack(POST),
    "released": Released(TAKEN, AFTER, seen=1),
    "released with a rest": Released(TAKEN, replace(AFTER, inbox=(HELLO,)), seen=1),
    "released by somebody else": Released(replace(TAKEN, lease=Lease("another", NOW + 1)), AFTER, seen=1),
    "released with more than there is": Released(TAKEN, AFTER, seen=3),
    "restored": Restored(TAKEN, LEFT, NEXT, NOW // 1000 + 60),
    "restored for one too many": Restored(replace(TAKEN, attempts=MAX_ATTEMPTS), LEFT, NEXT, NOW // 1000 + 60),
    "restored for twice as many": Restored(replace(TAKEN, attempts=2 * MAX_ATTEMPTS), LEFT, NEXT, NOW // 1000 + 60),
    "ended": Ended(),
    "ended by the holder": Ended("holder"),
    "ended by somebody else": Ended("another"),
}
"""What may happen then."""
