"""The emulated API Gateway on a real socket."""

import asyncio
import signal
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from gatesocket.emulator import server as server_module
from gatesocket.emulator.dev import bind
from gatesocket.emulator.quirks import Quirks
from gatesocket.emulator.server import Application, Server
from support.stack import LittleStack, serving

SCOPE = "local/20240219/us-east-1/execute-api/aws4_request"
SIGNATURE = "0" * 64
SIGNED = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host;x-amz-date, Signature={SIGNATURE}"
"""A signature of AWS's shape."""


def accept(event: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": 200}


async def connection_id(stack: LittleStack) -> str:
    """Return the id of the connection whose event is the next."""
    identifier: str = (await stack.events.get())["requestContext"]["connectionId"]
    return identifier


@pytest.mark.parametrize("path", ["/prod", "/prod/", "/prod?a=1"])
async def test_a_client_connects_to_the_stage(path: str) -> None:
    stack = LittleStack(accept)
    async with serving(stack) as address, connect(f"ws://{address}{path}") as client:
        await client.send("hi")
        assert (await stack.events.get())["requestContext"]["eventType"] == "CONNECT"
        assert (await stack.events.get())["body"] == "hi"


@pytest.mark.parametrize("path", ["/prod/extra", "/other", "/"])
async def test_every_other_path_is_forbidden(path: str) -> None:
    async with serving(LittleStack(accept)) as address:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{address}{path}")
    assert refused.value.response.status_code == 403


async def test_behind_the_edge_a_client_connects_to_any_path() -> None:
    stack = LittleStack(accept)
    async with serving(stack, with_edge=True) as address:
        async with connect(f"ws://{address}/ws/a%20b?name=ann&name=bob"):
            event = await stack.events.get()
        assert event["multiValueQueryStringParameters"] == {"__path": ["/ws/a b"], "name": ["ann", "bob"]}
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{address}/prod/extra")
    assert refused.value.response.status_code == 403


async def test_a_refused_handshake_has_the_functions_status_and_body() -> None:
    async with serving(LittleStack(lambda event: {"statusCode": 401, "body": "no token"})) as address:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{address}/prod")
    assert (refused.value.response.status_code, refused.value.response.body) == (401, b"no token")


async def test_a_refused_handshake_has_the_functions_headers_if_a_quirk_says_so() -> None:
    answer = {"statusCode": 401, "body": "{}", "headers": {"WWW-Authenticate": "Bearer", "content-type": "x/y"}}
    for carries, authenticate, content_type in ((False, None, "text/plain; charset=utf-8"), (True, "Bearer", "x/y")):
        stack = LittleStack(lambda event: answer, quirks=Quirks(refusal_carries_headers=carries))
        async with serving(stack) as address:
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{address}/prod")
        headers = refused.value.response.headers
        assert (headers.get("WWW-Authenticate"), headers.get_all("Content-Type")) == (authenticate, [content_type])


async def test_a_subprotocol_is_what_the_function_answers() -> None:
    answer = {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "chat"}}
    async with (
        serving(LittleStack(lambda event: answer)) as address,
        connect(f"ws://{address}/prod", subprotocols=["other", "chat"]) as client,  # type: ignore[list-item]
    ):
        assert client.subprotocol == "chat"


async def test_the_gateway_accepts_no_compression() -> None:
    async with serving(LittleStack(accept)) as address, connect(f"ws://{address}/prod") as client:
        assert client.protocol.extensions == []


async def test_the_gateway_accepts_compression_if_a_quirk_says_so() -> None:
    stack = LittleStack(accept, quirks=Quirks(accepts_compression=True))
    async with serving(stack) as address, connect(f"ws://{address}/prod") as client:
        assert [extension.name for extension in client.protocol.extensions] == ["permessage-deflate"]
        identifier = await connection_id(stack)
        await client.send("hello " * 1000)
        assert (await stack.events.get())["body"] == "hello " * 1000
        stack.connections.manage("POST", identifier, b"hello")
        assert await client.recv() == "hello"


@pytest.mark.parametrize(("quirks", "sizes"), [(Quirks(), [32768, 7232]), (Quirks(sent_frame_bytes=40000), [40000])])
async def test_a_long_post_comes_in_several_frames(quirks: Quirks, sizes: list[int]) -> None:
    stack = LittleStack(accept, quirks=quirks)
    async with serving(stack) as address, connect(f"ws://{address}/prod") as client:
        # The euro sign that stands across the end of the first frame is one character again.
        text = "x" * 32767 + "€" + "y" * (40000 - 32767 - 3)
        stack.connections.manage("POST", await connection_id(stack), text.encode())
        parts = [part async for part in client.recv_streaming(decode=False)]
        assert [len(part) for part in parts] == sizes
        assert b"".join(parts).decode() == text


