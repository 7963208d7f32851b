"""When the garbage collector is put off."""

import gc
from contextlib import suppress

import pytest

from gatesocket.collector import paused


@pytest.mark.parametrize("collects", [True, False])
def test_the_collector_is_put_off_in_a_block_and_then_as_it_was(*, collects: bool) -> None:
    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        with suppress(ZeroDivisionError), paused():
            during = gc.isenabled()
            _ = 1 / 0
        after = gc.isenabled()
    finally:
        (gc.enable if before else gc.disable)()
    assert (during, after) == (False, collects)
