"""The life of one connection's record: a state machine without I/O.

API Gateway calls a function for every event, in any process, maybe several at once, and any of them may die half-way.
What they agree through is the connection's record. This file says what each thing that happens does to it, and what is
to be done about it then: a record and an event in, a record and an effect out. The whole of it is the table
`TRANSITIONS`; `PASSING` is what time does by itself. An event that the table doesn't name in a state raises and changes
nothing, and so does one whose conditions don't hold.

A registry is where this happens. `gatesocket.registry.memory` calls `advance`; `gatesocket.registry.writes` says the
same rows in DynamoDB's language, as conditional writes, and a test asks both for every row. What a route says in
between is no concern of this machine but of `gatesocket.conversation`; joining and leaving groups isn't either: that
changes what a connection belongs to, and not who may run it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import Enum, auto
from typing import Any, Final, Generic, TypeVar, cast

from gatesocket.exceptions import LeaseLost, RegistryError
from gatesocket.registry.base import Busy, Changes, Entry, Forget, GiveUp, Lease, Record, Taken
from gatesocket.registry.bounds import Bounds
from gatesocket.values import frozen

__all__ = [
    "MAX_ATTEMPTS",
    "PASSING",
    "TRANSITIONS",
    "Arrived",
    "Continue",
    "Created",
    "Ended",
    "Event",
    "Forgotten",
    "HeldBack",
    "Kept",
    "Released",
    "Restored",
    "State",
    "Transition",
    "advance",
    "busy",
    "diagram",
    "restored",
    "state_of",
    "taken",
]

MAX_ATTEMPTS: Final = 3
"""Holders in a row that may die of what is in an inbox, before its messages are dropped and the route is ended.

As many again may die of the route's end, before the connection is forgotten without it.
"""


class State(Enum):
    """Who may do what with a record at a given moment."""

    ABSENT = auto()
    """There is none."""
    IDLE = auto()
    """The route hibernates. Whoever comes next takes the lease."""
    HELD = auto()
    """An invocation has the lease. Whoever comes leaves its entry in the inbox."""
    ABANDONED = auto()
    """The holder is out of time and hasn't given its lease up: it has died. Whoever comes next takes the lease over."""
    EXPIRED = auto()
    """The time to live is over; readers treat the record as absent, and DynamoDB deletes it sooner or later."""


@frozen
class Continue:
    """More has come: the lease stays, and the route is to be run on *entries*."""

    entries: tuple[Entry, ...]


@frozen
class Kept:
    """The text waits in the inbox; a wake is to bring somebody who delivers it."""


@frozen
class Forgotten:
    """There is no record any more; the memberships that *record* names are to go as well."""

    record: Record


E = TypeVar("E")


class Event(Generic[E]):
    """What happens to a connection. Its effect is of type E; None: there is nothing to do, or nobody to do it for."""

    __slots__ = ()


@frozen
class Created(Event[None]):
    """A handshake was accepted; or its route is still at it, and others are to find the connection already."""

    record: Record
    """With a lease for as long as the route is at it."""


@frozen
class Arrived(Event[Taken | Busy | None]):
    """An invocation brings *entry*, and would run the connection under *lease*."""

    entry: Entry
    lease: Lease


@frozen
class HeldBack(Event[Kept | None]):
    """Somebody else has a text for a client whose socket may not be live yet."""

    entry: Entry


@frozen
class Released(Event[Continue | None]):
    """The holder's route hibernates again."""

    record: Record
    """As the holder took it."""
    changes: Changes
    seen: int
    """How many entries of the inbox the holder has seen."""


@frozen
class Restored(Event[Taken | None]):
    """The table's stream tells of a record that was deleted because it had expired; its route is still to be ended."""

    record: Record
    """As it was."""
    entry: Entry
    lease: Lease
    expires_at: int
    """Seconds since the epoch, as the record's."""


@frozen
class Ended(Event[Forgotten | None]):
    """The route has ended, or nobody can run it any more."""

    holder: str | None = None
    """Who has run it; None for somebody who needs no lease."""


def state_of(record: Record | None, now: int) -> State:
    """Return the state of what is stored of a connection; *now* is in milliseconds since the epoch."""
    if record is None:
        return State.ABSENT
    if record.expired(now):
        return State.EXPIRED
    if record.lease is None:
        return State.IDLE
    return State.HELD if record.leased(now) else State.ABANDONED


