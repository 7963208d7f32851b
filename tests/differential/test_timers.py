"""Routes with timers do the same hibernating, and at the same times, as in one long life."""

from functools import partial
from pathlib import Path

import pytest

from gatesocket.hibernation import prepare
from support.lives import load
from support.timed_lives import hibernating, long_lived

MODULE = Path(__file__).parent / "endpoints" / "timed" / "timers.py"
ROUTES = load(MODULE).SAID


@pytest.mark.parametrize("name", ROUTES)
def test_both_lives_are_the_same_at_the_same_times(name: str) -> None:
    image = partial(load, MODULE)
    module = image()
    expected = long_lived(module, f"/{name}", ROUTES[name])
    assert expected, "nothing happened that could differ"

    prepare(module.app)
    assert long_lived(module, f"/{name}", ROUTES[name]) == expected, "transformed, but not hibernating"

    transcript, _ = hibernating(image, f"/{name}", ROUTES[name])
    assert transcript == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("countdown", [0, 60, 120, 180]),
        ("ticks_until_the_client_says_something", [0, 2, 4, 6, 7]),
        ("messages_wait_while_the_route_sleeps", [0, 5, 15]),
        ("a_deadline_for_a_conversation", [0, 1, 2, 10, 30]),
        ("a_limit_on_a_helper_that_sleeps", [0, 4, 8, 12, 16, 18]),
        ("short_timers_only", [0, 1, 2]),
    ],
)
def test_a_route_is_woken_when_its_timers_end_and_for_messages_that_it_waits_for(
    name: str, expected: list[float]
) -> None:
    _, wakes = hibernating(partial(load, MODULE), f"/{name}", ROUTES[name])
    assert wakes == expected
