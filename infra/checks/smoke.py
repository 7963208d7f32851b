"""Check a running chat from outside: what its WebSockets and its HTTP routes do, and how long each took.

Against a deployed stack, or the edge in front of one, by its outputs::

    .venv/bin/python infra/checks/smoke.py --stack gatesocket-chat

Against anything else by its URLs, such as the chat that `make run` starts::

    .venv/bin/python infra/checks/smoke.py --websocket-url ws://127.0.0.1:8000 --http-url http://127.0.0.1:8000

A WebSocket URL with a path is a stage's, and a route's path goes into its query; one without a path takes it as it is,
as the edge and uvicorn do. Each check prints one line: ``ok`` and the milliseconds of what its name says, ``FAIL`` and
the reason, or ``skip`` and what it lacks. The exit status is 1 if a check failed, and 2 if none could be run.
"""

import argparse
import asyncio
import json
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit, urlunsplit

import boto3
import httpx2
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

PATH_PARAMETER: Final = "__path"
OVERSIZE_FRAME: Final = "x" * (32 * 1024 + 1)
"""One byte more than API Gateway takes in one frame; the ``websockets`` library sends a text in one."""

UNSUPPORTED_DATA: Final = 1003
MESSAGE_TOO_BIG: Final = 1009
FORBIDDEN: Final = 403

FAILED: Final = 1
NOT_RUN: Final = 2


class Unexpected(Exception):
    """A check found something else than it should have."""

    def __init__(self, expected: object, got: object) -> None:
        super().__init__(f"expected {expected}, got {got}")


class Skipped(Exception):
    """A check can't be run here; the text says what it lacks."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is checked."""

    websocket_url: str
    http_url: str
    region: str | None = None
    """Where the stack is; None leaves it to the AWS configuration."""

    @property
    def is_stage(self) -> bool:
        """Whether WebSockets go to API Gateway itself, with nothing in front that knows paths."""
        return urlsplit(self.websocket_url).path.strip("/") != ""

    def route(self, path: str, **query: str) -> str:
        """Return the URL of a WebSocket route."""
        if self.is_stage:
            return f"{self.websocket_url}?{urlencode({PATH_PARAMETER: path} | query)}"
        address = self.websocket_url.rstrip("/") + path
        return f"{address}?{urlencode(query)}" if query else address

    @property
    def management_url(self) -> str:
        """The endpoint of the Management API, which is behind no edge (facts sheet, section 8).

        Raises:
            Skipped: the WebSocket URL doesn't tell it.
        """
        if not self.is_stage:
            raise Skipped("the Management API's address follows only from a stage's URL, wss://…/{stage}")
        scheme, *rest = urlsplit(self.websocket_url)
        return urlunsplit(("https" if scheme == "wss" else "http", *rest))


class Visitor:
    """One person in a room of the chat."""

    def __init__(self, socket: ClientConnection, name: str, welcome: dict[str, Any]) -> None:
        self.name = name
        self.connection_id: str = welcome["connection"]
        self.socket = socket

    @classmethod
    async def enter(cls, target: Target, room: str) -> Self:
        """Connect and wait for the welcome."""
        name = f"smoke-{secrets.token_hex(4)}"
        socket = await connect(target.route(f"/ws/{room}", name=name))
        try:
            welcome = json.loads(await socket.recv())
            expect("welcome", welcome["type"])
            expect((room, name), (welcome["data"]["room"], welcome["data"]["name"]))
        except BaseException:
            await socket.close()
            raise
        return cls(socket, name, welcome["data"])

    async def say(self, kind: str, **data: str) -> None:
        """Send one message."""
        await self.socket.send(json.dumps({"type": kind, "data": data}))

    async def hear(self, kind: str, **data: object) -> None:
        """Wait for a message of *kind* and expect *data* in it; others, such as who joined, may come before."""
        while (message := json.loads(await self.socket.recv()))["type"] != kind:
            pass
        expect(data, {name: message["data"].get(name) for name in data})

    async def leave(self) -> None:
        """Close the connection as a client does that has said everything."""
        await self.socket.close()


class Room:
    """A room of the chat that nobody else is in; whoever entered leaves with it."""

    def __init__(self, target: Target) -> None:
        self.name = f"smoke-{secrets.token_hex(4)}"
        self._target = target
        self._visitors: list[Visitor] = []

    async def enter(self) -> Visitor:
        """Let somebody in."""
        visitor = await Visitor.enter(self._target, self.name)
        self._visitors.append(visitor)
        return visitor

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for visitor in self._visitors:
            await visitor.leave()


def since(started: float) -> float:
    """Return the milliseconds from *started*, a reading of `time.perf_counter`, until now."""
    return (time.perf_counter() - started) * 1000


