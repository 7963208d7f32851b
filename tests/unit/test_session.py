"""The life of a connection's record, without I/O."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.exceptions import InboxFull, LeaseLost, RegistryError
from gatesocket.registry.base import Busy, Changes, Entry, Forget, GiveUp, Lease, Record, Taken
from gatesocket.session import (
    MAX_ATTEMPTS,
    PASSING,
    TRANSITIONS,
    Arrived,
    Continue,
    Created,
    Ended,
    Event,
    Forgotten,
    HeldBack,
    Kept,
    Released,
    Restored,
    State,
    advance,
    diagram,
    state_of,
)
from support.rows import BOUNDS, CONNECTION, EVENTS, HELLO, HOLDER, IDLE, NEXT, NOW, STORED, TAKEN

DOCS = Path(__file__).parents[2] / "docs" / "connection.md"
LEFT = Entry("disconnect", "d", "left", 1001)
POST = Entry("post", "p", "from elsewhere")
DEAD = replace(TAKEN, lease=replace(HOLDER, expires_at=NOW))


def happen(record: Record | None, event: Event[Any]) -> tuple[Record | None, Any]:
    return advance(record, event, NOW, bounds=BOUNDS)


# States.


@pytest.mark.parametrize(
    ("record", "state"),
    [
        (None, State.ABSENT),
        (IDLE, State.IDLE),
        (TAKEN, State.HELD),
        (replace(TAKEN, lease=Lease("holder", NOW + 1)), State.HELD),
        (replace(TAKEN, lease=Lease("holder", NOW)), State.ABANDONED),
        (replace(TAKEN, expires_at=NOW // 1000), State.EXPIRED),
        (replace(IDLE, expires_at=NOW // 1000 + 1), State.IDLE),
    ],
)
def test_the_lease_and_the_time_to_live_make_the_state(record: Record | None, state: State) -> None:
    assert state_of(record, NOW) is state


# The life of a connection.


def test_a_new_connection_waits_for_its_first_event() -> None:
    assert happen(None, Created(IDLE)) == (IDLE, None)


def test_a_connection_may_be_found_while_its_handshake_is_under_way() -> None:
    """What comes then waits for the route, like all that comes beside a holder."""
    assert happen(None, Created(TAKEN)) == (TAKEN, None)


def test_what_arrives_takes_the_lease_and_is_run() -> None:
    assert happen(IDLE, Arrived(HELLO, HOLDER)) == (TAKEN, Taken(TAKEN))


def test_what_arrives_beside_a_holder_is_left_to_it() -> None:
    there = Entry("message", "m2", "there")
    assert happen(TAKEN, Arrived(there, NEXT)) == (replace(TAKEN, inbox=(HELLO, there)), Busy())


def test_somebody_is_to_look_whether_a_holder_came_to_the_disconnect() -> None:
    """Nothing else comes from that client; by then the holder's lease is over, too."""
    assert happen(TAKEN, Arrived(LEFT, NEXT)) == (replace(TAKEN, inbox=(HELLO, LEFT)), Busy(look_again=60_000))


def test_what_arrives_after_a_holder_has_died_takes_the_connection_over() -> None:
    after = replace(DEAD, inbox=(HELLO, LEFT), lease=NEXT, attempts=2, version=6)
    assert happen(DEAD, Arrived(LEFT, NEXT)) == (after, Taken(after))


@pytest.mark.parametrize(
    ("deaths", "effect"),
    [
        (MAX_ATTEMPTS - 1, Taken),
        (MAX_ATTEMPTS, GiveUp),
        (2 * MAX_ATTEMPTS - 1, GiveUp),
        (2 * MAX_ATTEMPTS, Forget),
    ],
)
def test_after_many_deaths_the_messages_are_given_up_and_then_the_route_is_forgotten(
    deaths: int, effect: type[Taken]
) -> None:
    after, taken = happen(replace(DEAD, attempts=deaths), Arrived(LEFT, NEXT))
    assert type(taken) is effect
    assert taken.record is after


def test_the_call_that_took_the_lease_takes_it_still_when_it_is_repeated() -> None:
    assert happen(TAKEN, Arrived(HELLO, HOLDER)) == (TAKEN, Taken(TAKEN))
    assert happen(TAKEN, Arrived(HELLO, NEXT)) == (TAKEN, Busy())


