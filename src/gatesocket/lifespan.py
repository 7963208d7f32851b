"""An app's lifespan, once per process (https://asgi.readthedocs.io/en/stable/specs/lifespan.html)."""

import asyncio
import logging
from typing import Any

from starlette.types import ASGIApp

from gatesocket.exceptions import ConfigurationError

__all__ = ["Lifespan"]

logger = logging.getLogger("gatesocket")


class Lifespan:
    """Runs an app's start-up on first need and keeps it open until `shutdown`.

    An app that doesn't know the lifespan protocol is served without, as every ASGI server does.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._begun: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[Any] = asyncio.Queue()
        self.state: dict[str, Any] = {}
        """What the start-up has put into ``scope["state"]``; each connection gets a copy."""

    async def startup(self) -> None:
        """Run the app's start-up; calls that come meanwhile wait for it, and later ones do nothing.

        Raises:
            ConfigurationError: the start-up failed, with the app's own error as its cause. The next call tries again.
        """
        if self._begun is None:
            self._begun = asyncio.ensure_future(self._start())
        try:
            await asyncio.shield(self._begun)
        except ConfigurationError:
            self._begun = None
            raise

    async def shutdown(self) -> None:
        """Run the app's clean-up, if its start-up has run.

        Raises:
            ConfigurationError: the clean-up failed, with the app's own error as its cause.
        """
        self._begun = None
        if self._task is not None:
            await self._exchange("shutdown", self._task)
            self._task = None

    async def _start(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        task = asyncio.ensure_future(self._run(scope))
        if await self._exchange("startup", task):
            self._task = task

    async def _run(self, scope: dict[str, Any]) -> None:
        await self._app(scope, self._to_app.get, self._from_app.put)

    async def _exchange(self, phase: str, task: "asyncio.Task[None]") -> bool:
        """Tell the app of *phase*; return whether it answered."""
        self._to_app.put_nowait({"type": f"lifespan.{phase}"})
        answer = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait({answer, task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            # The specification's way of saying "unsupported": an exception, or a return, before any answer.
            answer.cancel()
            logger.debug("the app doesn't take part in the lifespan protocol: %r", task.exception())
            return False
        reply = answer.result()
        if reply["type"] == f"lifespan.{phase}.complete":
            if phase == "shutdown":
                await task
            return True
        # An app that failed has usually ended by now, and its error says more than its message.
        task.cancel()
        await asyncio.wait({task})
        error = None if task.cancelled() else task.exception()
        raise ConfigurationError(f"the app's {phase} failed: {error or reply.get('message', '')}") from error
