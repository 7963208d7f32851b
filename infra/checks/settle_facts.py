"""Settle on a real account what no documentation says of API Gateway's WebSockets, and write the answers down.

Against a deployed chat, with credentials that may post to its connections::

    .venv/bin/python infra/checks/settle_facts.py --stack gatesocket-chat --output facts.json

It takes some seconds and costs less than a cent. ``--idle`` adds what takes 12 minutes, ``--life`` two hours, and
``--probe`` what the chat has no route for and a stack of its own has, probe/template.yaml, in two minutes.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from probe_questions import HEARD_WITHIN, PROBE_QUESTIONS, Probe, find_probe
from smoke import OVERSIZE_FRAME, Room, Skipped, Target, find, management_client

BURST: Final = 200
"""Messages that are sent without waiting, to see in which order they are served."""

IDLE: Final = 12 * 60.0
"""Seconds; API Gateway ends what is idle for 10 minutes."""

PING_EVERY: Final = 4 * 60.0
LIFE: Final = 2 * 60 * 60 + 5 * 60.0
"""Seconds; API Gateway ends every connection after two hours."""

KEPT_BUSY_EVERY: Final = 8 * 60.0


async def order(target: Target) -> str:
    """Number messages, send them all at once, and look how the route counts them."""
    async with connect(target.route("/ws/json"), ping_interval=None) as client:
        for number in range(1, BURST + 1):
            await client.send(json.dumps(number))
        served: dict[int, int] = {}
        async with asyncio.timeout(HEARD_WITHIN + BURST):
            while len(served) < BURST:
                answer = json.loads(await client.recv())
                served[answer["number"]] = answer["you_sent"]
    sequence = [served[number] for number in sorted(served)]
    overtaken = sum(later < sooner for sooner, later in pairwise(sequence))
    return f"of {BURST} messages sent at once {overtaken} were served before one that was sent earlier"


async def posted(target: Target, data: bytes) -> str:
    """Post *data* to a connection, and say what its client receives."""
    management = management_client(target)
    async with Room(target) as room:
        ann = await room.enter()
        try:
            await asyncio.to_thread(management.post_to_connection, ConnectionId=ann.connection_id, Data=data)
        except management.exceptions.ClientError as error:
            return f"the post is answered {error.response['ResponseMetadata']['HTTPStatusCode']}"
        return await received(ann.socket)


async def text_post(target: Target) -> str:
    """Post plain text."""
    return await posted(target, b"hello")


async def bytes_post(target: Target) -> str:
    """Post bytes that are no UTF-8."""
    return await posted(target, b"\xff\xfe\x00")


async def long_post(target: Target) -> str:
    """Post more than one frame may have, and less than a message."""
    return await posted(target, b"x" * 40_000)


async def received(client: ClientConnection) -> str:
    """Wait for the next message, and say of which kind and size it is, or how the connection ended."""
    try:
        async with asyncio.timeout(HEARD_WITHIN):
            message = await client.recv()
    except TimeoutError:
        return f"nothing within {HEARD_WITHIN:g} s"
    except ConnectionClosed as closed:
        return ended(closed)
    kind = "text" if isinstance(message, str) else "binary"
    return f"a {kind} message of {len(message)} {'characters' if kind == 'text' else 'bytes'}"


def ended(closed: ConnectionClosed) -> str:
    """Say how a connection ended, from its client's side."""
    if closed.rcvd is None:
        return "the connection is lost without a close frame"
    return f"closed with {closed.rcvd.code} {closed.rcvd.reason!r}"


async def pinged(target: Target) -> str:
    """Say nothing but pings for longer than a connection may be idle."""
    started = time.monotonic()
    async with connect(target.route("/ws/echo"), ping_interval=PING_EVERY, ping_timeout=None) as client:
        try:
            async with asyncio.timeout(IDLE):
                await client.recv()
        except TimeoutError:
            return f"pings alone kept it open for {IDLE / 60:g} minutes"
        except ConnectionClosed as closed:
            return f"{ended(closed)} after {(time.monotonic() - started) / 60:.1f} minutes, in spite of pings"
        return "a message that nobody asked for"


async def whole_life(target: Target) -> str:
    """Keep a connection busy until API Gateway ends it."""
    started = time.monotonic()
    async with connect(target.route("/ws/echo"), ping_interval=None) as client:
        try:
            while time.monotonic() - started < LIFE:
                await client.send("still here")
                await client.recv()
                async with asyncio.timeout(KEPT_BUSY_EVERY):
                    await client.wait_closed()
        except TimeoutError:
            return f"still open after {LIFE / 60:g} minutes"
        except ConnectionClosed as closed:
            return f"{ended(closed)} after {(time.monotonic() - started) / 60:.1f} minutes"
        return f"still open after {LIFE / 60:g} minutes"


async def refusal(target: Target) -> str:
    """Be refused by the app, and read what came with it."""
    try:
        async with connect(target.route("/ws/token", token="wrong")):  # noqa: S106 (no secret)
            return "a connection, in spite of the wrong token"
    except InvalidStatus as refused:
        response = refused.response
        return f"{response.status_code} with the body {response.body.decode('utf-8', 'replace')!r}"


