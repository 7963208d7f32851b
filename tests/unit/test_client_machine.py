"""When sockets are opened, replaced and given up, whatever happens: each row of the table, and what always holds."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gatesocket.client.events import (
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
from gatesocket.client.machine import Machine
from gatesocket.client.phases import Phase, Policy, Role
from gatesocket.exceptions import ConnectionEnded, OutboxFull

UNSENT = 3
CODES = [1001, 1000, 1006, 1001, 1001, 1006, 1001, 1008]  # most losses aren't for good
STATUSES = [None, None, 503, None, 429, None, 403]
PHASES = {
    "new": {Phase.NEW},
    "connecting": {Phase.CONNECTING},
    "open": {Phase.OPEN, Phase.RENEWING, Phase.OVERLAPPING},
    "waiting": {Phase.WAITING},
    "refused": {Phase.REFUSED},
    "closed": {Phase.CLOSED},
}


class Trouble(RuleBasedStateMachine):
    """A network that does whatever a network may do, and a machine that has to make a connection out of it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.dialling: set[int] = set()
        self.open: set[int] = set()
        self.gone: set[int] = set()
        self.farewells: set[int] = set()
        self.writing: dict[int, str] = {}
        self.said: list[str] = []
        self.written: list[str] = []

    @initialize(
        by_message=st.booleans(),
        ping=st.sampled_from(["ping", None]),
        hand_over=st.sampled_from([4, 60, None]),
        patience=st.integers(0, 5),
    )
    def start(self, *, by_message: bool, ping: str | None, hand_over: float | None, patience: int) -> None:
        self.patience = patience
        self.machine = Machine(
            Policy(
                ping=ping,
                silence=20,
                hand_over_after=hand_over,
                hand_over_spread=10,
                unsent=UNSENT,
                let_in_by_message=by_message,
            )
        )
        assert self.happen(Started()) == [Tell(State("connecting")), Dial(1)]

    def happen(self, event: Event, chance: float = 0.5) -> list[Effect]:
        before, role = self.machine.phase, None
        if (number := getattr(event, "link", None)) is not None:
            role = self.machine._role_of(number)
        effects = self.machine.happen(event, now=self.now, chance=chance)
        if number is None or role is not None:
            kind = event if isinstance(event, Timer) else type(event)
            assert self.machine.phase in Machine.TRANSITIONS[before, kind, role].to
        for effect in effects:
            self.perform(effect)
        return effects

    def perform(self, effect: Effect) -> None:
        match effect:
            case Dial(number):
                assert number not in self.dialling | self.open | self.gone
                self.dialling.add(number)
            case Write(number, frame):
                assert number in self.open
                assert number not in self.writing
                self.writing[number] = frame
                if frame != "ping":
                    self.written.append(frame)
            case HangUp(number) | Abandon(number):
                assert number in self.dialling | self.open
                self.end(number)
            case Tell(state):
                assert self.machine.state == state
            case Deliver():
                assert self.machine.state.name == "open"

    def end(self, number: int) -> None:
        self.dialling.discard(number)
        self.open.discard(number)
        self.writing.pop(number, None)
        self.gone.add(number)

    def one_of(self, data: st.DataObject, numbers: Iterable[int]) -> int:
        return data.draw(st.sampled_from(sorted(numbers)))

    @precondition(lambda self: self.dialling)
    @rule(data=st.data())
    def open_a_socket(self, data: st.DataObject) -> None:
        number = self.one_of(data, self.dialling)
        self.dialling.remove(number)
        self.open.add(number)
        self.happen(Opened(number))

    @precondition(lambda self: self.dialling | self.open)
    @rule(data=st.data(), code=st.sampled_from(CODES), chance=st.floats(0, 1))
    def lose_a_socket(self, data: st.DataObject, code: int, chance: float) -> None:
        number = self.one_of(data, self.dialling | self.open)
        status = data.draw(st.sampled_from(STATUSES)) if number in self.dialling else None
        self.end(number)
        effects = self.happen(Lost(number, code, "lost", status), chance)
        match self.machine.state:
            case State("waiting", delay=delay):
                assert delay is not None
                assert 0 <= delay <= 30 * chance
                assert code != 1008 or number in self.farewells
                assert status != 403
            case State("refused"):
                assert isinstance(effects[-1], Tell)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), lets_in=st.booleans(), key=st.sampled_from([None, "a", "b"]))
    def hear(self, data: st.DataObject, *, lets_in: bool, key: str | None) -> None:
        message = object()
        effects = self.happen(Heard(self.one_of(data, self.open), message, lets_in, key))
        if key is None:
            assert effects[-1] == Deliver(message)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def hear_a_farewell(self, data: st.DataObject) -> None:
        number = self.one_of(data, self.open)
        assert self.happen(Farewell(number, 1001, "bye")) == []
        self.farewells.add(number)

    @precondition(lambda self: self.writing)
    @rule(data=st.data())
    def finish_a_write(self, data: st.DataObject) -> None:
        number = self.one_of(data, self.writing)
        del self.writing[number]
        self.happen(Written(number))

    @precondition(lambda self: self.writing)
    @rule(data=st.data())
    def find_a_socket_closed(self, data: st.DataObject) -> None:
        number = self.one_of(data, self.writing)
        frame = self.writing.pop(number)
        if frame != "ping":
            self.written.remove(frame)
            if self.said.index(frame) != len(self.written):
                # What was said later is with another socket already.
                self.said.remove(frame)
                self.said.insert(len(self.written), frame)
        self.happen(Unwritten(number))

    @rule()
    def say(self) -> None:
        frame = f"message {len(self.said)}"
        linked, ended, waiting = self.machine.linked, self.machine.ended, len(self.machine.unsent)
        try:
            self.said.append(frame)
            self.happen(Said(frame))
        except OutboxFull:
            self.said.remove(frame)
            assert not linked
            assert waiting >= UNSENT
        except ConnectionEnded:
            self.said.remove(frame)
            assert ended

    @rule(seconds=st.floats(0, 70), chance=st.floats(0, 1))
    def pass_time(self, seconds: float, chance: float) -> None:
        self.pass_until(self.now + seconds, chance)

    @precondition(lambda self: self.machine.deadline is not None)
    @rule(chance=st.floats(0, 1))
    def wait_for_the_next_timer(self, chance: float) -> None:
        assert self.machine.deadline is not None
        self.pass_until(max(self.now, self.machine.deadline), chance)

    def pass_until(self, until: float, chance: float) -> None:
        while (deadline := self.machine.deadline) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            timer = self.machine.due(self.now)
            assert timer is not None
            self.happen(timer, chance)
        self.now = until

    @precondition(lambda self: self.gone)
    @rule(data=st.data(), kind=st.sampled_from([Opened, Written, Unwritten, Lost]))
    def hear_from_a_socket_that_is_gone(self, data: st.DataObject, kind: type[Any]) -> None:
        assert self.happen(kind(self.one_of(data, self.gone))) == []

    @precondition(lambda self: len(self.gone) > self.patience)
    @rule()
    def leave(self) -> None:
        self.happen(Left())
        assert self.machine.ended
        if self.machine.phase is Phase.CLOSED:
            self.said = list(self.written)

    @invariant()
    def nothing_that_was_said_is_lost_or_repeated_or_out_of_order(self) -> None:
        assert [*self.written, *self.machine.unsent] == self.said

    @invariant()
    def there_are_as_many_sockets_as_the_phase_says(self) -> None:
        live = len(self.dialling | self.open)
        phase = self.machine.phase
        assert live == {Phase.CONNECTING: 1, Phase.OPEN: 1, Phase.RENEWING: 2, Phase.OVERLAPPING: 2}.get(phase, 0)
        assert phase in PHASES[self.machine.state.name]

    @invariant()
    def whoever_waits_waits_for_a_time(self) -> None:
        assert (self.machine.deadline is None) <= (self.machine.phase is not Phase.WAITING)
        assert not (self.machine.ended and self.machine.deadline is not None)


