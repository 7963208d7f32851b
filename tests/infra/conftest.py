from collections.abc import Iterator

import pytest

from support.edge_function import EdgeFunction


@pytest.fixture(scope="session")
def edge_function() -> Iterator[EdgeFunction]:
    with EdgeFunction.under_node() as function:
        yield function