def test_a_release_gives_the_lease_up_and_writes_what_the_holder_left() -> None:
    changes = Changes(b"after", outbox=("bye",), live=True, user="ann")
    after = replace(IDLE, snapshot=b"after", outbox=("bye",), live=True, version=6)
    assert happen(TAKEN, Released(TAKEN, changes, seen=1)) == (after, None)
    assert happen(after, Released(TAKEN, changes, seen=1)) == (after, None), "when it is repeated"


def test_a_holder_that_has_not_seen_everything_goes_on() -> None:
    longer = replace(TAKEN, inbox=(HELLO, LEFT))
    assert happen(longer, Released(TAKEN, Changes(b"after"), seen=1)) == (longer, Continue((LEFT,)))


def test_a_holder_that_is_late_may_release_as_long_as_nobody_has_taken_over() -> None:
    assert happen(DEAD, Released(TAKEN, Changes(b"after"), seen=1)) == (TAKEN.after(Changes(b"after")), None)


@pytest.mark.parametrize("stored", [None, IDLE, replace(TAKEN, lease=NEXT), replace(TAKEN, expires_at=0)])
def test_nobody_but_the_holder_releases(stored: Record | None) -> None:
    with pytest.raises(LeaseLost):
        happen(stored, Released(TAKEN, Changes(b"after"), seen=1))


def test_a_record_that_nobody_took_is_not_released() -> None:
    with pytest.raises(LeaseLost):
        happen(TAKEN, Released(IDLE, Changes(b"after"), seen=1))


def test_nobody_has_seen_more_than_there_is() -> None:
    with pytest.raises(ValueError, match="holds 1 entries, so that 2"):
        happen(TAKEN, Released(TAKEN, Changes(b"after"), seen=2))


def test_a_text_from_elsewhere_waits_until_the_socket_is_live() -> None:
    after = replace(IDLE, inbox=(POST,))
    assert happen(IDLE, HeldBack(POST)) == (after, Kept())
    assert happen(after, HeldBack(POST)) == (after, Kept()), "and no second time"
    assert happen(replace(IDLE, live=True), HeldBack(POST)) == (replace(IDLE, live=True), None)


def test_the_end_leaves_nothing_and_names_whose_memberships_go() -> None:
    assert happen(IDLE, Ended()) == (None, Forgotten(IDLE))
    assert happen(TAKEN, Ended("holder")) == (None, Forgotten(TAKEN))
    assert happen(None, Ended("holder")) == (None, None)


def test_somebody_who_has_lost_the_lease_ends_nothing() -> None:
    with pytest.raises(LeaseLost):
        happen(TAKEN, Ended("another"))


