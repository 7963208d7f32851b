"""What is asked of a waker, and for when."""

import pytest

from gatesocket.exceptions import ConfigurationError
from gatesocket.invocation import LEASE_MARGIN
from gatesocket.limits import WAKE_DELAY_SECONDS
from gatesocket.registry.base import Busy
from gatesocket.wakes import Wakes

NOW = 1_700_000_000_000
ANN = "TXzPWdnOjoECGjA="


class Asked:
    """A waker that only notes the delay and the due of each wake."""

    def __init__(self) -> None:
        self.wakes: list[tuple[float, int | None]] = []

    async def wake(self, connection_id: str, *, delay: float = 0, due: int | None = None) -> None:
        assert connection_id == ANN
        self.wakes.append((delay, due))


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def wakes(asked: Asked) -> Wakes:
    return Wakes(asked, lambda: NOW)


async def test_a_wake_comes_at_once_or_when_it_is_due(wakes: Wakes, asked: Asked) -> None:
    await wakes.ask(ANN)
    await wakes.ask(ANN, NOW + 1_500)
    await wakes.ask(ANN, NOW - 1_500)

    assert asked.wakes == [(0, None), (1.5, NOW + 1_500), (0, NOW - 1_500)]


async def test_a_wake_that_is_due_later_than_sqs_can_wait_comes_when_sqs_can(wakes: Wakes, asked: Asked) -> None:
    due = NOW + WAKE_DELAY_SECONDS * 2000

    await wakes.ask(ANN, due)

    assert asked.wakes == [(WAKE_DELAY_SECONDS, due)]


async def test_somebody_looks_again_when_the_holders_lease_is_over_on_any_clock(wakes: Wakes, asked: Asked) -> None:
    await wakes.look_again(ANN, Busy(look_again=5_000), NOW)

    assert asked.wakes == [((5_000 + LEASE_MARGIN) / 1000, NOW)]


async def test_nobody_looks_again_where_something_else_would(wakes: Wakes, asked: Asked) -> None:
    await wakes.look_again(ANN, Busy())

    assert asked.wakes == []


async def test_without_a_waker_only_a_wake_that_is_needed_is_an_error(wakes: Wakes) -> None:
    nobody = Wakes(None, lambda: NOW)

    await nobody.look_again(ANN, Busy(look_again=5_000))
    with pytest.raises(ConfigurationError, match="no wake queue.*GATESOCKET_WAKE_QUEUE"):
        await nobody.ask(ANN)

    assert (wakes.possible, nobody.possible) == (True, False)