async def test_pings_are_answered_and_no_events() -> None:
    stack = LittleStack(accept)
    async with serving(stack) as address, connect(f"ws://{address}/prod") as client:
        await (await client.ping())
        await client.send("after")
        await stack.events.get()
        assert (await stack.events.get())["body"] == "after"


async def test_a_message_in_small_frames_passes_where_one_large_frame_does_not() -> None:
    stack = LittleStack(accept)
    async with serving(stack) as address, connect(f"ws://{address}/prod") as client:
        await client.send(["x" * 30_000] * 3)
        await stack.events.get()
        assert len((await stack.events.get())["body"]) == 90_000
        await client.send("x" * 33_000)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert (await stack.events.get())["requestContext"]["disconnectStatusCode"] == 1009


async def test_the_largest_frame_counts_wherever_it_stands() -> None:
    async with serving(LittleStack(accept)) as address, connect(f"ws://{address}/prod") as client:
        await client.send(["x", "x" * 33_000, "x"])
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def test_a_message_that_does_not_fit_into_memory_is_1009_too(caplog: pytest.LogCaptureFixture) -> None:
    stack = LittleStack(accept, quirks=Quirks(oversize_reason="too big"))
    async with serving(stack) as address, connect(f"ws://{address}/prod") as client:
        await client.send("x" * (server_module.MESSAGE_MEMORY + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        await stack.events.get()
        context = (await stack.events.get())["requestContext"]
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1009, "too big")
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (1009, "too big")
    line = f"{context['connectionId']} closed with 1009: it broke the protocol: a message has 131072 bytes at the most"
    assert line in caplog.messages


async def test_a_binary_message_is_1003() -> None:
    async with serving(LittleStack(accept)) as address, connect(f"ws://{address}/prod") as client:
        await client.send(b"x")
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1003


async def test_a_connection_that_breaks_is_1006() -> None:
    stack = LittleStack(accept)
    async with serving(stack) as address:
        client = await connect(f"ws://{address}/prod")
        client.transport.abort()
        await stack.events.get()
        assert (await stack.events.get())["requestContext"]["disconnectStatusCode"] == 1006


@pytest.mark.parametrize(
    ("frame", "code", "reason"),
    [
        (Frame(Opcode.CLOSE, b""), 1005, "Client-side close frame status not set"),
        (Frame(Opcode.CLOSE, b"\x0f\xa0bye"), 4000, "bye"),
    ],
)
async def test_a_close_frame_is_told_with_its_code_and_reason(frame: Frame, code: int, reason: str) -> None:
    stack = LittleStack(accept)
    async with serving(stack) as address, connect(f"ws://{address}/prod") as client:
        client.transport.write(frame.serialize(mask=True))
        await stack.events.get()
        context = (await stack.events.get())["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (code, reason)


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (Frame(Opcode.TEXT, b"\xff").serialize(mask=True), 1007, ""),
        (Frame(Opcode.TEXT, b"hi").serialize(mask=False), 1002, "incorrect masking"),
        (b"\xf1\x80\x00\x00\x00\x00", 1002, "reserved bits must be 0"),
        (b"\x83\x80\x00\x00\x00\x00", 1002, "invalid opcode"),
        (Frame(Opcode.CONT, b"x").serialize(mask=True), 1002, "unexpected continuation frame"),
        (Frame(Opcode.CLOSE, b"\x03").serialize(mask=True), 1002, "close frame too short"),
        (Frame(Opcode.CLOSE, b"\x03\xed").serialize(mask=True), 1002, "invalid status code"),
        (b"GET / HTTP/1.1\r\n\r\n", 1002, "invalid opcode"),
    ],
    ids=["text", "mask", "bits", "opcode", "continuation", "short close", "code of no close", "http"],
)
async def test_a_client_that_breaks_the_protocol_is_closed_and_the_others_are_not(
    data: bytes, code: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As RFC 6455, section 7.4.1, has it; the function is told, and one line of the log says why."""
    stack = LittleStack(accept)
    async with serving(stack) as address, connect(f"ws://{address}/prod") as other:
        async with connect(f"ws://{address}/prod") as client:
            await stack.events.get()
            identifier = await connection_id(stack)
            client.transport.write(data)
            context = (await stack.events.get())["requestContext"]
            await client.wait_closed()
            assert (client.close_code, client.close_reason) == (code, reason)
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == (code, reason)
        await other.send("still here")
        assert (await stack.events.get())["body"] == "still here"
    fault = reason or "its text isn't UTF-8"
    assert caplog.messages == [f"{identifier} closed with {code}: it broke the protocol: {fault}"]


UPGRADE = "GET /prod HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"


@pytest.mark.parametrize(
    "said",
    ["nonsense\r\n\r\n", f"{UPGRADE}\r\n", f"{UPGRADE}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n"],
    ids=["no http", "no key", "short key"],
)
async def test_a_handshake_that_is_none_is_a_bad_request(said: str) -> None:
    stack = LittleStack(accept)
    async with serving(stack) as address:
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(said.encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()
    assert stack.events.empty()


async def test_the_management_api_posts_tells_and_closes() -> None:
    stack = LittleStack(accept)
    signed = {"Authorization": SIGNED}
    async with (
        serving(stack) as address,
        connect(f"ws://{address}/prod") as client,
        httpx2.AsyncClient(headers=signed) as http,
    ):
        url = f"http://{address}/prod/@connections/{quote(await connection_id(stack), safe='')}"
        assert (await http.post(url, content=b"hi")).status_code == 200
        assert await client.recv() == "hi"
        assert (await http.get(url)).json()["identity"]["sourceIp"] == "127.0.0.1"
        assert (await http.delete(url)).status_code == 204
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (await http.post(url, content=b"hi")).headers["x-amzn-ErrorType"] == "GoneException"


@pytest.mark.parametrize(
    ("authorization", "query", "error"),
    [
        (None, "", "MissingAuthenticationTokenException"),
        ("Bearer abc", "", "IncompleteSignatureException"),
        (SIGNED.replace(SIGNATURE, "short"), "", "IncompleteSignatureException"),
        (SIGNED.replace(SCOPE, "local"), "", "IncompleteSignatureException"),
        (SIGNED.replace("execute-api", "s3"), "", "InvalidSignatureException"),
        (None, f"X-Amz-Signature={SIGNATURE}", "IncompleteSignatureException"),
        (None, f"X-Amz-Signature={SIGNATURE}&X-Amz-Credential={quote(SCOPE, safe='')}", "GoneException"),
        (SIGNED, "", "GoneException"),
    ],
)
async def test_the_management_api_wants_requests_that_are_signed(
    authorization: str | None, query: str, error: str
) -> None:
    """The shape of the signature is looked at, for which a hand-made request fails; keys are not."""
    headers = {"Authorization": authorization} if authorization else {}
    async with serving(LittleStack(accept)) as address, httpx2.AsyncClient() as http:
        response = await http.get(f"http://{address}/prod/@connections/AAAAAAAAAAAAAAA%3D?{query}", headers=headers)
    assert response.status_code == (410 if error == "GoneException" else 403)
    assert response.headers["x-amzn-ErrorType"] == error


@pytest.mark.parametrize("prefix", ["/test", ""])
async def test_the_management_api_of_another_stage_is_forbidden(prefix: str) -> None:
    async with serving(LittleStack(accept)) as address, httpx2.AsyncClient() as http:
        url = f"http://{address}{prefix}/@connections/AAAAAAAAAAAAAAA%3D"
        response = await http.post(url, headers={"Authorization": SIGNED})
    assert (response.status_code, response.json()) == (403, {"message": "Forbidden"})
    assert response.headers["x-amzn-ErrorType"] == "ForbiddenException"


async def test_a_client_that_does_not_read_is_429_to_whoever_posts_and_nobody_else_waits() -> None:
    """Facts sheet, section 4: the client side's buffer is full."""
    stack = LittleStack(accept)
    signed = {"Authorization": SIGNED}
    async with (
        serving(stack) as address,
        connect(f"ws://{address}/prod") as client,
        httpx2.AsyncClient(headers=signed) as http,
    ):
        client.transport.pause_reading()
        url = f"http://{address}/prod/@connections/{quote(await connection_id(stack), safe='')}"
        statuses = {}
        for number in range(200):
            response = await http.post(url, content=b"x" * 128 * 1024)
            statuses[response.status_code] = number
            if response.status_code != 200:
                break
        assert response.headers["x-amzn-ErrorType"] == "LimitExceededException"
        client.transport.resume_reading()
        for _ in range(statuses[200] + 1):
            assert len(await client.recv()) == 128 * 1024
        assert (await http.post(url, content=b"again")).status_code == 200
        assert await client.recv() == "again"


async def test_an_address_that_is_too_long_is_414() -> None:
    async with serving(LittleStack(accept)) as address:
        async with connect(f"ws://{address}/prod?{'x' * (4096 - len('/prod?'))}"):
            pass
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{address}/prod?{'x' * 4096}")
    assert refused.value.response.status_code == 414


async def test_the_status_of_an_address_that_is_too_long_is_a_quirk() -> None:
    async with serving(LittleStack(accept, quirks=Quirks(long_url_status=400))) as address:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{address}/prod?{'x' * 4096}")
    assert refused.value.response.status_code == 400


async def test_functions_see_headers_as_the_client_spelt_them() -> None:
    stack = LittleStack(accept)
    async with serving(stack) as address, connect(f"ws://{address}/prod", additional_headers={"X-Tenant-ID": "7"}):
        headers = (await stack.events.get())["headers"]
    assert headers["X-Tenant-ID"] == "7"
    assert {"Host", "User-Agent", "Sec-WebSocket-Key"} <= headers.keys()


async def test_a_client_cannot_say_that_it_is_another() -> None:
    """API Gateway tells the address that the connection came from, and adds it to those that the client names."""
    stack = LittleStack(accept)
    forwarded = {"X-Forwarded-For": "198.51.100.7"}
    async with serving(stack) as address, connect(f"ws://{address}/prod", additional_headers=forwarded):
        event = await stack.events.get()
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"
    assert event["headers"]["X-Forwarded-For"] == "198.51.100.7, 127.0.0.1"


async def test_functions_see_the_scheme_and_the_port_that_the_client_used() -> None:
    """On API Gateway https and 443; an app that makes links of them makes links to this machine here."""
    stack = LittleStack(accept)
    async with serving(stack) as address, connect(f"ws://{address}/prod"):
        headers = (await stack.events.get())["headers"]
    assert (headers["X-Forwarded-Proto"], headers["X-Forwarded-Port"]) == ("http", address.partition(":")[2])


async def test_a_plain_request_to_the_stage_or_below_is_told_to_upgrade() -> None:
    async with serving(LittleStack(accept)) as address, httpx2.AsyncClient() as http:
        for path in ("/prod", "/prod/", "/prod/extra"):
            response = await http.get(f"http://{address}{path}")
            assert (response.status_code, response.json()) == (426, {"message": "Upgrade Required"})


async def test_every_other_request_is_the_http_apis() -> None:
    stack = LittleStack(accept)
    async with serving(stack) as address, httpx2.AsyncClient() as http:
        response = await http.post(f"http://{address}/a%20b?x=1", content=iter_of(b"some", b"body"))
    assert response.text == "from the function"
    ((request, path),) = stack.requests
    assert (path, request.raw_path, request.query) == ("/a b", "/a%20b", "x=1")
    assert (request.method, request.body, request.source_ip) == ("POST", b"somebody", "127.0.0.1")


async def iter_of(*parts: bytes) -> Any:
    for part in parts:
        yield part


async def test_a_signal_ends_the_server_and_not_the_process() -> None:
    async with serving(LittleStack(accept)) as address, connect(f"ws://{address}/prod") as client:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


async def test_two_interrupts_end_the_server_at_once() -> None:
    """The first Ctrl+C waits for the client that is still connected, the second doesn't."""
    stack = LittleStack(accept)
    with bind("127.0.0.1", 0) as listening:
        server = Server(Application(stack, with_edge=False))  # type: ignore[arg-type]
        served = asyncio.create_task(server.serve([listening]))
        async with connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/prod"):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            await served


async def test_without_a_clients_address_a_request_is_local() -> None:
    stack = LittleStack(accept)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/x", "raw_path": b"/x", "query_string": b"", "headers": []}
    await Application(stack, with_edge=False)(scope, receive, send)  # type: ignore[arg-type]
    assert stack.requests[0][0].source_ip == "127.0.0.1"
    assert sent[0]["headers"] == [(b"content-type", b"text/plain"), (b"content-length", b"17")]
