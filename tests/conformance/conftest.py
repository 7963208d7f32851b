"""Every test here runs once in each life of an app.

Where a life is known to differ, the test says so with ``@pytest.mark.differs("test-client", reason="…")``. It must then
fail in that life: these reasons are the rows of the documented support matrix.
"""

import pytest

from support.emulated import Emulator
from support.served_lives import InTheTest, Life, Uvicorn

LIVES: tuple[Life, ...] = (Uvicorn(), InTheTest(), Emulator())


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "differs(*lives, reason): this exchange must fail in these lives")


@pytest.fixture(params=LIVES, ids=lambda life: life.name)
def life(request: pytest.FixtureRequest) -> Life:
    chosen: Life = request.param
    for mark in request.node.iter_markers("differs"):
        if chosen.name in mark.args:
            request.node.add_marker(pytest.mark.xfail(reason=mark.kwargs["reason"], strict=True))
    return chosen