async def compression(target: Target) -> str:
    """Offer permessage-deflate."""
    async with connect(target.route("/ws/echo"), compression="deflate") as client:
        assert client.response is not None  # noqa: S101 (there is one once it is open)
        accepted = client.response.headers.get("Sec-WebSocket-Extensions")
        return f"accepted as {accepted!r}" if accepted else "not accepted"


async def too_large(target: Target) -> str:
    """Send a frame of more than 32 KB."""
    return await closed_for(target, OVERSIZE_FRAME)


async def binary(target: Target) -> str:
    """Send a binary frame."""
    return await closed_for(target, b"\x00")


async def closed_for(target: Target, frame: str | bytes) -> str:
    """Send what isn't taken, and say what comes of it."""
    async with connect(target.route("/ws/echo")) as client:
        await client.send(frame)
        return await received(client)


async def extra_path(target: Target) -> str:
    """Add a path to the stage's, or the domain's."""
    try:
        async with connect(f"{target.websocket_url.rstrip('/')}/ws/echo"):
            return "a connection"
    except InvalidStatus as refused:
        return f"refused with {refused.response.status_code}"


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that isn't known."""

    letter: str
    text: str
    ask: Callable[[Target], Awaitable[str]]
    """Returns the answer; raises `Skipped`."""
    only_with: str | None = None
    """The option that has to be given for it."""


QUESTIONS: Final = (
    Question("a", "In which order are messages served that are sent at once?", order),
    Question("b", "What does a client receive of a posted text?", text_post),
    Question("b", "What does a client receive of posted bytes that are no UTF-8?", bytes_post),
    Question("b", "What does a client receive of a post of 40 KB?", long_post),
    Question("c", "Do a client's pings keep an idle connection open?", pinged, "idle"),
    Question("d", "How does a connection end after two hours?", whole_life, "life"),
    Question("e", "What does a client read when the app refuses it?", refusal),
    Question("j", "Is permessage-deflate accepted?", compression),
    Question("k", "How is a frame of more than 32 KB refused?", too_large),
    Question("k", "How is a binary frame refused?", binary),
    Question("l", "What becomes of a handshake with an extra path?", extra_path),
)
"""What is asked of the chat."""


def questions(probe: Probe | None) -> list[Question]:
    """Return every question in the order of the letters; those of the probe are asked of *probe*, if there is one."""
    of_probe = [
        Question(letter, text, partial(ask_probe, ask, probe), None if probe else "probe")
        for letter, text, ask in PROBE_QUESTIONS
    ]
    return sorted((*QUESTIONS, *of_probe), key=lambda question: question.letter)


async def ask_probe(ask: Callable[[Any], Awaitable[str]], probe: Probe | None, target: Target) -> str:
    """Ask *probe* what isn't asked of the chat."""
    return await ask(probe)


async def settle(target: Target, probe: Probe | None, options: frozenset[str]) -> list[dict[str, Any]]:
    """Ask every question, print a line for each, and return what there is to write down."""
    settled = []
    for question in questions(probe):
        answer, why_not = None, None
        if question.only_with is None or question.only_with in options:
            try:
                answer = await question.ask(target)
            except Skipped as skipped:
                why_not = str(skipped)
            except Exception as error:  # whatever ends a question is what there is to say of it
                why_not = f"{type(error).__name__}: {error}"
        else:
            why_not = f"only with --{question.only_with}"
        print(f"({question.letter}) {question.text} {answer or f'Not settled: {why_not}'}", flush=True)
        settled.append({"letter": question.letter, "question": question.text, "answer": answer, "why_not": why_not})
    return settled


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, write the answers, and return the exit status: 1 if nothing could be settled, 2 for a stack not found."""
    parser = argparse.ArgumentParser(description="Settle what no documentation says of API Gateway's WebSockets.")
    parser.add_argument("--stack", help="the CloudFormation stack to take the URL from")
    parser.add_argument("--region", help="its AWS region (default: the configured one)")
    parser.add_argument("--websocket-url", help="where WebSockets connect, in place of a stack: wss://…/{stage}")
    parser.add_argument("--probe", metavar="STACK", help="also what is asked of this stack, probe/template.yaml's")
    parser.add_argument("--output", type=Path, default=Path("facts.json"), help="default: %(default)s")
    parser.add_argument("--idle", action="store_true", help="also what takes 12 minutes")
    parser.add_argument("--life", action="store_true", help="also what takes two hours")
    options = parser.parse_args(arguments)
    if bool(options.stack) == bool(options.websocket_url):
        parser.error("expected either --stack or --websocket-url")
    try:
        target = (
            find(options.stack, options.region) if options.stack else Target(options.websocket_url, "", options.region)
        )
        probe = find_probe(options.probe, options.region) if options.probe else None
    except LookupError as error:
        print(f"settle_facts: {error}", file=sys.stderr)
        return 2
    chosen = frozenset(name for name in ("idle", "life") if getattr(options, name))
    settled = asyncio.run(settle(target, probe, chosen))
    about = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "region": target.region, "facts": settled}
    options.output.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written to {options.output}")
    return 0 if any(fact["answer"] for fact in settled) else 1


if __name__ == "__main__":
    sys.exit(main())
