import logging

import pytest


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
