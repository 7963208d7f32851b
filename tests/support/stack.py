"""What stands behind the emulator's server in a test: a gateway model and functions written in the test."""

import asyncio
import contextlib
import ssl
import textwrap
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.api import Api, Route
from gatesocket.emulator.connections import Connections
from gatesocket.emulator.dev import bind
from gatesocket.emulator.effects import Invoke
from gatesocket.emulator.gateway import Gateway, Quirks
from gatesocket.emulator.http_api import HttpRequest, HttpResponse
from gatesocket.emulator.ids import random_id
from gatesocket.emulator.server import Application, Server
from gatesocket.emulator.stack import Stack
from gatesocket.emulator.template import load

__all__ = ["LittleStack", "deployed", "running", "serving"]

Handler = Callable[[dict[str, Any]], Any]


@dataclass
class LittleStack:
    """A stack of one function: *handler* gets each Lambda event, and returns or raises."""

    handler: Handler
    api: Api = field(
        default_factory=lambda: Api(
            "a1",
            "prod",
            "us-east-1",
            "127.0.0.1",
            r"\$default",
            {key: Route("F") for key in ("$connect", "$default", "$disconnect")},
        )
    )
    quirks: Quirks | None = None
    events: "asyncio.Queue[dict[str, Any]]" = field(default_factory=asyncio.Queue)
    """Every event that the function got."""
    requests: list[tuple[HttpRequest, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connections = Connections(Gateway(self.api, new_id=random_id, quirks=self.quirks), self._invoke)

    async def request(self, request: HttpRequest, path: str) -> HttpResponse:
        self.requests.append((request, path))
        return HttpResponse(200, (("content-type", "text/plain"), ("content-length", "99")), b"from the function")

    async def _invoke(self, effect: Invoke) -> Answer:
        event: Any = effect.event
        self.events.put_nowait(event)
        try:
            return Returned(self.handler(event))
        except Exception as error:
            return Failed(type(error).__name__, str(error))


@contextlib.asynccontextmanager
async def serving(
    stack: LittleStack, *, with_edge: bool = False, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve *stack* on a free port; give ``127.0.0.1:port``."""
    with bind("127.0.0.1", 0) as listening:
        host, port = listening.getsockname()
        server = Server(Application(stack, with_edge=with_edge), tls=tls)  # type: ignore[arg-type]
        served = asyncio.create_task(server.serve([listening]))
        try:
            yield f"{host}:{port}"
        finally:
            await stack.connections.aclose(grace=1)
            server.end()
            await served


@contextlib.asynccontextmanager
async def running(
    directory: Path, *, template: str, handler: str = "", **options: Any
) -> AsyncIterator[tuple[Stack, str]]:
    """Run *template*, with *handler* as its ``code/main.py``, on a free port; give the stack and ``127.0.0.1:port``.

    The *options* are those of `Stack`.
    """
    (directory / "code").mkdir()
    (directory / "code" / "main.py").write_text(textwrap.dedent(handler), encoding="utf-8")
    (directory / "template.yaml").write_text(template, encoding="utf-8")
    async with deployed(directory / "template.yaml", **options) as stack_and_address:
        yield stack_and_address


@contextlib.asynccontextmanager
async def deployed(template: Path, **options: Any) -> AsyncIterator[tuple[Stack, str]]:
    """Run the template in a file, as `running` does."""
    loaded = load(template, region="us-east-1")
    with bind("127.0.0.1", 0) as listening:
        host, port = listening.getsockname()
        address = f"{host}:{port}"
        async with Stack(loaded, region="us-east-1", gateway_address=f"http://{address}", **options) as stack:
            server = Server(Application(stack, with_edge=True), tls=stack.certificate.context)
            served = asyncio.create_task(server.serve([listening]))
            try:
                yield stack, address
            finally:
                server.end()
                await served
