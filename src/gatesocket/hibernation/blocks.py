"""``with`` blocks that are left when the route hibernates, and entered again when it wakes.

What a ``with`` holds, a lock, a connection, a file, lives in one process; so it is given back when the route leaves the
process. The context manager sees the ordinary end of its block, not an exception: a database session is closed, a
transaction committed, a lock released. On waking the expression after ``with`` is evaluated again and entered again.

A context manager for which that is wrong says what is right in a method of its own, which is then called in place of
``__exit__``, or awaited in place of ``__aexit__``::

    class Transaction:
        async def __hibernate__(self) -> None:
            await self.rollback()  # what isn't finished when the client pauses isn't done at all

If leaving fails at hibernation, a transaction that can't be committed, the route goes on with that error, as it would
have at the end of the block.

A block with a deadline, as ``asyncio.timeout`` makes it, is entered again without one, and gets its old one back when
the route has come to where it waits: the time that waking takes must not cancel it anywhere before.
"""

from typing import TYPE_CHECKING, Any

from gatesocket.hibernation.timers import has_deadline, set_deadline

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from types import TracebackType

    from gatesocket.hibernation.entry import Activation

__all__ = ["Block", "Hibernate"]


class Hibernate(BaseException):
    """Unwinds a route that has been saved; no handler of the user's sees it."""


class Block:
    """A context manager around the user's own, for both kinds of ``with``."""

    __slots__ = ("_activation", "_exit", "manager", "number", "value")

    def __init__(self, activation: "Activation", number: int, manager: Any) -> None:
        self._activation = activation
        self.number = number
        self.manager = manager
        self.value: Any = None
        """What entering gave."""
        self._exit: Callable[..., Any] = _no_exit

    def __enter__(self) -> Any:
        manager: AbstractContextManager[Any] = self.manager
        enter, self._exit = type(manager).__enter__, type(manager).__exit__
        self.value = enter(manager)
        return self._entered()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: "TracebackType | None"
    ) -> bool | None:
        self._activation.blocks.remove(self)
        if kind is not Hibernate:
            return bool(self._exit(self.manager, kind, error, traceback))
        with self._activation.run.giving_back():
            self._give_back()
        return False

    async def __aenter__(self) -> Any:
        manager: AbstractAsyncContextManager[Any] = self.manager
        enter, self._exit = type(manager).__aenter__, type(manager).__aexit__
        self.value = await enter(manager)
        return self._entered()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: "TracebackType | None"
    ) -> bool | None:
        self._activation.blocks.remove(self)
        if kind is not Hibernate:
            return bool(await self._exit(self.manager, kind, error, traceback))
        with self._activation.run.giving_back():
            await self._give_back()
        return False

    def _entered(self) -> Any:
        self._activation.blocks.append(self)
        if self.number in self._activation.deadlines and has_deadline(self.value):
            set_deadline(self.value, None)
            self._activation.run.disarmed.append((self, self._activation.deadlines.pop(self.number)))
        return self.value

    @property
    def is_open(self) -> bool:
        """Whether it was entered, and not left yet."""
        return self in self._activation.blocks

    def _give_back(self) -> Any:
        hibernate = getattr(type(self.manager), "__hibernate__", None)
        return self._exit(self.manager, None, None, None) if hibernate is None else hibernate(self.manager)


def _no_exit(*_: object) -> None:
    raise AssertionError("a block is left that was not entered")  # pragma: no cover
