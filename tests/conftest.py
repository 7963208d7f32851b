import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A machine that does much else is slow now and then: how long one example takes is no property of the code. Made of
# hypothesis's own default, which is another one under CI.
settings.register_profile("patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Gatesocket runs where Lambda's and uvicorn's event loops do: on asyncio."""
    return "asyncio"


@pytest.fixture(autouse=True)
def fresh_logger() -> None:
    """Give each test the logger of a process in which nobody has configured logging yet."""
    logger = logging.getLogger("gatesocket")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    logger.disabled = False


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """Give each test a process in which nobody has read the settings or connected yet, and leave such a one behind.

    The tests of the examples come after these, and are those of users, who have no such fixture.
    """
    _forget()
    yield
    _forget()


def _forget() -> None:
    # Only what is imported can have been used; importing it here would hide what the tests of imports look for.
    if (settings := sys.modules.get("gatesocket.settings")) is not None:
        settings.settings.cache_clear()
    if (backend := sys.modules.get("gatesocket.backend")) is not None:
        backend._of_process.cache_clear()
        backend._jobs_of_process.cache_clear()
