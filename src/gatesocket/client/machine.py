"""When a client's sockets are opened, replaced and given up: a state machine without I/O.

A client's connection outlives its sockets. One socket is the *link*, through which everything is sent. Before API
Gateway ends it after two hours, an *heir* is opened; when the server has let that one in, it becomes the link, and the
old one, *retiring*, is listened to for some seconds more. What happens goes into `Machine.happen`, and what is to be
done comes out; the whole of it is the table `Machine.TRANSITIONS`. An event that the table doesn't name in a phase
raises and changes nothing, but for those of a socket that was given up: it may still report, and no longer counts.

The clock and the randomness are given with each event. What is sent and received is opaque here: frames are texts, and
of a message only its key counts.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from gatesocket.client.events import (
    ABNORMAL,
    Abandon,
    Deliver,
    Dial,
    Effect,
    Event,
    Farewell,
    HangUp,
    Heard,
    Left,
    Lost,
    Opened,
    Said,
    Started,
    State,
    Tell,
    Timer,
    Unwritten,
    Write,
    Written,
)
from gatesocket.client.phases import Phase, Policy, Role
from gatesocket.exceptions import ConnectionEnded, OutboxFull

__all__ = ["Machine", "Transition"]

_POLICY_VIOLATION: Final = 1008
"""The server doesn't want this client: coming back wouldn't change that."""

_CLIENT_ERRORS: Final = range(400, 500)
_NOT_NOW: Final = frozenset({408, 425, 429})
"""API Gateway answers 429 over its quota of new connections (facts sheet, section 2)."""

_DOUBLINGS: Final = 60
"""Further ones would change no delay, but overflow a float in the end."""


@dataclass(frozen=True, slots=True)
class _Moment:
    now: float
    chance: float


@dataclass(slots=True)
class _Link:
    number: int
    open: bool = False
    writing: str | None = None
    """What was given to the socket, and hasn't left this process yet."""
    pinging: bool = False
    """Whether that is a ping."""
    owes_ping: bool = False
    """Whether a ping is to be written as soon as nothing else is."""
    farewell: Farewell | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: what an event does in a phase."""

    apply: Callable[[Any, Any, _Moment], Iterable[Effect]]
    to: tuple[Phase, ...]
    """The phases that it can lead to."""


Row = tuple[Phase, type[object] | Timer, Role | None]
"""A phase, what happens in it, and to which of the sockets, if it happens to one."""


class Machine:
    """One client's connection.

    A frame is given to a socket when the one before has left this process, so that all but one are known to be unsent
    when a socket is lost. That one may have arrived, and isn't sent again.

    Args:
        policy: how patient it is.
    """

    def __init__(self, policy: Policy) -> None:
        self.phase = Phase.NEW
        self.state = State("new")
        """What was told last."""
        self.unsent: deque[str] = deque()
        """What waits for a socket, in its order."""
        self._policy = policy
        self._links: dict[Role, _Link] = {}
        self._timers: dict[Timer, float] = {}
        self._dialled = 0
        self._attempts = 0
        self._told: dict[str, int] = {}  # key -> the socket that brought it while there were two

    @property
    def deadline(self) -> float | None:
        """When the next timer is due, by the clock of `happen`; None if there is none."""
        return min(self._timers.values(), default=None)

    @property
    def linked(self) -> bool:
        """Whether what is said now goes to a socket."""
        return Role.LINK in self._links and self._links[Role.LINK].open

    @property
    def pending(self) -> int:
        """How many frames haven't left this process."""
        return len(self.unsent) + sum(link.writing is not None and not link.pinging for link in self._links.values())

    @property
    def handing_over(self) -> bool:
        """Whether there are two sockets, one of which takes over from the other."""
        return self.phase in {Phase.RENEWING, Phase.OVERLAPPING}

    @property
    def ended(self) -> bool:
        """Whether the connection has ended for good."""
        return self.phase in {Phase.REFUSED, Phase.CLOSED}

    def due(self, now: float) -> Timer | None:
        """Return the timer that has been due for longest; None if none is."""
        due = [timer for timer, when in self._timers.items() if when <= now]
        return min(due, key=self._timers.__getitem__, default=None)

    def happen(self, event: Event, *, now: float, chance: float) -> list[Effect]:
        """Let *event* happen, and return what is to be done, in this order.

        Args:
            event: what happens; a `Timer` only when it is due.
            now: seconds, by a clock that never goes back.
            chance: a random number from 0 to 1.

        Raises:
            ConnectionEnded: something was said although the connection has ended for good.
            OutboxFull: something was said, and as much waits for a socket as may.
            ValueError: the event doesn't happen in this phase.
        """
        role = None
        if (number := getattr(event, "link", None)) is not None:
            role = self._role_of(number)
            if role is None:
                return []
        kind = event if isinstance(event, Timer) else type(event)
        transition = self.TRANSITIONS.get((self.phase, kind, role))
        if transition is None:
            raise ValueError(f"expected what can happen to a connection that is {self.phase.name}, but got {event!r}")
        if isinstance(event, Timer):
            del self._timers[event]
        return list(transition.apply(self, event, _Moment(now, chance)))

    def postpone(self, timer: Timer, *, now: float) -> None:
        """Start a timer anew that says nothing although it is due: nobody has looked for what ends it."""
        waits = {Timer.ANSWER: self._policy.answer_within, Timer.OVERLAP: self._policy.overlap}
        self._timers[timer] = now + waits[timer]

    def _role_of(self, number: int) -> Role | None:
        return next((role for role, link in self._links.items() if link.number == number), None)

    # ---- opening and losing

    def _start(self, event: Started | Timer, at: _Moment) -> Iterator[Effect]:
        self.phase = Phase.CONNECTING
        yield self._tell(State("connecting"))
        yield self._dial(Role.LINK)

    def _open(self, event: Opened, at: _Moment) -> Iterator[Effect]:
        self.phase = Phase.OPEN
        self._links[Role.LINK].open = True
        self._timers[Timer.STABLE] = at.now + self._policy.stable_after
        self._plan_hand_over(at)
        self._live(at)
        yield self._tell(State("open"))
        yield from self._write_next()

    def _settle(self, event: Timer, at: _Moment) -> Iterable[Effect]:
        self._attempts = 0
        return ()

    def _lose(self, event: Lost, at: _Moment) -> Iterator[Effect]:
        lost = self._links.pop(Role.LINK)
        if Role.HEIR in self._links and self._links[Role.HEIR].open:
            yield from self._succeed(at)
            return
        yield from self._drop()
        code, reason = _last(lost, event)
        if _is_final(code, event.status):
            self.phase = Phase.REFUSED
            yield self._tell(State("refused", None, code, reason, event.status))
        else:
            self.phase = Phase.WAITING
            delay = self._delay(at)
            self._timers[Timer.RETRY] = at.now + delay
            yield self._tell(State("waiting", delay, code, reason, event.status))

    def _leave(self, event: Left, at: _Moment) -> Iterator[Effect]:
        self.phase = Phase.CLOSED
        self.unsent.clear()
        yield from self._drop(event.code, event.reason)
        yield self._tell(State("closed", None, event.code, event.reason))

    def _drop(self, code: int = 1000, reason: str = "") -> Iterator[Effect]:
        self._timers.clear()
        links = list(self._links.values())
        self._links.clear()
        for link in links:
            yield HangUp(link.number, code, reason)

    def _dial(self, role: Role) -> Dial:
        self._told.clear()
        self._dialled += 1
        self._links[role] = _Link(self._dialled)
        return Dial(self._dialled)

    def _delay(self, at: _Moment) -> float:
        # "Full jitter": when a server comes back, its clients must not all arrive in the same moment.
        longest = min(self._policy.longest_delay, self._policy.first_delay * 2.0 ** min(self._attempts, _DOUBLINGS))
        self._attempts += 1
        return at.chance * longest

    def _tell(self, state: State) -> Tell:
        self.state = state
        return Tell(state)

    # ---- the hand-over

    def _plan_hand_over(self, at: _Moment) -> None:
        if self._policy.hand_over_after is not None:
            spread = at.chance * self._policy.hand_over_spread
            self._timers[Timer.HAND_OVER] = at.now + self._policy.hand_over_after + spread

    def _renew(self, event: Timer, at: _Moment) -> Iterator[Effect]:
        if Role.RETIRING in self._links:
            yield from self._retire(event, at)
        self.phase = Phase.RENEWING
        yield self._dial(Role.HEIR)

    def _open_heir(self, event: Opened, at: _Moment) -> Iterator[Effect]:
        self._links[Role.HEIR].open = True
        if not self._policy.let_in_by_message:
            yield from self._succeed(at)

    def _succeed(self, at: _Moment) -> Iterator[Effect]:
        """Send through the heir, and listen to the old link, if it isn't lost, for what is still on its way to it."""
        old = self._links.pop(Role.LINK, None)
        self._links[Role.LINK] = self._links.pop(Role.HEIR)
        self._attempts = 0
        self._plan_hand_over(at)
        self._live(at)
        if old is None:
            self.phase = Phase.OPEN
        else:
            self.phase = Phase.OVERLAPPING
            self._links[Role.RETIRING] = old
            self._timers[Timer.OVERLAP] = at.now + self._policy.overlap
        yield from self._write_next()

    def _retire(self, event: Lost | Timer, at: _Moment) -> Iterator[Effect]:
        self.phase = Phase.OPEN
        self._timers.pop(Timer.OVERLAP, None)
        retired = self._links.pop(Role.RETIRING)
        if not isinstance(event, Lost):
            yield HangUp(retired.number)

    def _lose_heir(self, event: Lost, at: _Moment) -> Iterable[Effect]:
        self.phase = Phase.OPEN
        code, _ = _last(self._links.pop(Role.HEIR), event)
        if not _is_final(code, event.status):
            self._timers[Timer.HAND_OVER] = at.now + self._delay(at)
        return ()

    # ---- what comes

    def _live(self, at: _Moment) -> None:
        """Something came: the link lives. Ask again when it has been silent for long."""
        self._timers.pop(Timer.ANSWER, None)
        if self._policy.ping is not None:
            self._timers[Timer.SILENCE] = at.now + self._policy.silence

    def _hear(self, event: Heard, at: _Moment) -> Iterator[Effect]:
        if event.link == self._links[Role.LINK].number:
            self._live(at)
        if not self._is_repeated(event):
            yield Deliver(event.message)

    def _hear_heir(self, event: Heard, at: _Moment) -> Iterator[Effect]:
        if event.lets_in:
            yield from self._succeed(at)
        yield from self._hear(event, at)

    def _is_repeated(self, event: Heard) -> bool:
        """Whether the other socket has brought this message already; it may be late, when that one is gone."""
        if event.key is None:
            return False
        if self._told.get(event.key, event.link) != event.link:
            del self._told[event.key]
            return True
        if self.handing_over:
            self._told[event.key] = event.link
        return False

    def _note_farewell(self, event: Farewell, at: _Moment) -> Iterable[Effect]:
        self._link(event).farewell = event
        return ()

    def _ask(self, event: Timer, at: _Moment) -> Iterator[Effect]:
        self._links[Role.LINK].owes_ping = True
        self._timers[Timer.ANSWER] = at.now + self._policy.answer_within
        yield from self._write_next()

    def _give_up(self, event: Timer, at: _Moment) -> Iterator[Effect]:
        dead = self._links[Role.LINK].number
        yield Abandon(dead)
        yield from self._lose(Lost(dead, ABNORMAL, "no answer to a ping"), at)

    # ---- what is sent

    def _say(self, event: Said, at: _Moment) -> Iterator[Effect]:
        if not self.linked and len(self.unsent) >= self._policy.unsent:
            raise OutboxFull(len(self.unsent))
        self.unsent.append(event.frame)
        yield from self._write_next()

    def _stay_away(self, event: Started | Left, at: _Moment) -> Iterable[Effect]:
        return ()

    def _say_nothing(self, event: Said, at: _Moment) -> Iterable[Effect]:
        raise ConnectionEnded(self.state.code or ABNORMAL, self.state.reason, self.state.status)

    def _write_on(self, event: Written, at: _Moment) -> Iterator[Effect]:
        self._link(event).writing = None
        yield from self._write_next()

    def _take_back(self, event: Unwritten, at: _Moment) -> Iterator[Effect]:
        link = self._link(event)
        link.open = False
        if link.writing is not None and not link.pinging:
            self.unsent.appendleft(link.writing)
        link.writing = None
        yield from self._write_next()

    def _write_next(self) -> Iterator[Effect]:
        if not self.linked or (link := self._links[Role.LINK]).writing is not None:
            return
        link.pinging, link.owes_ping = link.owes_ping, False
        if link.pinging:
            link.writing = self._policy.ping
        elif self.unsent:
            link.writing = self.unsent.popleft()
        if link.writing is not None:
            yield Write(link.number, link.writing)

    def _link(self, event: Farewell | Written | Unwritten) -> _Link:
        return next(link for link in self._links.values() if link.number == event.link)

    TRANSITIONS: ClassVar[Mapping[Row, Transition]] = {
        (Phase.NEW, Started, None): Transition(_start, (Phase.CONNECTING,)),
        (Phase.NEW, Said, None): Transition(_say, (Phase.NEW,)),
        (Phase.NEW, Left, None): Transition(_leave, (Phase.CLOSED,)),
        (Phase.CONNECTING, Opened, Role.LINK): Transition(_open, (Phase.OPEN,)),
        (Phase.CONNECTING, Lost, Role.LINK): Transition(_lose, (Phase.WAITING, Phase.REFUSED)),
        (Phase.CONNECTING, Said, None): Transition(_say, (Phase.CONNECTING,)),
        (Phase.CONNECTING, Left, None): Transition(_leave, (Phase.CLOSED,)),
        (Phase.WAITING, Timer.RETRY, None): Transition(_start, (Phase.CONNECTING,)),
        (Phase.WAITING, Said, None): Transition(_say, (Phase.WAITING,)),
        (Phase.WAITING, Left, None): Transition(_leave, (Phase.CLOSED,)),
        (Phase.OPEN, Written, Role.LINK): Transition(_write_on, (Phase.OPEN,)),
        (Phase.OPEN, Unwritten, Role.LINK): Transition(_take_back, (Phase.OPEN,)),
        (Phase.OPEN, Heard, Role.LINK): Transition(_hear, (Phase.OPEN,)),
        (Phase.OPEN, Farewell, Role.LINK): Transition(_note_farewell, (Phase.OPEN,)),
        (Phase.OPEN, Lost, Role.LINK): Transition(_lose, (Phase.WAITING, Phase.REFUSED)),
        (Phase.OPEN, Said, None): Transition(_say, (Phase.OPEN,)),
        (Phase.OPEN, Left, None): Transition(_leave, (Phase.CLOSED,)),
        (Phase.OPEN, Timer.STABLE, None): Transition(_settle, (Phase.OPEN,)),
        (Phase.OPEN, Timer.SILENCE, None): Transition(_ask, (Phase.OPEN,)),
        (Phase.OPEN, Timer.ANSWER, None): Transition(_give_up, (Phase.WAITING, Phase.REFUSED)),
        (Phase.OPEN, Timer.HAND_OVER, None): Transition(_renew, (Phase.RENEWING,)),
        (Phase.RENEWING, Written, Role.LINK): Transition(_write_on, (Phase.RENEWING,)),
        (Phase.RENEWING, Unwritten, Role.LINK): Transition(_take_back, (Phase.RENEWING,)),
        (Phase.RENEWING, Heard, Role.LINK): Transition(_hear, (Phase.RENEWING,)),
        (Phase.RENEWING, Farewell, Role.LINK): Transition(_note_farewell, (Phase.RENEWING,)),
        (Phase.RENEWING, Lost, Role.LINK): Transition(_lose, (Phase.OPEN, Phase.WAITING, Phase.REFUSED)),
        (Phase.RENEWING, Said, None): Transition(_say, (Phase.RENEWING,)),
        (Phase.RENEWING, Left, None): Transition(_leave, (Phase.CLOSED,)),
        (Phase.RENEWING, Timer.STABLE, None): Transition(_settle, (Phase.RENEWING,)),
        (Phase.RENEWING, Timer.SILENCE, None): Transition(_ask, (Phase.RENEWING,)),
        (Phase.RENEWING, Timer.ANSWER, None): Transition(_give_up, (Phase.OPEN, Phase.WAITING, Phase.REFUSED)),
        (Phase.RENEWING, Opened, Role.HEIR): Transition(_open_heir, (Phase.RENEWING, Phase.OVERLAPPING)),
        (Phase.RENEWING, Heard, Role.HEIR): Transition(_hear_heir, (Phase.RENEWING, Phase.OVERLAPPING)),
        (Phase.RENEWING, Farewell, Role.HEIR): Transition(_note_farewell, (Phase.RENEWING,)),
        (Phase.RENEWING, Lost, Role.HEIR): Transition(_lose_heir, (Phase.OPEN,)),
        (Phase.OVERLAPPING, Written, Role.LINK): Transition(_write_on, (Phase.OVERLAPPING,)),
        (Phase.OVERLAPPING, Unwritten, Role.LINK): Transition(_take_back, (Phase.OVERLAPPING,)),
        (Phase.OVERLAPPING, Heard, Role.LINK): Transition(_hear, (Phase.OVERLAPPING,)),
        (Phase.OVERLAPPING, Farewell, Role.LINK): Transition(_note_farewell, (Phase.OVERLAPPING,)),
        (Phase.OVERLAPPING, Lost, Role.LINK): Transition(_lose, (Phase.WAITING, Phase.REFUSED)),
        (Phase.OVERLAPPING, Said, None): Transition(_say, (Phase.OVERLAPPING,)),
        (Phase.OVERLAPPING, Left, None): Transition(_leave, (Phase.CLOSED,)),
        (Phase.OVERLAPPING, Timer.STABLE, None): Transition(_settle, (Phase.OVERLAPPING,)),
        (Phase.OVERLAPPING, Timer.SILENCE, None): Transition(_ask, (Phase.OVERLAPPING,)),
        (Phase.OVERLAPPING, Timer.ANSWER, None): Transition(_give_up, (Phase.WAITING, Phase.REFUSED)),
        (Phase.OVERLAPPING, Written, Role.RETIRING): Transition(_write_on, (Phase.OVERLAPPING,)),
        (Phase.OVERLAPPING, Unwritten, Role.RETIRING): Transition(_take_back, (Phase.OVERLAPPING,)),
        (Phase.OVERLAPPING, Heard, Role.RETIRING): Transition(_hear, (Phase.OVERLAPPING,)),
        (Phase.OVERLAPPING, Farewell, Role.RETIRING): Transition(_note_farewell, (Phase.OVERLAPPING,)),
        (Phase.OVERLAPPING, Lost, Role.RETIRING): Transition(_retire, (Phase.OPEN,)),
        (Phase.OVERLAPPING, Timer.OVERLAP, None): Transition(_retire, (Phase.OPEN,)),
        (Phase.OVERLAPPING, Timer.HAND_OVER, None): Transition(_renew, (Phase.RENEWING,)),
        (Phase.REFUSED, Said, None): Transition(_say_nothing, (Phase.REFUSED,)),
        (Phase.REFUSED, Left, None): Transition(_stay_away, (Phase.REFUSED,)),
        (Phase.CLOSED, Started, None): Transition(_stay_away, (Phase.CLOSED,)),
        (Phase.CLOSED, Said, None): Transition(_say_nothing, (Phase.CLOSED,)),
        (Phase.CLOSED, Left, None): Transition(_stay_away, (Phase.CLOSED,)),
    }
    """What each event does in each phase; what isn't named is refused."""


def _last(link: _Link, event: Lost) -> tuple[int, str]:
    """Return code and reason of a socket's end: the app's, if it has told them, and not API Gateway's."""
    last = link.farewell or event
    return last.code, last.reason


def _is_final(code: int, status: int | None) -> bool:
    return code == _POLICY_VIOLATION or (status in _CLIENT_ERRORS and status not in _NOT_NOW)
