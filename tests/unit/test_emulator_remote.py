"""Functions at another Lambda endpoint; a small server on loopback stands in for it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h11
import pytest

from gatesocket.aws.http import Timeouts
from gatesocket.aws.http1 import Response
from gatesocket.emulator import remote
from gatesocket.emulator.activity import Activity, Reported
from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.dev import bind
from gatesocket.emulator.remote import RemoteFunction, read
from gatesocket.emulator.resources import Function
from gatesocket.exceptions import ConfigurationError

FUNCTION = Function("Chat", "chat-name", "arn:chat", Path(), "main.handler", {}, timeout=5, memory=256)

Respond = Callable[[str, dict[str, str], Any], tuple[int, dict[str, str], bytes]]


def response(status: int, body: object, **headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


@asynccontextmanager
async def endpoint(respond: Respond) -> AsyncIterator[str]:
    """Answer each invocation by *respond*, which gets its path, headers and event; give the endpoint's URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        request, body = None, b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            match event:
                case h11.NEED_DATA:
                    connection.receive_data(await reader.read(65536))
                case h11.Request():
                    request = event
                case h11.Data():
                    body += event.data
                case _:  # somebody only looked whether there is a server
                    writer.close()
                    return
        assert request is not None
        headers = {name.decode(): value.decode() for name, value in request.headers}
        status, own, content = respond(request.target.decode(), headers, json.loads(body))
        own = {**own, "content-length": str(len(content))}
        writer.write(
            (connection.send(h11.Response(status_code=status, headers=list(own.items()))) or b"")
            + (connection.send(h11.Data(content)) or b"")
            + (connection.send(h11.EndOfMessage()) or b"")
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_function_is_invoked_by_its_logical_id_as_sam_local_start_lambda_wants_it() -> None:
    asked = []

    def respond(path: str, headers: dict[str, str], event: Any) -> tuple[int, dict[str, str], bytes]:
        asked.append((path, headers["x-amz-invocation-type"], headers["content-type"], event))
        return 200, {}, b'{"statusCode": 200}'

    told: list[Activity] = []
    async with endpoint(respond) as url:
        function = RemoteFunction(FUNCTION, url, watch=told.append)
        await function.start()
        assert await function.invoke({"a": "ü"}, request_id="r1") == Returned({"statusCode": 200})
        await function.aclose()
    assert asked == [
        ("/2015-03-31/functions/Chat/invocations", "RequestResponse", "application/json", {"a": "ü"}),
    ]
    (reported,) = told
    assert isinstance(reported, Reported)
    assert (reported.report.request_id, reported.report.used, reported.report.status) == ("r1", None, None)


async def test_a_runtime_interface_emulator_is_named_whole_and_gets_one_invocation_at_a_time() -> None:
    paths: list[str] = []

    def respond(path: str, headers: dict[str, str], event: Any) -> tuple[int, dict[str, str], bytes]:
        paths.append(path)
        return 200, {}, b"1"

    async with endpoint(respond) as url:
        function = RemoteFunction(FUNCTION, f"{url}/2015-03-31/functions/function/invocations")
        await function.start()
        assert function._concurrent == 1
        answers = await asyncio.gather(*(function.invoke({}, request_id=name) for name in "ab"))
        await function.aclose()
    assert answers == [Returned(1), Returned(1)]
    assert paths == ["/2015-03-31/functions/function/invocations"] * 2


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (
            response(200, {"errorType": "ValueError", "errorMessage": "boom"}, x_amz_function_error="Unhandled"),
            Failed("ValueError", "boom"),
        ),
        # A RIE passes the report on without the header.
        (
            response(200, {"errorType": "ValueError", "errorMessage": "boom", "stackTrace": []}),
            Failed("ValueError", "boom"),
        ),
        (response(200, "text", x_amz_function_error="Unhandled"), Failed("Unhandled", "text")),
        # What a function returns may look a bit like an error.
        (response(200, {"errorMessage": "none"}), Returned({"errorMessage": "none"})),
        (response(200, None), Returned(None)),
        (
            response(200, b"Task timed out after 3.00 seconds"),
            Failed("Sandbox.Timedout", "Task timed out after 3.00 seconds"),
        ),
        (response(200, b"<html>"), Failed("Runtime.MalformedResponse", "the endpoint's answer isn't JSON: '<html>'")),
        (
            response(404, {"Type": "User", "Message": "Function not found: Chat"}),
            Failed("Endpoint.404", "Function not found: Chat"),
        ),
        (response(403, {"message": "no"}), Failed("Endpoint.403", "no")),
        (
            response(502, {"errorType": "Runtime.ExitError", "errorMessage": "died"}),
            Failed("Runtime.ExitError", "died"),
        ),
        (response(400, b""), Failed("Endpoint.400", "the endpoint said no more than the status")),
    ],
)
def test_what_an_endpoint_answers_is_read(response: Response, answer: Answer) -> None:
    assert read(response) == answer


async def test_an_endpoint_that_is_gone_is_one_line_and_the_stack_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "gatesocket.emulator")
    async with endpoint(lambda *_: (200, {}, b"1")) as url:
        function = RemoteFunction(FUNCTION, url)
        await function.start()
    answer = await function.invoke({}, request_id="r1")
    await function.aclose()
    assert isinstance(answer, Failed)
    assert answer.error_type == "Endpoint.Unreachable"
    (line,) = caplog.messages
    assert line.startswith(f"Chat r1 | failed at {url}: Endpoint.Unreachable: {url} can't be connected to: ")


async def test_an_endpoint_that_is_not_there_is_refused_at_the_start() -> None:
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(
        ConfigurationError,
        match=rf"Chat: nothing answers at http://127.0.0.1:{port} \(.*\). Start it, .*start-lambda; .*--endpoint",
    ):
        await RemoteFunction(FUNCTION, f"http://127.0.0.1:{port}").start()


async def test_an_endpoint_that_takes_no_connection_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(remote, "TIMEOUTS", Timeouts(connect=0))
    monkeypatch.setattr(asyncio, "open_connection", never)
    with pytest.raises(ConfigurationError, match="no answer in time"):
        await RemoteFunction(FUNCTION, "http://127.0.0.1:9").start()


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--endpoint for Chat gives an endpoint that isn't a URL"):
        RemoteFunction(FUNCTION, "localhost:3001")
