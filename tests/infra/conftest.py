from collections.abc import Iterator

import pytest

from support.edge_function import EdgeFunction
from support.servers import Server


@pytest.fixture(scope="session")
def edge_function() -> Iterator[EdgeFunction]:
    with EdgeFunction.under_node() as function:
        yield function


@pytest.fixture(scope="module")
def emulator() -> Iterator[Server]:
    """The chat behind an emulated API Gateway."""
    with Server("gateway") as server:
        yield server
