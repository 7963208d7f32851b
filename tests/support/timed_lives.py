"""The two lives of `support.lives`, in virtual time: messages come at their times, and timers end at theirs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

from gatesocket.hibernation import prepare, run
from support.lives import ending, messages, scope, transcript
from support.virtual_time import in_virtual_time, milliseconds

__all__ = ["Said", "hibernating", "long_lived"]

Said = tuple[float, str | int]
"""When a client says what, in seconds; a number is the close code that it leaves with."""


async def send(message: Any) -> None:
    """What the app sends with."""
    transcript.append(("send", round(asyncio.get_running_loop().time(), 1), dict(message)))


@asynccontextmanager
async def client(said: Iterable[Said]) -> AsyncIterator["asyncio.Queue[dict[str, Any]]"]:
    """What arrives of a client that says things at their times."""
    arrived: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    opened, *_ = messages(())
    arrived.put_nowait(opened)
    loop = asyncio.get_running_loop()
    for when, what in said:
        message = messages((what,))[1]
        loop.call_at(when, arrived.put_nowait, message)
    yield arrived


def long_lived(module: ModuleType, path: str, said: Iterable[Said]) -> list[tuple[Any, ...]]:
    """Live as under uvicorn: one coroutine, from the handshake to the end."""

    async def life() -> None:
        async with client(said) as arrived:
            await ending(module.app(scope(path), arrived.get, send), str(module.__file__))

    transcript.clear()
    in_virtual_time(life)
    return list(transcript)


def hibernating(
    image: Callable[[], ModuleType], path: str, said: Iterable[Said]
) -> tuple[list[tuple[Any, ...]], list[float]]:
    """Live as in the cloud: every message and every timer finds a new image of the module, and a snapshot.

    Returns the transcript, and when the route was woken.
    """
    wakes: list[float] = []

    async def life() -> None:
        loop = asyncio.get_running_loop()
        snapshot: bytes | None = None
        waiting: list[dict[str, Any]] = []
        async with client(said) as arrived:
            while True:
                wakes.append(round(loop.time(), 1))
                module = image()
                life = run(
                    module.app,
                    scope(path),
                    lambda: waiting.pop() if waiting else None if arrived.empty() else arrived.get_nowait(),
                    send,
                    blueprint=prepare(module.app),
                    snapshot=snapshot,
                    clock=milliseconds,
                )
                hibernated = await ending(life, str(module.__file__))
                if hibernated is None:
                    return
                snapshot = hibernated.snapshot
                due = None if hibernated.due is None else hibernated.due / 1000
                if hibernated.asleep:
                    assert due is not None
                    await asyncio.sleep(due - loop.time())
                    continue
                try:
                    async with asyncio.timeout_at(due):
                        waiting.append(await arrived.get())
                except TimeoutError:
                    continue

    transcript.clear()
    in_virtual_time(life)
    return list(transcript), wakes
