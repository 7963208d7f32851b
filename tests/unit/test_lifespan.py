"""An app's lifespan, once per process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from gatesocket.exceptions import ConfigurationError
from gatesocket.lifespan import Lifespan


class Recorder:
    """An app whose lifespan records what happens."""

    def __init__(self, *, fails: bool = False, fails_at_the_end: bool = False) -> None:
        self.seen: list[str] = []
        self.fails = fails

        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
            self.seen.append("start")
            if self.fails:
                raise RuntimeError("no database")
            yield {"pool": "a pool"}
            self.seen.append("end")
            if fails_at_the_end:
                raise RuntimeError("lost the database")

        self.app = Starlette(lifespan=lifespan)


async def test_the_start_up_runs_once_however_often_it_is_asked_for() -> None:
    recorder = Recorder()
    lifespan = Lifespan(recorder.app)

    await asyncio.gather(lifespan.startup(), lifespan.startup())
    await lifespan.startup()

    assert recorder.seen == ["start"]
    assert lifespan.state == {"pool": "a pool"}
    await lifespan.shutdown()


async def test_the_clean_up_runs_once_and_only_after_a_start_up() -> None:
    recorder = Recorder()
    lifespan = Lifespan(recorder.app)

    await lifespan.shutdown()
    assert recorder.seen == []

    await lifespan.startup()
    await lifespan.shutdown()
    await lifespan.shutdown()
    assert recorder.seen == ["start", "end"]


async def test_a_failed_start_up_says_why_and_the_next_call_tries_again() -> None:
    recorder = Recorder(fails=True)
    lifespan = Lifespan(recorder.app)

    with pytest.raises(ConfigurationError, match="the app's startup failed: no database") as caught:
        await lifespan.startup()
    assert isinstance(caught.value.__cause__, RuntimeError)

    recorder.fails = False
    await lifespan.startup()
    assert recorder.seen == ["start", "start"]
    await lifespan.shutdown()


async def test_a_failed_clean_up_says_why() -> None:
    lifespan = Lifespan(Recorder(fails_at_the_end=True).app)
    await lifespan.startup()

    with pytest.raises(ConfigurationError, match="the app's shutdown failed: lost the database"):
        await lifespan.shutdown()


async def test_an_app_that_only_reports_its_failure_is_not_waited_for() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no luck"})
        await asyncio.Event().wait()

    with pytest.raises(ConfigurationError, match="the app's startup failed: no luck"):
        await Lifespan(app).startup()


async def test_an_app_that_raises_on_an_unknown_scope_is_served_without_a_lifespan() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"

    lifespan = Lifespan(app)
    await lifespan.startup()
    await lifespan.shutdown()


async def test_an_app_that_ends_before_the_clean_up_needs_none() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})

    lifespan = Lifespan(app)
    await lifespan.startup()
    await lifespan.shutdown()