Trouble.TestCase.settings = settings(settings.default, max_examples=60, stateful_step_count=80)
TestTrouble = Trouble.TestCase


# The rows of the table, each by itself.

PATHS: dict[Phase, tuple[Event, ...]] = {
    Phase.NEW: (),
    Phase.CONNECTING: (Started(),),
    Phase.WAITING: (Started(), Lost(1)),
    Phase.OPEN: (Started(), Opened(1)),
    Phase.RENEWING: (Started(), Opened(1), Timer.HAND_OVER),
    Phase.OVERLAPPING: (Started(), Opened(1), Timer.HAND_OVER, Opened(2)),
    Phase.REFUSED: (Started(), Lost(1, 1008)),
    Phase.CLOSED: (Started(), Left()),
}
"""How to come to each phase."""

NUMBERS = {
    Phase.CONNECTING: {Role.LINK: 1},
    Phase.OPEN: {Role.LINK: 1},
    Phase.RENEWING: {Role.LINK: 1, Role.HEIR: 2},
    Phase.OVERLAPPING: {Role.LINK: 2, Role.RETIRING: 1},
}
"""Which sockets there are then."""

OF_A_SOCKET: list[Callable[[int], Event]] = [
    Opened,
    lambda number: Heard(number, "message"),
    lambda number: Heard(number, "welcome", lets_in=True),
    lambda number: Farewell(number, 1001, "bye"),
    Written,
    Unwritten,
    Lost,
    lambda number: Lost(number, 1008),
]


