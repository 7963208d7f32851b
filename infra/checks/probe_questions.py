"""What settle_facts.py asks of the stack in probe/, and how it finds the stack."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from smoke import OVERSIZE_FRAME, Skipped, Target, management_client, outputs_of

HEARD_WITHIN: Final = 20.0
"""Seconds that an answer may take, a cold start included."""

TOO_LONG: Final = 35
"""Seconds; API Gateway waits 29 for an integration."""

REFUSED_WITHIN: Final = 60.0
BURST: Final = 20
"""Messages that are sent at once to a route that takes one in a second."""

NOBODY: Final = "TXzPWdnOjoECGjA="
"""A connection id of the right shape, whose connection there isn't."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The stack of probe/template.yaml, by its outputs."""

    websocket_url: str
    closed_url: str | None
    """The stage of the API whose execute-api endpoint is disabled; None if there is none."""
    goodbyes_url: str
    region: str | None = None
    """Where the stack is; None leaves it to the AWS configuration."""


Ask = Callable[[Probe], Awaitable[str]]
"""Returns the answer; raises `Skipped`."""


def find_probe(stack: str, region: str | None) -> Probe:
    """Look up the outputs of a deployed probe.

    Raises:
        LookupError: it has no such outputs, or there is no such stack to be seen.
    """
    outputs, where = outputs_of(stack, region, {"WebSocketUrl", "ClosedUrl", "GoodbyesUrl"})
    return Probe(outputs["WebSocketUrl"], outputs["ClosedUrl"], outputs["GoodbyesUrl"], where)


async def slow_connect(probe: Probe) -> str:
    """Let $connect take longer than API Gateway waits."""
    started = time.monotonic()
    try:
        async with connect(f"{probe.websocket_url}?sleep={TOO_LONG}", open_timeout=REFUSED_WITHIN):
            return f"a connection, after {time.monotonic() - started:.0f} s"
    except InvalidStatus as refused:
        body = refused.response.body.decode("utf-8", "replace")
        return f"{refused.response.status_code} with the body {body!r} after {time.monotonic() - started:.0f} s"


async def refusal_headers(probe: Probe) -> str:
    """Be refused with two headers, and say which of them came."""
    try:
        async with connect(f"{probe.websocket_url}?refuse=401"):
            return "a connection"
    except InvalidStatus as refused:
        told = [
            f"{name}: {value}"
            for name, value in refused.response.headers.raw_items()
            if "authenticate" in name.lower() or "probe" in name.lower()
        ]
        return f"{refused.response.status_code} with {', '.join(told) or 'none of them'}"


async def failed_response(probe: Probe) -> str:
    """Have a route with a route response answer with a status that isn't 2xx."""
    return await answered(probe, {"ask": "answered", "status": 500})


async def half_response(probe: Probe) -> str:
    """Have a route answer that has a response selection expression, and no route response."""
    return await answered(probe, {"ask": "half"})


async def answered(probe: Probe, message: dict[str, Any]) -> str:
    """Send a message, and say what comes back: the function's body is the connection's id."""
    async with connect(probe.websocket_url) as client:
        connection_id = await ask_id(client)
        await client.send(json.dumps(message))
        try:
            async with asyncio.timeout(HEARD_WITHIN):
                answer = str(await client.recv())
        except TimeoutError:
            return f"nothing within {HEARD_WITHIN:g} s"
        return "the function's body" if answer == connection_id else shown(answer, connection_id)


async def throttled(probe: Probe) -> str:
    """Send more messages at once than their route takes."""
    async with connect(probe.websocket_url) as client:
        connection_id = await ask_id(client)
        for _ in range(BURST):
            await client.send(json.dumps({"ask": "throttled"}))
        frames: list[str] = []
        try:
            async with asyncio.timeout(HEARD_WITHIN):
                while True:
                    frames.append(shown(str(await client.recv()), connection_id))
        except TimeoutError:
            kinds = " and ".join(sorted(set(frames))) or "nothing"
            return f"of {BURST} messages {len(frames)} are answered, with {kinds}"


