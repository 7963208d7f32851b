"""How long calls that fail are tried again, for callers that have something better to do than to wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["in_context", "patience"]

_seconds: ContextVar[float | None] = ContextVar("gatesocket.patience", default=None)


@contextmanager
def patience(seconds: float | None) -> Iterator[None]:
    """Let no call of this context be tried again after *seconds*; None leaves that to each client's own policy.

    `gatesocket.aws.AsyncioClient` keeps to it. boto3 tries again as it is configured to.
    """
    token = _seconds.set(seconds)
    try:
        yield
    finally:
        _seconds.reset(token)


def in_context() -> float | None:
    """Return the seconds that `patience` has given this context; None for no bound."""
    return _seconds.get()
