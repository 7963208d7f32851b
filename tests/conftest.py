import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Gatesocket runs where Lambda's and uvicorn's event loops do: on asyncio."""
    return "asyncio"
