"""Servers in this very process, which are asked without a network.

The emulator serves the Management API from the process that runs its in-process functions. A post over a socket would
be one from the process to itself, whose two ends wait for one another's turn with the interpreter: a third of what a
message costs the emulator (`benchmarks/load.py`). Requests are signed all the same, so that they can be refused.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from gatesocket.aws.http import Address
from gatesocket.aws.http1 import Response
from gatesocket.aws.services import Call

__all__ = ["NEARBY", "Serve", "serving"]

Serve = Callable[[Call], Awaitable[Response]]
"""Answers a signed request, from whatever event loop it comes."""

NEARBY: Final[dict[Address, Serve]] = {}
"""Who serves which address; empty but in an emulator."""


@contextmanager
def serving(address: Address, serve: Serve) -> Iterator[None]:
    """Have *serve* answer this process's own requests to *address*, as long as the context lasts."""
    NEARBY[address] = serve
    try:
        yield
    finally:
        del NEARBY[address]