def expect(expected: object, got: object) -> None:
    """Raise `Unexpected` unless both are the same."""
    if got != expected:
        raise Unexpected(repr(expected), repr(got))


async def greeting(target: Target) -> float:
    """Connect to a route that speaks first; from before the handshake to its text."""
    async with Room(target) as room:
        started = time.perf_counter()
        await room.enter()
        return since(started)


async def echo(target: Target) -> float:
    """Have a text sent back, the second of two: the first may have started a process."""
    async with connect(target.route("/ws/echo")) as client:
        for text in ("first", "second"):
            started = time.perf_counter()
            await client.send(text)
            expect(f"You said: {text}", await client.recv())
        return since(started)


async def json_values(target: Target) -> float:
    """Have JSON values sent back, numbered by a local variable of the route."""
    async with connect(target.route("/ws/json")) as client:
        for number, value in enumerate(({"a": [1, None, "é"]}, [True]), start=1):
            started = time.perf_counter()
            await client.send(json.dumps(value))
            expect({"number": number, "you_sent": value}, json.loads(await client.recv()))
        return since(started)


async def refused_token(target: Target) -> float:
    """Be refused with a wrong token, during the handshake."""
    started = time.perf_counter()
    try:
        async with connect(target.route("/ws/token", token=secrets.token_urlsafe())):
            raise Unexpected(f"HTTP status {FORBIDDEN}", "a connection")
    except InvalidStatus as refusal:
        expect(FORBIDDEN, refusal.response.status_code)
        return since(started)


async def broadcast(target: Target) -> float:
    """Say something in a room of two; until both have heard it."""
    async with Room(target) as room:
        ann, ben = await room.enter(), await room.enter()
        started = time.perf_counter()
        await ann.say("say", text="hello")
        for visitor in (ann, ben):
            await visitor.hear("said", name=ann.name, text="hello", number=1)
        return since(started)


async def personal_send(target: Target) -> float:
    """Tell one person something; until they have heard it."""
    async with Room(target) as room:
        ann, ben = await room.enter(), await room.enter()
        started = time.perf_counter()
        await ann.say("tell-user", user=ben.name, text="only you")
        await ben.hear("told", name=ann.name, text="only you")
        elapsed = since(started)
        await ann.hear("delivered", sent=1)
        return elapsed


async def announcement(target: Target) -> float:
    """Post to an HTTP route that broadcasts; until a WebSocket has heard it."""
    async with Room(target) as room, httpx2.AsyncClient(base_url=target.http_url) as http:
        ann = await room.enter()
        started = time.perf_counter()
        response = await http.post("/announce", json={"text": "attention", "room": room.name})
        expect(200, response.status_code)
        await ann.hear("announced", text="attention")
        elapsed = since(started)
        expect({"sent": 1, "gone": 0, "queued": 0, "failed": 0}, response.json())
        return elapsed


async def departure(target: Target) -> float:
    """Leave a room; until the other one has been told."""
    async with Room(target) as room:
        ann, ben = await room.enter(), await room.enter()
        started = time.perf_counter()
        await ben.leave()
        await ann.hear("left", name=ben.name)
        return since(started)


async def oversize_frame(target: Target) -> float:
    """Send more than 32 KB in one frame; until the connection is closed for it."""
    return await closed_for(target, OVERSIZE_FRAME, MESSAGE_TOO_BIG)


async def binary_frame(target: Target) -> float:
    """Send a binary frame; until the connection is closed for it."""
    return await closed_for(target, b"\x00\x01", UNSUPPORTED_DATA)


async def closed_for(target: Target, frame: str | bytes, code: int) -> float:
    """Send what API Gateway doesn't take, and expect the connection to be closed with *code*."""
    async with connect(target.route("/ws/echo")) as client:
        started = time.perf_counter()
        await client.send(frame)
        try:
            answer = await client.recv()
        except ConnectionClosed as closed:
            got = closed.rcvd.code if closed.rcvd else "none"
            if got != code:
                raise Unexpected(f"close code {code}", got) from closed
            return since(started)
        raise Unexpected(f"close code {code}", f"a message of {len(answer)} characters")


async def gone(target: Target) -> float:
    """Post to a connection that has left, and be answered 410; needs credentials that may post."""
    management = management_client(target)
    async with Room(target) as room:
        ann = await room.enter()
        await ann.leave()
    started = time.perf_counter()
    try:
        await asyncio.to_thread(management.post_to_connection, ConnectionId=ann.connection_id, Data=b"anybody?")
    except management.exceptions.GoneException:
        return since(started)
    except management.exceptions.ForbiddenException as error:
        raise Skipped(f"the AWS credentials may not do execute-api:ManageConnections: {error}") from error
    raise Unexpected("410 Gone", "a delivery")


