"""Reading from several partitions at once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.registry.merge import merged


class Partition:
    """Gives its pages when a test lets it."""

    def __init__(self, name: str, pages: int, *, waits: bool = False) -> None:
        self.name = name
        self.pages = pages
        self.asked = 0
        self.closed = False
        self.gate = asyncio.Event()
        if not waits:
            self.gate.set()

    async def read(self) -> AsyncGenerator[str, None]:
        try:
            for number in range(self.pages):
                self.asked += 1
                await self.gate.wait()
                yield f"{self.name}{number}"
        finally:
            self.closed = True


@given(st.lists(st.integers(0, 5), max_size=6))
async def test_every_page_of_every_partition_comes_once_and_in_its_partitions_order(pages: list[int]) -> None:
    partitions = [Partition(chr(ord("a") + index), number) for index, number in enumerate(pages)]

    found = [page async for page in merged([partition.read() for partition in partitions])]

    assert sorted(found) == [f"{partition.name}{n}" for partition in partitions for n in range(partition.pages)]
    assert all(partition.closed for partition in partitions)


async def test_a_slow_partition_holds_no_other_up() -> None:
    slow, quick = Partition("slow", 1, waits=True), Partition("quick", 2)

    async with aclosing(merged([slow.read(), quick.read()])) as pages:
        assert [await anext(pages), await anext(pages)] == ["quick0", "quick1"]
        slow.gate.set()
        assert [page async for page in pages] == ["slow0"]


async def test_the_next_page_is_read_while_one_is_worked_on_and_no_more_than_that() -> None:
    partition = Partition("p", 9)

    async with aclosing(merged([partition.read()])) as pages:
        assert await anext(pages) == "p0"
        for _ in range(10):
            await asyncio.sleep(0)
        assert partition.asked == 2


async def test_whoever_has_had_enough_leaves_nothing_running() -> None:
    waiting, quick = Partition("waiting", 1, waits=True), Partition("quick", 9)
    running = asyncio.all_tasks()

    async with aclosing(merged([waiting.read(), quick.read()])) as pages:
        assert await anext(pages) == "quick0"

    assert waiting.closed
    assert quick.closed
    assert asyncio.all_tasks() == running


async def test_an_error_of_one_partition_is_the_readers() -> None:
    async def broken() -> AsyncGenerator[str, None]:
        yield "b0"
        raise ArithmeticError("throttled")

    waiting = Partition("waiting", 1, waits=True)

    pages = merged([waiting.read(), broken()])
    assert await anext(pages) == "b0"
    with pytest.raises(ArithmeticError, match="throttled"):
        await anext(pages)
    assert waiting.closed
