"""The cloud life over real sockets: an app behind the emulator's server, its Management API called over HTTP."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import boto3
import httpx2
from anyio.from_thread import start_blocking_portal
from starlette.types import ASGIApp

from gatesocket import WebSocketHandler
from gatesocket.backend import Backend, use
from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.api import Api, Route
from gatesocket.emulator.connections import Connections
from gatesocket.emulator.dev import bind
from gatesocket.emulator.effects import Invoke
from gatesocket.emulator.functions import LambdaContext
from gatesocket.emulator.gateway import Gateway
from gatesocket.emulator.http_api import HttpRequest, HttpResponse
from gatesocket.emulator.ids import random_id
from gatesocket.emulator.server import Application, Server
from gatesocket.gateway.management_api import ManagementAPI
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.settings import Settings
from gatesocket.waker import MemoryWaker
from support.served_lives import PATIENCE, Client, RealClient

__all__ = ["Emulator"]


class Emulator:
    """API Gateway, emulated on a socket, in front of the Lambda handler."""

    name = "emulator"

    @contextmanager
    def serve(self, app: ASGIApp) -> Iterator[Client]:
        with ExitStack() as stack:
            listening = stack.enter_context(bind("127.0.0.1", 0))
            address = f"127.0.0.1:{listening.getsockname()[1]}"
            portal = stack.enter_context(start_blocking_portal())
            function = portal.call(HandlerStack, app, address)
            portal.call(function.handler.startup)
            server = Server(Application(function, with_edge=True))  # type: ignore[arg-type]
            serving = portal.start_task_soon(server.serve, [listening])
            try:
                yield RealClient(address)
            finally:
                server.end()
                serving.result(PATIENCE)
                portal.call(function.aclose)


class HandlerStack:
    """One `WebSocketHandler`, as the server behind which it stands sees a stack."""

    def __init__(self, app: ASGIApp, address: str) -> None:
        keys = ("$connect", "$default", "$disconnect")
        self.api = Api("a1", "prod", "us-east-1", address, r"\$default", {key: Route("F") for key in keys})
        self._app = app
        self._client: Any = boto3.client(
            "apigatewaymanagementapi",
            endpoint_url=f"http://{address}/prod",
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        self._backend = Backend(MemoryRegistry(), ManagementAPI(client=self._client), MemoryWaker(self._wake))
        self.handler = WebSocketHandler(
            app,
            registry=self._backend.registry,
            gateway=self._backend.gateway,
            waker=self._backend.waker,
            settings=Settings(),
        )
        self.connections = Connections(Gateway(self.api, new_id=random_id), self._on_invoke)
        self._wakes: set[asyncio.Task[Any]] = set()
        self._asleep: set[asyncio.Task[Any]] = set()

    async def request(self, request: HttpRequest, path: str) -> HttpResponse:
        """Serve an HTTP request as another function of the same app would."""
        url = f"http://{self.api.domain_name}{request.raw_path}?{request.query}"
        transport = httpx2.ASGITransport(app=self._app)
        with use(self._backend):
            async with httpx2.AsyncClient(transport=transport) as client:
                response = await client.request(
                    request.method, url, headers=list(request.headers), content=request.body
                )
        return HttpResponse(response.status_code, tuple(response.headers.items()), response.content)

    async def aclose(self) -> None:
        await self.connections.aclose(grace=PATIENCE)
        # A wake that is to come half a minute later, in case a holder dies, is nothing to wait for.
        for wake in self._asleep:
            wake.cancel()
        if self._wakes:
            await asyncio.wait(self._wakes)
        await self.handler.shutdown()
        self._client.close()

    async def _on_invoke(self, effect: Invoke) -> Answer:
        event: Any = effect.event
        return await self._invoke(event, effect.invocation_id)

    async def _wake(self, event: dict[str, Any], delay: float) -> None:
        async def invoke() -> None:
            await asyncio.sleep(delay)
            self._asleep.discard(wake)
            await self._invoke(event, random_id())

        wake = asyncio.create_task(invoke())
        for tasks in (self._wakes, self._asleep):
            tasks.add(wake)
            wake.add_done_callback(tasks.discard)

    async def _invoke(self, event: dict[str, Any], request_id: str) -> Answer:
        context = LambdaContext(request_id, "F", "arn:f", "512", deadline=time.monotonic() + 29)
        try:
            return Returned(await self.handler.invoke(event, context))
        except Exception as error:
            return Failed(type(error).__name__, str(error))
