"""Each page's Python, run as it stands there."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatesocket import jobs
from support.pages import ROOT, Shown


@pytest.fixture
def show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Shown]]:
    """Runs the Python blocks of a page, which may take other things for granted than `given/` has."""
    monkeypatch.setattr(jobs, "_jobs", {})  # a page may be run once more
    # In a thread that has an event loop: Mangum makes one otherwise, and never closes it.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def run(page: str | Path, **given: Any) -> Shown:
        return Shown(ROOT / page, tmp_path, monkeypatch, given)

    yield run
    asyncio.set_event_loop(None)
    loop.close()
