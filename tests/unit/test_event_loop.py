"""The event loop that a Lambda function keeps."""

import asyncio
import threading

import pytest

from gatesocket.event_loop import KeptLoop


def test_every_event_is_served_by_the_same_loop() -> None:
    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    kept = KeptLoop()

    assert kept.run(loop()) is kept.run(loop())
    kept.close()


def test_threads_wait_for_one_another() -> None:
    """Each event is served to its end before the next one begins, however often it waits."""
    steps: list[str] = []

    async def serve(name: str) -> None:
        steps.append(f"{name} begins")
        await asyncio.to_thread(steps.append, f"{name} works")
        steps.append(f"{name} ends")

    kept = KeptLoop()
    threads = [threading.Thread(target=kept.run, args=(serve(name),)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept.close()

    served = [step[0] for step in steps[::3]]
    assert sorted(served) == ["a", "b", "c", "d"]
    assert steps == [f"{name} {what}" for name in served for what in ("begins", "works", "ends")]


def test_an_error_leaves_the_loop_usable() -> None:
    async def fail() -> None:
        raise ValueError("wrong")

    async def answer() -> int:
        return 42

    kept = KeptLoop()
    with pytest.raises(ValueError, match="wrong"):
        kept.run(fail())

    assert kept.run(answer()) == 42
    kept.close()


def test_closing_what_was_never_used_does_nothing() -> None:
    KeptLoop().close()