def test_what_has_expired_is_absent_to_all_but_the_one_who_deletes_it() -> None:
    expired = replace(IDLE, expires_at=NOW // 1000)
    assert happen(expired, Arrived(HELLO, HOLDER)) == (expired, None)
    assert happen(expired, HeldBack(POST)) == (expired, None)
    assert happen(expired, Ended()) == (None, Forgotten(expired))


def test_what_was_deleted_when_it_expired_comes_back_for_its_end() -> None:
    event = Restored(TAKEN, LEFT, NEXT, NOW // 1000 + 60)
    after = replace(TAKEN, inbox=(HELLO, LEFT), lease=NEXT, attempts=2, version=6, expires_at=NOW // 1000 + 60)
    assert happen(None, event) == (after, Taken(after))
    assert happen(after, event) == (after, None), "but not over one that is there"


@pytest.mark.parametrize("record", [IDLE, DEAD])
def test_a_full_inbox_refuses_what_does_not_empty_it(record: Record) -> None:
    full = replace(record, inbox=(HELLO, POST))
    with pytest.raises(InboxFull):
        happen(full, Arrived(Entry("message", "m3"), NEXT))
    with pytest.raises(InboxFull):
        happen(full, HeldBack(Entry("post", "p3")))
    _, taken = happen(full, Arrived(Entry("wake", "w"), NEXT))
    assert isinstance(taken, Taken)


def test_a_connection_is_not_created_twice() -> None:
    assert happen(IDLE, Created(IDLE)) == (IDLE, None), "unless it is the very same call"
    with pytest.raises(RegistryError, match=rf"{CONNECTION}.* can't be created: its record is IDLE already"):
        happen(IDLE, Created(replace(IDLE, snapshot=b"another")))
    with pytest.raises(RegistryError, match="its record is HELD already"):
        happen(TAKEN, Created(IDLE))
    with pytest.raises(RegistryError, match="its record is ABANDONED already"):
        happen(DEAD, Created(DEAD))


# The table.


@pytest.mark.parametrize(("stored", "happening"), list(product(STORED, EVENTS)))
def test_each_row_leads_where_it_says_and_an_error_changes_nothing(stored: str, happening: str) -> None:
    record, event = STORED[stored], EVENTS[happening]
    transition = TRANSITIONS.get((state_of(record, NOW), type(event)))
    try:
        after, effect = happen(record, event)
    except (RegistryError, ValueError):
        assert record == STORED[stored]
        return
    assert transition is not None, "what isn't named is refused"
    effects = transition.to[state_of(after, NOW)]
    assert effect is None or type(effect) in effects


def test_each_row_and_each_of_its_effects_happens() -> None:
    named = {
        (state, event, to, effect)
        for (state, event), transition in TRANSITIONS.items()
        for to, effects in transition.to.items()
        for effect in effects or (type(None),)
    }
    happened: set[object] = set()
    for record, event in product(STORED.values(), EVENTS.values()):
        try:
            after, effect = happen(record, event)
        except (RegistryError, ValueError):
            continue
        happened.add((state_of(record, NOW), type(event), state_of(after, NOW), type(effect)))
    assert named <= happened


def test_each_event_is_named_somewhere_and_each_state_is_left() -> None:
    assert {event.__name__ for _, event in TRANSITIONS} == {event.__name__ for event in Event.__subclasses__()}
    assert {state for state, _ in TRANSITIONS} == set(State)


seconds = st.integers(min_value=0, max_value=8000)


@given(st.sampled_from(list(STORED)), seconds, seconds)
def test_time_leads_only_where_the_table_says(stored: str, first: int, more: int) -> None:
    record = STORED[stored]
    earlier, later = (state_of(record, NOW + 1000 * passed) for passed in (first, first + more))
    reachable = {earlier}
    for state, to in PASSING:
        if state in reachable:
            reachable.add(to)
    assert later in reachable


# Histories.

IDS = [f"m{number}" for number in range(4)]
arrivals = st.builds(
    Arrived,
    st.builds(Entry, st.sampled_from(["message", "wake", "disconnect"]), st.sampled_from(IDS)),
    st.builds(Lease, st.sampled_from(["one", "two", "three"]), st.integers(NOW, NOW + 5000)),
)


@given(st.lists(st.tuples(st.integers(0, 2000), st.one_of(arrivals, st.sampled_from(["release", "end"])))))
def test_what_was_accepted_waits_until_a_holder_who_has_seen_it_lets_it_go(
    history: list[tuple[int, Arrived | str]],
) -> None:
    record: Record | None = IDLE
    now, holding = NOW, []
    for passed, what in history:
        now += passed
        before = record
        if isinstance(what, Arrived):
            try:
                record, effect = advance(before, what, now, bounds=BOUNDS)
            except InboxFull:
                continue
            if isinstance(effect, Taken):
                holding.append(effect.record)
            if before is not None and record is not None:
                assert record.inbox[: len(before.inbox)] == before.inbox, "in order, and nothing lost"
                assert effect is None or what.entry in record.inbox
                changed = record.lease != before.lease
                assert not changed or state_of(before, now) in {State.IDLE, State.ABANDONED}, "one holder at a time"
        elif holding:
            held = holding.pop(0)
            event: Event[Any] = Released(held, Changes(b"after"), seen=len(held.inbox))
            if what == "end" and held.lease is not None:
                event = Ended(held.lease.holder)
            try:
                record, _ = advance(before, event, now, bounds=BOUNDS)
            except (LeaseLost, ValueError):
                continue
            if record is not None and before is not None and record.inbox != before.inbox:
                assert before.inbox == held.inbox, "only what the holder has seen goes"


# The diagram.


def test_the_diagram_draws_what_changes_something_and_leaves_out_the_rest() -> None:
    lines = diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> ABSENT"]
    assert "    ABSENT --> IDLE: Created" in lines
    assert "    HELD --> HELD: Released / Continue" in lines
    assert "    HELD --> ABANDONED: the lease is over" in lines
    assert not any("ABSENT --> ABSENT" in line or "EXPIRED --> EXPIRED" in line for line in lines)


def test_the_documentation_shows_the_diagram_of_the_table() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert f"```mermaid\n{diagram()}\n```" in page, f"docs/connection.md is to have this diagram:\n{diagram()}"


@pytest.mark.parametrize("effect", [Taken, GiveUp, Forget, Busy, Continue, Kept, Forgotten])
def test_the_documentation_says_what_each_effect_asks_for(effect: type) -> None:
    assert f"\n| `{effect.__name__}` | " in DOCS.read_text(encoding="utf-8")