async def posted_to_closed(probe: Probe) -> str:
    """Post to nobody at an API whose execute-api endpoint is disabled: 410 says that it was looked for somebody."""
    if probe.closed_url is None:
        raise Skipped("there is no API whose execute-api endpoint is disabled")
    management = management_client(Target(probe.closed_url, "", probe.region))
    try:
        await asyncio.to_thread(management.post_to_connection, ConnectionId=NOBODY, Data=b"anybody?")
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        gone = isinstance(error, management.exceptions.GoneException)
        return f"{'they do' if gone else 'they do not'}: a post to nobody is answered {status}"
    return "they do: a post to nobody is answered 200"


async def oversize_goodbye(probe: Probe) -> str:
    """End with a frame of more than 32 KB."""
    return await goodbye(probe, lambda client: client.send(OVERSIZE_FRAME))


async def binary_goodbye(probe: Probe) -> str:
    """End with a binary frame."""
    return await goodbye(probe, lambda client: client.send(b"\x00"))


async def lost_goodbye(probe: Probe) -> str:
    """End without a close frame."""

    async def abort(client: ClientConnection) -> None:
        client.transport.abort()

    return await goodbye(probe, abort)


async def goodbye(probe: Probe, end: Callable[[ClientConnection], Awaitable[None]]) -> str:
    """End a connection, and say what its $disconnect event says."""
    sqs: Any = boto3.Session(region_name=probe.region).client("sqs")
    async with connect(probe.websocket_url) as client:
        connection_id = await ask_id(client)
        await end(client)
        await client.wait_closed()
    deadline = time.monotonic() + HEARD_WITHIN
    while time.monotonic() < deadline:
        for told in await asyncio.to_thread(receive, sqs, probe.goodbyes_url):
            if told["connectionId"] == connection_id:
                return f"{told['disconnectStatusCode']} {told['disconnectReason']!r}"
    return f"no event within {HEARD_WITHIN:g} s"


def receive(sqs: Any, queue_url: str) -> list[dict[str, Any]]:
    """Take what the queue has, or gets within a few seconds."""
    try:
        got = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=5).get("Messages", [])
        for message in got:
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    except (BotoCoreError, ClientError) as error:
        raise Skipped(f"what $disconnect says is told in a queue that can't be read: {error}") from error
    return [json.loads(message["Body"]) for message in got]


async def ask_id(client: ClientConnection) -> str:
    """Ask the function for the connection's id."""
    await client.send(json.dumps({"ask": "answered"}))
    async with asyncio.timeout(HEARD_WITHIN):
        return str(await client.recv())


def shown(frame: str, connection_id: str) -> str:
    """Return a frame of API Gateway's own without what is different in each."""
    try:
        return repr(json.loads(frame)["message"])
    except (ValueError, KeyError, TypeError):
        return repr(frame.replace(connection_id, "…"))


PROBE_QUESTIONS: Final[tuple[tuple[str, str, Ask], ...]] = (
    ("e", "What does a client get whose $connect takes too long?", slow_connect),
    ("e", "Which headers of the function's does a client get that is refused?", refusal_headers),
    ("f", "What becomes of a route response's body whose status isn't 2xx?", failed_response),
    ("g", "How is a message answered that is throttled?", throttled),
    ("h", "Do posts work while DisableExecuteApiEndpoint is set?", posted_to_closed),
    ("i", "Does a response selection expression alone let a function answer?", half_response),
    ("k", "What does $disconnect say after a frame of more than 32 KB?", oversize_goodbye),
    ("k", "What does $disconnect say after a binary frame?", binary_goodbye),
    ("k", "What does $disconnect say of a connection that was lost?", lost_goodbye),
)
"""The letter in the facts sheet's section 13, the question, and what asks it."""
