"""What API Gateway throttles, and the token bucket that it does so with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.emulator.throttle import Admission, Quotas, RateLimit, Throttle

T0 = 1_708_326_702_789


def test_a_burst_passes_at_once_and_then_the_rate() -> None:
    throttle = Throttle(RateLimit(rate=2, burst=3))
    assert [throttle.admits(T0) for _ in range(4)] == [True, True, True, False]
    assert not throttle.admits(T0 + 499)
    assert throttle.admits(T0 + 500)
    assert not throttle.admits(T0 + 999)


def test_no_more_is_saved_than_a_burst() -> None:
    throttle = Throttle(RateLimit(rate=1000, burst=2))
    throttle.admits(T0)
    assert [throttle.admits(T0 + 3_600_000) for _ in range(3)] == [True, True, False]


def test_a_clock_that_goes_back_brings_nothing() -> None:
    throttle = Throttle(RateLimit(rate=1, burst=1))
    assert throttle.admits(T0)
    assert not throttle.admits(T0 - 10_000)
    assert not throttle.admits(T0 - 9_500)
    assert throttle.admits(T0 - 9_000)


@pytest.mark.parametrize("burst", [0, 1, 7])
@given(waits=st.lists(st.integers(0, 500), max_size=200))
def test_never_more_than_burst_and_rate_allow(burst: int, waits: list[int]) -> None:
    throttle, now, admitted = Throttle(RateLimit(rate=5, burst=burst)), T0, 0
    for wait in waits:
        now += wait
        admitted += throttle.admits(now)
    assert admitted <= burst + 5 * (now - T0) / 1000


def test_without_limits_everything_is_served() -> None:
    admission = Admission(None, {})
    assert all(admission.of_connection(T0, "$connect") and admission.of_request(T0, "$default") for _ in range(1000))


def test_connections_and_requests_are_counted_apart() -> None:
    admission = Admission(Quotas(connections=RateLimit(1, 1), requests=RateLimit(1, 2)), {})
    assert [admission.of_connection(T0, "$connect") for _ in range(2)] == [True, False]
    assert [admission.of_request(T0, "$default"), admission.of_request(T0), admission.of_request(T0)] == [
        True,
        True,
        False,
    ]


def test_a_routes_own_limit_turns_away_what_invokes_it_and_nothing_else() -> None:
    admission = Admission(Quotas(), {"$connect": RateLimit(1, 1), "chat": RateLimit(1, 1)})
    assert [admission.of_connection(T0, "$connect") for _ in range(2)] == [True, False]
    assert [admission.of_request(T0, "chat") for _ in range(2)] == [True, False]
    assert admission.of_request(T0, "$default")
    assert admission.of_request(T0)


def test_what_the_account_turns_away_takes_nothing_from_the_route() -> None:
    admission = Admission(Quotas(requests=RateLimit(1, 1)), {"chat": RateLimit(0.001, 1)})
    assert admission.of_request(T0)
    assert not admission.of_request(T0, "chat")
    assert admission.of_request(T0 + 1000, "chat")
