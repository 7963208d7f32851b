"""Reading from several partitions at once."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

__all__ = ["merged"]

T = TypeVar("T")


async def merged(sources: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
    """Iterate over all items of *sources*, in the order in which they come.

    Each source is asked for its next item as soon as it has given one, so that reading goes on while whoever iterates
    works on that one. At most one item of each is waiting. The first error ends it. All sources are closed at the end;
    so close this iterator, too, where it isn't read to its end: ``contextlib.aclosing``.
    """
    reads = {asyncio.ensure_future(anext(source)): source for source in sources}
    try:
        while reads:
            done, _ = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
            for read in done:
                source = reads.pop(read)
                try:
                    item = read.result()
                except StopAsyncIteration:
                    continue
                reads[asyncio.ensure_future(anext(source))] = source
                yield item
    finally:
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        for source in sources:
            await source.aclose()
