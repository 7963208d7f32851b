"""Whether a call is made again, and after how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.aws.base import Refused, Unreachable
from gatesocket.aws.retry import STATUSES, THROTTLED, Policy, pause
from gatesocket.exceptions import ConfigurationError

SLOW_DOWN = Refused("ThrottlingException", "", 400)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (Unreachable("no answer"), True),
        *((Refused("Whatever", "", status), True) for status in sorted(STATUSES)),
        *((Refused(code, "", 400), True) for code in sorted(THROTTLED)),
        (Refused("ConditionalCheckFailedException", "", 400), False),
        (Refused("ValidationException", "", 400), False),
        (Refused("ForbiddenException", "", 403), False),
        (Refused("GoneException", "", 410), False),
        (Refused("PayloadTooLargeException", "", 413), False),
        (Refused("NotImplemented", "", 501), False),
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again(error: Refused | Unreachable, *, again: bool) -> None:
    assert (pause(error, Policy(), made=1, elapsed=0, chance=0.5) is not None) is again


@pytest.mark.parametrize(("made", "longest"), [(1, 0.05), (2, 0.1), (3, 0.2), (4, 0.4), (5, 0.8), (8, 2.0), (50, 2.0)])
def test_waits_may_grow_and_are_of_any_length_up_to_a_bound(made: int, longest: float) -> None:
    policy = Policy(attempts=100)
    for chance in (0, 0.25, 1):
        assert pause(SLOW_DOWN, policy, made=made, elapsed=0, chance=chance) == pytest.approx(chance * longest)


def test_there_are_only_so_many_attempts() -> None:
    policy = Policy(attempts=3)
    assert pause(SLOW_DOWN, policy, made=2, elapsed=0, chance=1) is not None
    assert pause(SLOW_DOWN, policy, made=3, elapsed=0, chance=0) is None


def test_no_attempt_begins_after_the_time_is_used_up() -> None:
    policy = Policy(budget=10)
    assert pause(SLOW_DOWN, policy, made=1, elapsed=9.94, chance=1) == 0.05
    assert pause(SLOW_DOWN, policy, made=1, elapsed=9.95, chance=1) is None


@pytest.mark.parametrize(("seconds", "budget"), [(None, 10), (1, 1), (10, 10), (20, 10)])
def test_a_policy_can_be_given_less_time_but_not_more(seconds: float | None, budget: float) -> None:
    assert Policy(budget=10, attempts=3).within(seconds) == Policy(budget=budget, attempts=3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.floats(0, 5))
def test_a_call_ends_within_its_budget_whatever_chance_says(chances: list[float], took: float) -> None:
    """Attempts of *took* seconds each: only the last of them may end after it."""
    policy = Policy(attempts=1000)
    elapsed = 0.0
    for made, chance in enumerate(chances, start=1):
        assert elapsed < policy.budget
        elapsed += took
        wait = pause(SLOW_DOWN, policy, made=made, elapsed=elapsed, chance=chance)
        if wait is None:
            break
        elapsed += wait


def test_the_environment_says_how_often() -> None:
    assert Policy.of_environment({}) == Policy()
    assert Policy.of_environment({"AWS_MAX_ATTEMPTS": "1"}) == Policy(attempts=1)


@pytest.mark.parametrize("attempts", ["0", "many", ""])
def test_what_is_no_number_of_attempts_is_refused(attempts: str) -> None:
    with pytest.raises(ConfigurationError, match=f"AWS_MAX_ATTEMPTS.*1 or more, but is '{attempts}'"):
        Policy.of_environment({"AWS_MAX_ATTEMPTS": attempts})
