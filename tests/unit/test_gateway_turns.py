"""Turns: what one name is wanted for by several is done one after the other."""

import asyncio

import pytest

from gatesocket.gateway.turns import Turns


class Worker:
    """Takes a turn, says so, and ends it when the test lets it."""

    def __init__(self, turns: Turns, name: str, log: list[str], label: str) -> None:
        self.go_on = asyncio.Event()
        self.task = asyncio.create_task(self._work(turns, name, log, label))

    async def _work(self, turns: Turns, name: str, log: list[str], label: str) -> None:
        await turns.begin(name)
        try:
            log.append(label)
            await self.go_on.wait()
        finally:
            turns.end(name)


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    turns, log = Turns(), list[str]()
    workers = [Worker(turns, "ann", log, label) for label in "abc"]
    await settle()
    assert log == ["a"]
    for worker in workers:
        worker.go_on.set()
    await asyncio.gather(*(worker.task for worker in workers))
    assert log == ["a", "b", "c"]
    assert turns._waiting == {}, "nothing is kept of a name that nobody uses"


async def test_one_name_does_not_wait_for_another() -> None:
    turns, log = Turns(), list[str]()
    workers = [Worker(turns, name, log, name) for name in ("ann", "bob")]
    await settle()
    assert log == ["ann", "bob"]
    for worker in workers:
        worker.go_on.set()
        await worker.task


async def test_who_is_cancelled_while_waiting_is_passed_over() -> None:
    turns, log = Turns(), list[str]()
    first, second, third = (Worker(turns, "ann", log, label) for label in "abc")
    await settle()
    second.task.cancel()
    first.go_on.set()
    third.go_on.set()
    await asyncio.gather(first.task, third.task)
    assert log == ["a", "c"]
    with pytest.raises(asyncio.CancelledError):
        await second.task


async def test_who_is_cancelled_as_the_turn_comes_passes_it_on() -> None:
    turns, log = Turns(), list[str]()
    await turns.begin("ann")
    first, second = (Worker(turns, "ann", log, label) for label in "ab")
    await settle()
    turns.end("ann")  # the turn is the first's now, which hasn't run since
    first.task.cancel()
    second.go_on.set()
    await second.task
    assert log == ["b"]
    with pytest.raises(asyncio.CancelledError):
        await first.task
    assert turns._waiting == {}
