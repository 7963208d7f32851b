"""What pages say that a client sends, and what it gets: the same in both lives of the app that the page shows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.exchanges import hold, is_exchange
from support.pages import PAGES, Shown, blocks, name_of
from support.served_lives import InTheTest, Life, Uvicorn


@pytest.mark.parametrize("life", [Uvicorn(), InTheTest()], ids=lambda life: life.name)
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(is_exchange, blocks(page, "")))], ids=name_of)
def test_the_exchanges_of_a_page(page: Path, life: Life, show: Callable[..., Shown]) -> None:
    shown = show(page)

    with life.serve(shown["app"]) as client:
        for block in filter(is_exchange, blocks(page, "")):
            try:
                hold(block, client, cloud=life.name != "uvicorn")
            except Exception as error:
                error.add_note(f"in the exchange at {name_of(page)}:{block.line}")
                raise