def management_client(target: Target) -> Any:
    """Make a client of the Management API.

    Raises:
        Skipped: there are no AWS credentials, or no such API behind the WebSocket URL.
    """
    endpoint = target.management_url
    session = boto3.Session(region_name=target.region)
    if session.get_credentials() is None:
        raise Skipped("there are no AWS credentials to call the Management API with")
    if session.region_name is None:
        raise Skipped("no AWS region is configured, and a call is signed for one; name it: --region")
    config = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 2})
    return session.client("apigatewaymanagementapi", endpoint_url=endpoint, config=config)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to find out."""

    name: str
    run: Callable[[Target], Awaitable[float]]
    """Returns milliseconds. Raises `Unexpected` or `Skipped`; whatever else it raises is a failure too."""


CHECKS: Final = (
    Check("connect and be greeted", greeting),
    Check("echo", echo),
    Check("JSON and a local variable", json_values),
    Check("wrong token refused with 403", refused_token),
    Check("broadcast to two clients", broadcast),
    Check("personal send", personal_send),
    Check("HTTP announcement to a socket", announcement),
    Check("disconnect seen by the other", departure),
    Check("frame over 32 KB closed with 1009", oversize_frame),
    Check("binary frame closed with 1003", binary_frame),
    Check("410 for a connection that left", gone),
)


async def run(target: Target, *, seconds: float, checks: Sequence[Check] = CHECKS) -> bool:
    """Run *checks* one after the other, print a line for each, and return whether none failed.

    Args:
        target: what to check.
        seconds: how long one check may take.
        checks: what to find out.
    """
    passed = True
    for check in checks:
        word, what = await outcome(check, target, seconds)
        print(f"{word:<4} {check.name}{what}", flush=True)
        passed = passed and word != "FAIL"
    return passed


async def outcome(check: Check, target: Target, seconds: float) -> tuple[str, str]:
    """Run one check, and return the word for how it ended and the rest of its line."""
    try:
        async with asyncio.timeout(seconds):
            milliseconds = await check.run(target)
    except Skipped as skipped:
        return "skip", f": {skipped}"
    except Unexpected as unexpected:
        return "FAIL", f": {unexpected}"
    except TimeoutError:
        return "FAIL", f": expected an end within {seconds:g} s, got none"
    except Exception as error:  # whatever ends a check is what it found
        return "FAIL", f": expected no error, got {type(error).__name__}: {error}"
    return "ok", f"  {milliseconds:.1f} ms"


def find(stack: str, region: str | None) -> Target:
    """Look up the outputs of a deployed stack, the main one or the edge in front of it.

    Raises:
        LookupError: it has no such outputs, or there is no such stack to be seen.
    """
    outputs, where = outputs_of(stack, region, {"WebSocketUrl", "HttpUrl"})
    return Target(outputs["WebSocketUrl"], outputs["HttpUrl"], where)


def outputs_of(stack: str, region: str | None, wanted: set[str]) -> tuple[dict[str, str], str]:
    """Return the outputs of a deployed stack, and the region that it is in.

    Raises:
        LookupError: it hasn't all that are *wanted*, or there is no such stack to be seen.
    """
    try:
        client: Any = boto3.Session(region_name=region).client("cloudformation")
        described = client.describe_stacks(StackName=stack)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        raise LookupError(f"the stack {stack} can't be looked up: {error}") from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    if missing := wanted - outputs.keys():
        raise LookupError(f"the stack {stack} has no output {' and no '.join(sorted(missing))}; got {sorted(outputs)}")
    return outputs, client.meta.region_name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every check and return the exit status; None takes the process's own arguments."""
    parser = argparse.ArgumentParser(description="Check a running chat from outside.")
    parser.add_argument("--stack", help="the CloudFormation stack to take the URLs from")
    parser.add_argument("--region", help="its AWS region (default: the configured one)")
    parser.add_argument("--websocket-url", help="where WebSockets connect: wss://…/{stage}, or the edge's wss://…")
    parser.add_argument("--http-url", help="where the HTTP routes are")
    parser.add_argument("--timeout", type=float, default=15, help="seconds for each check (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.stack and not (options.websocket_url or options.http_url):
        try:
            target = find(options.stack, options.region)
        except LookupError as error:
            print(f"smoke: {error}", file=sys.stderr)
            return NOT_RUN
    elif options.websocket_url and options.http_url and not options.stack:
        target = Target(options.websocket_url, options.http_url, options.region)
    else:
        parser.error("expected either --stack, or both --websocket-url and --http-url")
    return 0 if asyncio.run(run(target, seconds=options.timeout)) else FAILED


if __name__ == "__main__":
    sys.exit(main())
