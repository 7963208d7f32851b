"""Order and completeness over real processes, of which one is killed every second.

API Gateway doesn't try a message again whose invocation died before it wrote anything, so that nobody can promise this
of a `$default` route with a function behind it. Through a queue it can be promised: here messages take the way of
`gatesocket.events.Forwarded`, a FIFO queue with a message group for each connection, and clients hear the answers on
sockets of their own.
"""

import asyncio
import base64
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from gatesocket.emulator.queues import CONCURRENT_BATCHES, Poller
from gatesocket.emulator.resources import EventSource
from gatesocket.emulator.runtimes import RuntimeFunction
from gatesocket.emulator.stack import Stack
from support import dynamodb
from support.fifo import FifoQueue
from support.stack import running
from support.table import create_table

CONNECTIONS = 50
RUNTIMES = CONCURRENT_BATCHES  # so that no batch waits for a process
BATCH = 10
KILLED_EVERY = 1  # s
VISIBILITY = 12  # s: longer than a cold start and the lease that is taken then
PATIENCE = 60  # s

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: prod
      RouteSelectionExpression: \\$default
      Routes:
        $connect: {FunctionArn: !GetAtt Echo.Arn}
        $disconnect: {FunctionArn: !GetAtt Echo.Arn}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code/
      Handler: main.handler
      Runtime: python3.13
      Timeout: 6
      Environment:
        Variables:
          GATESOCKET_TABLE: connections
          AWS_ENDPOINT_URL_DYNAMODB: http://dynamodb
          GATESOCKET_REGION: eu-central-1
          GATESOCKET_ENDPOINT: !Sub https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/prod
"""

HANDLER = """
    import os

    from fastapi import FastAPI, WebSocket

    from gatesocket import WebSocketHandler, session

    # Processes die by chance here, and not of a message: none is given up, however many die of it in a row.
    session.MAX_ATTEMPTS = 1_000

    app = FastAPI()

    @app.websocket("/")
    async def echo(websocket: WebSocket):
        await websocket.accept()
        count = 0
        while True:
            number = await websocket.receive_text()
            count += 1
            await websocket.send_text(f"{number} {count} {os.getpid()}")

    handler = WebSocketHandler(app)
"""


@dataclass(frozen=True)
class Echo:
    """What a client heard: its number, how many the route had counted, and in which process."""

    number: int
    count: int
    process: int


@dataclass
class Client:
    """One connection: its socket, and what it has heard."""

    socket: ClientConnection
    connection_id: str
    messages: int
    """How many it sends."""
    heard: list[Echo] = field(default_factory=list)
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, queue: FifoQueue) -> None:
        for number in range(1, self.messages + 1):
            queue.send_message(MessageBody=self.forwarded(number), MessageGroupId=self.connection_id)

    async def listen(self) -> None:
        async for text in self.socket:
            assert isinstance(text, str)
            self.heard.append(Echo(*map(int, text.split())))
            if self.heard[-1].number == self.messages:
                self.complete.set()
        assert self.complete.is_set(), f"closed with {self.socket.close_code} after {self.heard[-1:]}"

    def forwarded(self, number: int) -> str:
        """Return a message as API Gateway puts it on the queue."""
        context = {
            "eventType": "MESSAGE",
            "connectionId": self.connection_id,
            "messageId": f"{self.connection_id}{number}",
            "requestId": f"{self.connection_id}{number}",
            "apiId": "api",
            "stage": "prod",
            "domainName": "127.0.0.1",
        }
        body = base64.b64encode(str(number).encode()).decode()
        return json.dumps({"requestContext": context, "body": body, "isBase64Encoded": True})

    def check(self, running: set[int]) -> None:
        """Compare what was heard with what was sent; *running* are the processes that have lived to the end.

        Whoever takes over goes on from what was saved last. So the message that a process died of may be heard again,
        with the same count, and with it what had come while that process had the connection; and then the batch that
        it had, from its begin: once for each process that died.
        """
        assert list(dict.fromkeys(echo.number for echo in self.heard)) == list(range(1, self.messages + 1))
        assert self.heard[0].count == 1
        batches_again = 0
        for place, (before, after) in enumerate(pairwise(self.heard), start=1):
            if after.count <= before.count:
                assert before.process not in running
                said = [(echo.number, echo.count) for echo in self.heard[:place] if echo.process == before.process]
                assert (after.number, after.count) in said
            else:
                assert after.count == before.count + 1
                assert before.number - BATCH < after.number <= before.number + 1
                batches_again += after.number <= before.number
        assert batches_again <= len({echo.process for echo in self.heard} - running)


async def open_client(stack: Stack, address: str, messages: int) -> Client:
    known = stack.connections.ids
    socket = await connect(f"ws://{address}/prod", open_timeout=PATIENCE)
    (connection_id,) = stack.connections.ids - known
    return Client(socket, connection_id, messages)


@asynccontextmanager
async def polled(queue: Any, stack: Stack) -> AsyncIterator[None]:
    """Hand the messages of *queue* to the function, as Lambda's event source mapping does."""
    source = EventSource("messages.fifo", "Echo", batch_size=BATCH, reports_failures=True)
    with ThreadPoolExecutor(1) as threads:
        poller = asyncio.create_task(Poller(source, queue, stack._on_batch, threads).run())
        try:
            yield
        finally:
            poller.cancel()
            await asyncio.wait([poller])