def at(phase: Phase, policy: Policy) -> Machine:
    machine = Machine(policy)
    for event in PATHS[phase]:
        let_happen(machine, event)
    assert machine.phase is phase
    return machine


def let_happen(machine: Machine, event: Event) -> list[Effect]:
    if isinstance(event, Timer):
        machine._timers[event] = 0
    return machine.happen(event, now=0, chance=1)


def events_at(phase: Phase) -> Iterator[tuple[Event, Role | None]]:
    for event in (Started(), Said("text"), Left(), *Timer):
        yield event, None
    for role, number in NUMBERS.get(phase, {}).items():
        for make in OF_A_SOCKET:
            yield make(number), role


CASES = [(phase, *case) for phase in Phase for case in events_at(phase)]


@pytest.mark.parametrize(
    ("phase", "event", "role"), CASES, ids=lambda value: getattr(value, "name", None) or repr(value)
)
def test_an_event_leads_where_its_row_says_or_changes_nothing(phase: Phase, event: Event, role: Role | None) -> None:
    machine = at(phase, Policy(ping="ping", unsent=1))
    row = Machine.TRANSITIONS.get((phase, event if isinstance(event, Timer) else type(event), role))
    if row is None:
        before = (machine.state, machine.deadline, machine.pending)
        with pytest.raises(ValueError, match=f"that is {phase.name}, but got"):
            machine.happen(event, now=0, chance=1)
        assert (machine.phase, machine.state, machine.deadline, machine.pending) == (phase, *before)
    elif isinstance(event, Said) and machine.ended:
        with pytest.raises(ConnectionEnded):
            let_happen(machine, event)
    else:
        let_happen(machine, event)
        assert machine.phase in row.to


def test_every_row_is_one_that_can_happen() -> None:
    kinds = {(phase, event if isinstance(event, Timer) else type(event), role) for phase, event, role in CASES}
    assert set(Machine.TRANSITIONS) <= kinds


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 426])
def test_a_handshake_that_is_refused_is_not_tried_again(status: int) -> None:
    machine = at(Phase.CONNECTING, Policy())
    assert let_happen(machine, Lost(1, 1006, "no", status)) == [Tell(State("refused", None, 1006, "no", status))]
    with pytest.raises(ConnectionEnded, match=f"by the handshake's status {status}: no"):
        let_happen(machine, Said("text"))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_handshake_that_failed_for_now_is_tried_again(status: int) -> None:
    machine = at(Phase.CONNECTING, Policy(first_delay=2))
    assert let_happen(machine, Lost(1, 1006, "", status)) == [Tell(State("waiting", 2, 1006, "", status))]


@pytest.mark.parametrize(("lost", "again"), [(Lost(2), True), (Lost(2, 1008), False), (Lost(2, status=403), False)])
def test_an_heir_that_is_refused_is_the_last(lost: Lost, again: bool) -> None:
    machine = at(Phase.RENEWING, Policy(first_delay=2))
    let_happen(machine, Timer.STABLE)
    let_happen(machine, lost)
    assert machine.state == State("open")
    assert machine.deadline == (2 if again else None)


def test_a_ping_waits_for_what_is_being_written_and_goes_before_what_waits() -> None:
    machine = at(Phase.OPEN, Policy(ping="ping"))
    assert let_happen(machine, Said("first")) == [Write(1, "first")]
    assert let_happen(machine, Said("second")) == []
    assert let_happen(machine, Timer.SILENCE) == []
    assert let_happen(machine, Written(1)) == [Write(1, "ping")]
    assert machine.pending == 1
    assert let_happen(machine, Written(1)) == [Write(1, "second")]


def test_a_ping_that_was_not_written_is_not_for_the_next_socket() -> None:
    machine = at(Phase.OPEN, Policy(ping="ping"))
    assert let_happen(machine, Timer.SILENCE) == [Write(1, "ping")]
    let_happen(machine, Unwritten(1))
    assert list(machine.unsent) == []


def test_the_delay_is_bounded_after_any_number_of_attempts() -> None:
    machine = at(Phase.CONNECTING, Policy(first_delay=1, longest_delay=30))
    for number in range(1, 2000):
        let_happen(machine, Lost(number))
        assert machine.deadline == min(30, 2.0 ** (number - 1) if number < 10 else 30)
        let_happen(machine, Timer.RETRY)


def test_a_ping_is_asked_for_again_after_an_answer_that_nobody_looked_for() -> None:
    machine = at(Phase.OPEN, Policy(ping="ping", answer_within=10, stable_after=100, hand_over_after=None))
    let_happen(machine, Timer.SILENCE)
    assert machine.deadline == 10
    machine.postpone(Timer.ANSWER, now=10)
    assert machine.deadline == 20
