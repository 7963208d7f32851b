"""An event loop whose time jumps: what waits for an hour is over at once, and in the right order."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["in_virtual_time", "milliseconds"]

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """Looks for what has happened, and lets the time pass in which nothing would."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everything waits, and nothing will happen"
            self.now += max(timeout, 0)
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def in_virtual_time(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *main* from time 0 on."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main())


def milliseconds() -> int:
    """The running loop's time, as a clock."""
    return round(asyncio.get_running_loop().time() * 1000)