def pids(function: RuntimeFunction) -> set[int]:
    """Return the processes of *function* that are ready or at work."""
    return {runtime._process.pid for runtime in function._runtimes if runtime._ready.done() and not runtime.ended}


async def kill_every_second(function: RuntimeFunction, killed: list[int]) -> None:
    """Kill one of the function's processes again and again, whatever it does."""
    chance = random.Random(1)
    while True:
        await asyncio.sleep(KILLED_EVERY)
        if alive := sorted(pids(function)):
            killed.append(chance.choice(alive))
            os.kill(killed[-1], signal.SIGKILL)


def test_the_queue_has_one_receiver_for_each_group_at_a_time() -> None:
    """Until what it received is deleted, or comes again: in its order, before what is behind it."""
    now = 0.0
    queue = FifoQueue(visibility=VISIBILITY, clock=lambda: now)
    for body in ("a1", "a2", "a3", "b1"):
        queue.send_message(MessageBody=body, MessageGroupId=body[0])

    def receive() -> list[dict[str, Any]]:
        received: list[dict[str, Any]] = queue.receive_message(MaxNumberOfMessages=2)["Messages"]
        return received

    first, second = receive(), receive()
    assert [[message["Body"] for message in batch] for batch in (first, second, receive())] == [
        ["a1", "a2"],
        ["b1"],
        [],
    ]
    queue.delete_message_batch(Entries=[{"ReceiptHandle": message["ReceiptHandle"]} for message in (first[0], *second)])
    assert receive() == []

    now = VISIBILITY
    again = receive()
    assert [message["Body"] for message in again] == ["a2", "a3"]
    queue.delete_message_batch(Entries=[{"ReceiptHandle": first[1]["ReceiptHandle"]}])  # out of date
    now = 2 * VISIBILITY
    assert [message["Body"] for message in receive()] == ["a2", "a3"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("stand_in", "messages"), [(dynamodb.dynalite, 200), (dynamodb.moto, 20)])
async def test_every_transcript_is_in_order_and_complete_although_processes_are_killed(
    tmp_path: Path, stand_in: Callable[[], AbstractContextManager[str]], messages: int
) -> None:
    """moto takes ten times as long for each message, and so gets fewer."""
    queue = FifoQueue(visibility=VISIBILITY)
    killed: list[int] = []
    with stand_in() as url:
        table = dynamodb.connect(url)
        create_table(table, "connections")
        template = TEMPLATE.replace("http://dynamodb", url)
        async with running(tmp_path, template=template, handler=HANDLER, runtimes=RUNTIMES) as (stack, address):
            function = stack._functions["Echo"]
            assert isinstance(function, RuntimeFunction)
            clients = [await open_client(stack, address, messages) for _ in range(CONNECTIONS)]
            async with asyncio.TaskGroup() as tasks, polled(queue, stack):
                killing = tasks.create_task(kill_every_second(function, killed))
                for client in clients:
                    tasks.create_task(client.listen())
                    client.send(queue)
                for client in clients:
                    await client.complete.wait()
                killing.cancel()
                # What was heard comes again if a process was killed before the queue was told.
                await asyncio.to_thread(queue.join)
                for client in clients:
                    await client.socket.close()
            for client in clients:
                client.check(pids(function))
            async with asyncio.timeout(PATIENCE):
                while table.scan(TableName="connections", ConsistentRead=True)["Count"]:  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(0.1)
        table.close()
    assert len(killed) > RUNTIMES