def advance(
    record: Record | None, event: Event[E], now: int, *, bounds: Bounds | None = None
) -> tuple[Record | None, E]:
    """Let *event* happen to what is stored of a connection.

    Args:
        record: what is stored; None for nothing.
        event: what happens.
        now: milliseconds since the epoch.
        bounds: how much an inbox holds; None for the usual.

    Returns what is stored then, None for nothing, and what is to be done.

    Raises:
        InboxFull: the entry doesn't fit.
        LeaseLost: the event is a holder's, who isn't the holder any more.
        RegistryError: a record of this connection exists already.
        ValueError: the holder claims to have seen more than the inbox holds.
    """
    state = state_of(record, now)
    transition = TRANSITIONS.get((state, type(event)))
    if transition is None:
        raise _refusal(state, event)
    return transition.apply(record, event, now, bounds or Bounds())


def taken(record: Record) -> Taken:
    """Say what the one who has just taken *record* is to do; *attempts* tells how many have died of it before."""
    if record.attempts > 2 * MAX_ATTEMPTS:
        return Forget(record)
    return GiveUp(record) if record.attempts > MAX_ATTEMPTS else Taken(record)


def busy(entry: Entry, lease: Lease, now: int) -> Busy:
    """Say what the one who has left *entry* to a holder is to do, who would have run the connection under *lease*."""
    # Nothing else comes from a client that has left, and a timer has one wake: if the holder dies, nobody would find
    # what it leaves. Its lease, which isn't known where it isn't read, is over before one would be that begins now.
    last = entry.kind == "disconnect" or (entry.kind == "wake" and entry.body)
    return Busy(look_again=lease.expires_at - now if last else None)


def restored(event: Restored) -> Record:
    """Return the record that is put back: the old one, taken, with one more entry and another time to live."""
    record = replace(event.record, expires_at=event.expires_at)
    return _take(record, event.entry, event.lease)


# Each function of the table gets only the records and the events that its row is for; the rows of an event have all of
# its effects. The type of a dict can't say so.


def _create(_record: None, event: Created, _now: int, _bounds: Bounds) -> tuple[Record, None]:
    return event.record, None


def _create_again(record: Record, event: Created, now: int, _bounds: Bounds) -> tuple[Record, None]:
    # The very same write once more, as its answer was lost on the way.
    if record != event.record:
        raise _refusal(state_of(record, now), event)
    return record, None


def _ignore(record: Record | None, _event: Event[Any], _now: int, _bounds: Bounds) -> tuple[Record | None, None]:
    return record, None


def _run(record: Record, event: Arrived, _now: int, bounds: Bounds) -> tuple[Record, Taken]:
    bounds.check_room(record, event.entry, taking=True)
    after = _take(record, event.entry, event.lease)
    return after, taken(after)


def _leave_to_holder(record: Record, event: Arrived, now: int, bounds: Bounds) -> tuple[Record, Taken | Busy]:
    if event.entry in record.inbox:
        # The very same call once more: the one that took the lease, or one that came later.
        mine = record.held_by(event.lease.holder)
        return record, taken(record) if mine else busy(event.entry, event.lease, now)
    bounds.check_room(record, event.entry, taking=False)
    return replace(record, inbox=(*record.inbox, event.entry)), busy(event.entry, event.lease, now)


def _hold_back(record: Record, event: HeldBack, _now: int, bounds: Bounds) -> tuple[Record, Kept | None]:
    if record.live:
        return record, None
    if event.entry in record.inbox:
        # The very same call once more.
        return record, Kept()
    bounds.check_room(record, event.entry, taking=False)
    return replace(record, inbox=(*record.inbox, event.entry)), Kept()


def _release(record: Record, event: Released, _now: int, _bounds: Bounds) -> tuple[Record, Continue | None]:
    lease = event.record.lease
    if lease is None or not record.held_by(lease.holder):
        raise LeaseLost(record.connection_id)
    if event.seen > len(record.inbox):
        raise ValueError(f"the inbox holds {len(record.inbox)} entries, so that {event.seen} can't have been seen")
    if more := record.inbox[event.seen :]:
        return record, Continue(more)
    return record.after(event.changes), None


def _release_again(record: Record, event: Released, _now: int, _bounds: Bounds) -> tuple[Record, None]:
    # Anybody else's release follows on anybody else's take, so that the version tells whose it was.
    if record.version != event.record.version + 1:
        raise LeaseLost(record.connection_id)
    return record, None


def _restore(_record: None, event: Restored, _now: int, _bounds: Bounds) -> tuple[Record, Taken]:
    after = restored(event)
    return after, taken(after)


def _end(record: Record, event: Ended, _now: int, _bounds: Bounds) -> tuple[None, Forgotten]:
    if event.holder is not None and not record.held_by(event.holder):
        raise LeaseLost(record.connection_id)
    return None, Forgotten(record)


def _take(record: Record, entry: Entry, lease: Lease) -> Record:
    inbox = (*record.inbox, entry)
    return replace(record, inbox=inbox, lease=lease, attempts=record.attempts + 1, version=record.version + 1)


