import warnings

import pytest

with warnings.catch_warnings():
    # Starlette 1.x asks for httpx2 in place of httpx when its test client is imported; either serves it.
    warnings.filterwarnings("ignore", "Using `httpx` with `starlette.testclient` is deprecated")
    import starlette.testclient  # noqa: F401


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Gatesocket runs where Lambda's and uvicorn's event loops do: on asyncio."""
    return "asyncio"
