"""What clients of a chat see that is deployed into a stand-in for AWS, for `ministack.py`.

Each exchange takes the address of the stage, and raises if something else is seen than in AWS. MiniStack posts in
binary frames, so that what is received is bytes; JSON's reader takes both.
"""

import asyncio
import contextlib
import json
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))
from gatesocket.emulator.mapping import MappingTemplate

PATIENCE: Final = 60
"""Seconds for a cold start on a busy machine."""

BURST: Final = 40
"""Messages that are put into the FIFO queue at once: four of its largest batches."""

OK: Final = 200

Exchange = Callable[[str], Awaitable[None]]
"""Talks to the chat at the address of its stage."""


def expect(expected: object, got: object) -> None:
    """Raise unless both are the same."""
    if got != expected:
        raise RuntimeError(f"expected {expected!r}, got {got!r}")


async def hear(client: ClientConnection) -> Any:
    """Return the next message, read as JSON."""
    return json.loads(await asyncio.wait_for(client.recv(), PATIENCE))


def room(url: str, name: str, **query: str) -> str:
    """Return where the chat's lobby is for *name*."""
    return f"{url}?{urlencode({'__path': '/ws/lobby', 'name': name, **query})}"


async def greeting(url: str) -> None:
    """A route that speaks first is heard once the handshake is over."""
    async with connect(room(url, "ann"), open_timeout=PATIENCE) as ann:
        welcome = await hear(ann)
        expect("welcome", welcome["type"])
        expect(["ann"], welcome["data"]["people"])


async def echo(url: str) -> None:
    """Three messages go through one route, whose number goes on."""
    async with connect(f"{url}?{urlencode({'__path': '/ws/json'})}", open_timeout=PATIENCE) as client:
        for number, value in enumerate(("a", [1], {"b": None}), start=1):
            await client.send(json.dumps(value))
            expect({"number": number, "you_sent": value}, await hear(client))


async def broadcast_and_disconnect(url: str) -> None:
    """What one says both hear; who leaves is missed by the other."""
    async with connect(room(url, "ann"), open_timeout=PATIENCE) as ann:
        expect("welcome", (await hear(ann))["type"])
        async with connect(room(url, "bob"), open_timeout=PATIENCE) as bob:
            expect(["ann", "bob"], (await hear(bob))["data"]["people"])
            expect({"type": "joined", "data": {"name": "bob"}}, await hear(ann))
            await ann.send(say("hello"))
            for client in (ann, bob):
                expect({"name": "ann", "text": "hello", "number": 1}, (await hear(client))["data"])
        expect({"type": "left", "data": {"name": "bob"}}, await hear(ann))


async def expiry(url: str, expire: Callable[[str], None]) -> None:
    """Whose record expires has left, for the others too."""
    async with connect(room(url, "ann"), open_timeout=PATIENCE) as ann:
        expect("welcome", (await hear(ann))["type"])
        async with connect(room(url, "bob"), open_timeout=PATIENCE) as bob:
            connection_id = (await hear(bob))["data"]["connection"]
            expect("joined", (await hear(ann))["type"])
            await asyncio.to_thread(expire, connection_id)
            expect({"type": "left", "data": {"name": "bob"}}, await hear(ann))


async def authorization(url: str, token: str) -> None:
    """The authorizer is asked before the app, which would let anybody in.

    API Gateway answers 401 to whom it refuses, MiniStack 500.
    """
    with contextlib.suppress(InvalidStatus):
        async with connect(room(url, "eve", token="wrong"), open_timeout=PATIENCE):  # noqa: S106 (no secret)
            raise RuntimeError("a wrong token was let in")
    async with connect(room(url, "ann", token=token), open_timeout=PATIENCE) as ann:
        expect("welcome", (await hear(ann))["type"])


async def order(url: str, token: str, forward: Callable[[str, str], None]) -> None:
    """What reaches the FIFO queue is served in the order of its arrival there."""
    async with connect(room(url, "ann", token=token), open_timeout=PATIENCE) as ann:
        connection_id = (await hear(ann))["data"]["connection"]
        texts = [f"{number} & ü" for number in range(1, BURST + 1)]
        for text in texts:
            await asyncio.to_thread(forward, connection_id, say(text))
        for number, text in enumerate(texts, start=1):
            expect({"name": "ann", "text": text, "number": number}, (await hear(ann))["data"])


def say(text: str) -> str:
    """Return what a visitor sends to say something."""
    return json.dumps({"type": "say", "data": {"text": text}})


def forwarder(integration: dict[str, Any], endpoint: str) -> Callable[[str, str], None]:
    """Return what puts a connection's text into the queue as API Gateway would, by the deployed *integration*.

    MiniStack's own gateway takes every integration of the type AWS for one of a function. So the request template is
    rendered here, and its form sent to SQS's query protocol as it is, signed.
    """
    template = MappingTemplate(integration["RequestTemplates"]["$default"])
    content_type = integration["RequestParameters"]["integration.request.header.Content-Type"].strip("'")
    address = endpoint + integration["IntegrationUri"].partition(":sqs:path")[2]
    session: Any = boto3.Session()
    sender = URLLib3Session()

    def forward(connection_id: str, text: str) -> None:
        now = int(time.time() * 1000)
        context: Any = {
            "apiId": "a1",
            "connectedAt": now,
            "connectionId": connection_id,
            "domainName": urlsplit(endpoint).netloc,
            "eventType": "MESSAGE",
            "identity": {"sourceIp": "127.0.0.1"},
            "messageId": secrets.token_urlsafe(11),
            "requestId": secrets.token_urlsafe(11),
            "requestTimeEpoch": now,
            "routeKey": "$default",
            "stage": "prod",
        }
        form = template.render({"requestContext": context, "isBase64Encoded": False, "body": text})
        request = AWSRequest("POST", address, data=form.encode(), headers={"Content-Type": content_type})
        SigV4Auth(session.get_credentials(), "sqs", session.region_name).add_auth(request)
        response = sender.send(request.prepare())
        if response.status_code != OK:
            raise RuntimeError(f"SQS answers {response.status_code}: {response.text}")

    return forward