def _refusal(state: State, event: Event[Any]) -> RegistryError:
    """Return the error of an event that doesn't happen in *state*."""
    # Every other event is named in every state.
    record = cast("Created | Released", event).record
    if isinstance(event, Released):
        return LeaseLost(record.connection_id)
    return RegistryError(
        f"connection {record.connection_id!r} can't be created: its record is {state.name} already, and API Gateway "
        "gives no connection id twice. Look for somebody else who writes to the registry"
    )


@frozen
class Transition:
    """One row of the table: what an event does in a state."""

    apply: Callable[[Any, Any, int, Bounds], tuple[Record | None, Any]]
    to: Mapping[State, tuple[type[object], ...]]
    """The states that it can lead to, and the effects that it can have there; none for no effect."""


_TAKES: Final = {State.HELD: (Taken, GiveUp, Forget)}

TRANSITIONS: Final[Mapping[tuple[State, type[Event[Any]]], Transition]] = {
    (State.ABSENT, Created): Transition(_create, {State.IDLE: (), State.HELD: ()}),
    (State.ABSENT, Arrived): Transition(_ignore, {State.ABSENT: ()}),
    (State.ABSENT, HeldBack): Transition(_ignore, {State.ABSENT: ()}),
    (State.ABSENT, Restored): Transition(_restore, _TAKES),
    (State.ABSENT, Ended): Transition(_ignore, {State.ABSENT: ()}),
    (State.IDLE, Created): Transition(_create_again, {State.IDLE: ()}),
    (State.IDLE, Arrived): Transition(_run, {State.HELD: (Taken,)}),
    (State.IDLE, HeldBack): Transition(_hold_back, {State.IDLE: (Kept,)}),
    (State.IDLE, Released): Transition(_release_again, {State.IDLE: ()}),
    (State.IDLE, Restored): Transition(_ignore, {State.IDLE: ()}),
    (State.IDLE, Ended): Transition(_end, {State.ABSENT: (Forgotten,)}),
    (State.HELD, Created): Transition(_create_again, {State.HELD: ()}),
    (State.HELD, Arrived): Transition(_leave_to_holder, {State.HELD: (Busy, *_TAKES[State.HELD])}),
    (State.HELD, HeldBack): Transition(_hold_back, {State.HELD: (Kept,)}),
    (State.HELD, Released): Transition(_release, {State.IDLE: (), State.HELD: (Continue,)}),
    (State.HELD, Restored): Transition(_ignore, {State.HELD: ()}),
    (State.HELD, Ended): Transition(_end, {State.ABSENT: (Forgotten,)}),
    (State.ABANDONED, Arrived): Transition(_run, _TAKES),
    (State.ABANDONED, HeldBack): Transition(_hold_back, {State.ABANDONED: (Kept,)}),
    (State.ABANDONED, Released): Transition(_release, {State.IDLE: (), State.ABANDONED: (Continue,)}),
    (State.ABANDONED, Restored): Transition(_ignore, {State.ABANDONED: ()}),
    (State.ABANDONED, Ended): Transition(_end, {State.ABSENT: (Forgotten,)}),
    (State.EXPIRED, Arrived): Transition(_ignore, {State.EXPIRED: ()}),
    (State.EXPIRED, HeldBack): Transition(_ignore, {State.EXPIRED: ()}),
    (State.EXPIRED, Restored): Transition(_ignore, {State.EXPIRED: ()}),
    (State.EXPIRED, Ended): Transition(_end, {State.ABSENT: (Forgotten,)}),
}
"""What each event does in each state; what isn't named is refused."""

PASSING: Final[Mapping[tuple[State, State], str]] = {
    (State.HELD, State.ABANDONED): "the lease is over",
    (State.IDLE, State.EXPIRED): "the time to live is over",
    (State.HELD, State.EXPIRED): "the time to live is over",
    (State.ABANDONED, State.EXPIRED): "the time to live is over",
    (State.EXPIRED, State.ABSENT): "DynamoDB deletes it",
}
"""Where time leads by itself."""


def diagram() -> str:
    """Draw the table as a Mermaid state diagram; what changes nothing and has no effect is left out."""
    return "\n".join(["stateDiagram-v2", "    [*] --> ABSENT", *_arrows()])


def _arrows() -> Iterator[str]:
    for (state, event), transition in TRANSITIONS.items():
        for target, effects in transition.to.items():
            if effects or target is not state:
                done = f" / {', '.join(effect.__name__ for effect in effects)}" if effects else ""
                yield f"    {state.name} --> {target.name}: {event.__name__}{done}"
    for (state, target), why in PASSING.items():
        yield f"    {state.name} --> {target.name}: {why}"
