"""The time, where it enters the library; everything further in is given it."""

import time
from collections.abc import Callable

__all__ = ["Clock", "milliseconds"]

Clock = Callable[[], int]
"""Returns milliseconds since the epoch."""


def milliseconds() -> int:
    """Return milliseconds since the epoch, by this machine's clock."""
    return time.time_ns() // 1_000_000
