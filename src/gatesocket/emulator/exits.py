"""Ends of the process that a function asks for, in a process that isn't its alone."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

__all__ = ["survived"]


@contextmanager
def survived() -> Iterator[None]:
    """Have ``os._exit`` raise `SystemExit` in other threads than the main one, as long as the context lasts.

    Functions of this process run in other threads, and their process, had they one of their own, would be over. A crash
    of the interpreter can't be survived; nor can an ``_exit`` that was imported from `os` before.
    """
    process, end = os.getpid(), os._exit

    def leave(status: int) -> NoReturn:
        # What a function forks is its own to end.
        if os.getpid() != process or threading.current_thread() is threading.main_thread():
            end(status)
        raise SystemExit(status)

    os._exit = leave
    try:
        yield
    finally:
        os._exit = end
