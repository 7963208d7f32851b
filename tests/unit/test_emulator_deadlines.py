from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gatesocket.emulator.deadlines import Deadlines


def test_the_nearest_comes_first() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("late", 30)
    deadlines.set("early", 10)
    assert deadlines.next() == 10
    assert [deadlines.pop(now=30), deadlines.pop(now=30), deadlines.pop(now=30)] == ["early", "late", None]


def test_nothing_is_due_before_its_time() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("a", 10)
    assert deadlines.pop(now=9) is None
    assert deadlines.pop(now=10) == "a"


def test_a_deadline_that_moves_away_a_thousand_times_stays_one_entry() -> None:
    """Else ten minutes of chatter would fill the memory with what no longer holds."""
    deadlines: Deadlines[str] = Deadlines()
    for when in range(1000):
        deadlines.set("a", when)
    assert len(deadlines._heap) == 1
    assert deadlines.next() == 999


class ComparedWithADict(RuleBasedStateMachine):
    """However deadlines are set, moved and dropped, what comes out is what a plain search would find."""

    keys = st.integers(0, 5)
    times = st.integers(0, 20)

    def __init__(self) -> None:
        super().__init__()
        self.deadlines: Deadlines[int] = Deadlines()
        self.plain: dict[int, int] = {}

    @rule(key=keys, when=times)
    def set(self, key: int, when: int) -> None:
        self.deadlines.set(key, when)
        self.plain[key] = when

    @rule(key=keys)
    def drop(self, key: int) -> None:
        self.deadlines.drop(key)
        self.plain.pop(key, None)

    @rule(now=times)
    def pop(self, now: int) -> None:
        key = self.deadlines.pop(now)
        nearest = min(self.plain.values(), default=now + 1)
        if key is None:
            assert nearest > now
        else:
            assert self.plain.pop(key) == nearest <= now

    @invariant()
    def next_is_the_nearest(self) -> None:
        assert self.deadlines.next() == min(self.plain.values(), default=None)
        assert len(self.deadlines) == len(self.plain)


TestComparedWithADict = ComparedWithADict.TestCase
