"""The edge on this machine: takes WebSockets on any path, and passes them on to where its function says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

from support.edge_function import EdgeFunction

__all__ = ["edge_proxy"]

NEVER_SENT = {1005, 1006, 1015}  # codes that only say how a connection ended: RFC 6455, section 7.4.1


@asynccontextmanager
async def edge_proxy(function: EdgeFunction, origin: str) -> AsyncIterator[str]:
    """Yield the proxy's URL; *origin* is that of the WebSocket API, without the stage."""
    upstream: dict[ServerConnection, ClientConnection] = {}

    async def open_upstream(client: ServerConnection, request: Request) -> Response | None:
        path, question_mark, query = request.path.partition("?")
        path, rewritten = function.rewrite(path, query if question_mark else None)
        try:
            upstream[client] = await connect(f"{origin}{path}?{rewritten}")
        except InvalidStatus as refusal:
            return refusal.response
        return None

    async def pass_on(client: ServerConnection) -> None:
        api = upstream.pop(client)
        async with asyncio.TaskGroup() as directions:
            directions.create_task(_copy(client, api))
            directions.create_task(_copy(api, client))

    async with serve(pass_on, "127.0.0.1", 0, process_request=open_upstream) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}"


async def _copy(source: ServerConnection | ClientConnection, sink: ServerConnection | ClientConnection) -> None:
    """Pass messages on until *source* ends, then end *sink* in the same way."""
    try:
        while True:
            await sink.send(await source.recv())
    except ConnectionClosed:
        code = source.close_code
        await sink.close(1000 if code is None or code in NEVER_SENT else code)
