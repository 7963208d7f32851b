"""Everything that a template asks for, running on this machine: functions, tables, queues and the two APIs."""

import asyncio
import functools
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from anyio.from_thread import BlockingPortal, start_blocking_portal

from gatesocket.aws.endpoints import parse_endpoint
from gatesocket.aws.http1 import Response
from gatesocket.aws.nearby import serving
from gatesocket.aws.services import Call
from gatesocket.clock import milliseconds
from gatesocket.emulator import environment, exits, http_api, log
from gatesocket.emulator.activity import Answered, Invoked, Watch, all_of
from gatesocket.emulator.answers import Answer, Failed
from gatesocket.emulator.api import Api
from gatesocket.emulator.aws import AwsStandIn
from gatesocket.emulator.calls import asked
from gatesocket.emulator.chaos import Chaos, MortalFunction, TroubledConnections
from gatesocket.emulator.connections import Connections
from gatesocket.emulator.description import describe
from gatesocket.emulator.expiry import Reaper
from gatesocket.emulator.forwarding import Forwarder
from gatesocket.emulator.functions import InProcessFunction, Invocable
from gatesocket.emulator.gateway import Gateway, Invoke, Quirks, Quotas
from gatesocket.emulator.ids import random_id
from gatesocket.emulator.management import MANAGEMENT, Management
from gatesocket.emulator.queues import Poller
from gatesocket.emulator.remote import RemoteFunction
from gatesocket.emulator.resources import Addresses, Function, Resources
from gatesocket.emulator.runtimes import RuntimeFunction
from gatesocket.emulator.streams import StreamPoller
from gatesocket.emulator.template import Template
from gatesocket.emulator.tls import Certificate
from gatesocket.emulator.waiting import Waiting
from gatesocket.exceptions import ConfigurationError
from gatesocket.registry.dynamodb import DynamoDBRegistry

__all__ = ["Stack"]

logger = logging.getLogger("gatesocket.emulator")

GRACE_SECONDS: Final = 2
"""How long the end of a stack waits for invocations that still run."""

_POLLERS: Final = 64
"""The most queues that can be polled; each takes a thread."""


class Stack:
    """A template's resources, from entering the context to leaving it.

    Args:
        template: what to run.
        region: the AWS region that it all pretends to be in.
        gateway_address: where the server listens that this stack is behind: ``http://127.0.0.1:8000``.
        runtimes: how many processes each function may have; None runs functions in this process.
        endpoints: logical id of a function -> the URL of the Lambda endpoint that runs it instead; ``*`` stands for
            every function that isn't named.
        watch: is told of all that happens.
        hibernations: whether to look, after each invocation of a WebSocket handler, where its routes wait; for handlers
            whose environment names a table in ``GATESOCKET_TABLE``.
        chaos: the seed of faults that are made on purpose; None makes none.
        quirks: settles what is not known of API Gateway; None takes the likeliest.
        quotas: what the account is served in a second; None takes what every new account has.
    """

    def __init__(
        self,
        template: Template,
        *,
        region: str,
        gateway_address: str,
        runtimes: int | None = None,
        endpoints: Mapping[str, str] | None = None,
        watch: Watch = log.write,
        hibernations: bool = False,
        chaos: int | None = None,
        quirks: Quirks | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        self._quirks = quirks
        self._quotas = quotas or Quotas()
        self._template = template
        self._region = region
        self._gateway_address = gateway_address
        self._runtimes = runtimes
        self._endpoints = endpoints or {}
        self._chaos = None if chaos is None else Chaos(chaos, watch=watch)
        self._watch = watch if self._chaos is None else all_of(watch, self._chaos)
        self._hibernations = hibernations
        self._waiting: dict[str, Waiting] = {}
        self._exit = AsyncExitStack()
        self._functions: dict[str, Invocable] = {}
        self._portal: BlockingPortal
        self.resources: Resources
        self.reapers: dict[str, Reaper]
        """What deletes what has expired, by the table's name."""
        self.connections: Connections
        self._management: Management
        self.certificate: Certificate
        """What the server may show to clients that want TLS."""

    async def __aenter__(self) -> Self:
        """Start everything.

        Raises:
            ConfigurationError: what can't be started, and what to do about it.
        """
        async with AsyncExitStack() as exit_stack:
            await self._start(exit_stack)
            self._exit = exit_stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything that was started, in reverse."""
        await self._exit.aclose()

    @property
    def api(self) -> Api:
        """The WebSocket API."""
        assert self.resources.api is not None  # noqa: S101 (_start has refused a template without one)
        return self.resources.api

    async def request(self, request: http_api.HttpRequest, path: str) -> http_api.HttpResponse:
        """Serve one request to the HTTP API; *path* is the request's, percent-decoded."""
        matched = http_api.match(self.resources.http_routes, request.method, path)
        if matched is None:
            return http_api.NOT_FOUND
        request_id = random_id()
        event = http_api.event(
            matched, request, request_id=request_id, now=milliseconds(), domain_name=self.api.domain_name
        )
        about = f"{request.method} {path}"
        return http_api.response(await self._invoke(matched.route.function, event, request_id, about))

    def _manage_nearby(self, call: Call) -> Response:
        """Answer a request of a function in this process, which nothing but the network is spared."""
        path, _, query = call.path.partition("?")
        managed = MANAGEMENT.match(path)
        if managed is None:
            answer = http_api.NOT_FOUND
        else:
            authorization = call.headers.get("authorization")
            answer = self._management.answer(call.method, managed, query, authorization, call.body)
        return Response(answer.status, {name.lower(): value for name, value in answer.headers}, answer.body)

    async def _start(self, exit_stack: AsyncExitStack) -> None:
        # Polls block in these threads until the stand-in ends; so the threads are waited for after it.
        threads = exit_stack.enter_context(ThreadPoolExecutor(_POLLERS, "poll"))
        aws = AwsStandIn(self._region)
        exit_stack.push_async_callback(aws.aclose)
        await aws.start()
        directory = Path(exit_stack.enter_context(TemporaryDirectory(prefix="gatesocket-")))
        self.certificate = Certificate(urlsplit(self._gateway_address).hostname or "localhost", directory)
        addresses = Addresses(self._gateway_address, aws.endpoint, self.certificate.path)
        self.resources = resources = describe(self._template, region=self._region, addresses=addresses)
        if resources.api is None:
            raise ConfigurationError(
                f"{self._template.path} has no WebSocket API; add an AWS::Serverless::WebSocketApi"
            )
        for note in resources.notes:
            logger.warning("%s", note)
        await asyncio.to_thread(aws.create, resources.tables, resources.queues)
        await self._start_functions(exit_stack, addresses)
        sqs = await asyncio.to_thread(aws.sqs)
        for logical_id, forwarding in resources.forwardings.items():
            self._functions[logical_id] = forwarder = Forwarder(forwarding, sqs)
            await forwarder.start()
        if self._hibernations:
            await self._start_looking(exit_stack, aws)
        gateway = Gateway(resources.api, new_id=random_id, quirks=self._quirks, quotas=self._quotas)
        if self._chaos is None:
            self.connections = Connections(gateway, self._on_invoke, watch=self._watch)
        else:
            self.connections = TroubledConnections(gateway, self._on_invoke, watch=self._watch, chaos=self._chaos)
        self._management = Management(resources.api.stage, self.connections.manage)
        exit_stack.push_async_callback(self.connections.aclose, grace=GRACE_SECONDS)
        for source in resources.sources:
            poller = asyncio.create_task(Poller(source, sqs, self._on_batch, threads).run())
            exit_stack.push_async_callback(_cancel, poller)
        await self._start_streams(exit_stack, aws)

    async def _start_streams(self, exit_stack: AsyncExitStack, aws: AwsStandIn) -> None:
        """Let what has expired be deleted, and functions be told of what changes in their tables."""
        dynamodb, streams = await asyncio.to_thread(aws.dynamodb), await asyncio.to_thread(aws.streams)
        self.reapers = {table.name: Reaper(table, dynamodb) for table in self.resources.tables}
        runs = [self.reapers[table.name].run() for table in self.resources.tables if table.ttl_attribute]
        for source in self.resources.streams:
            table = await asyncio.to_thread(dynamodb.describe_table, TableName=source.table)
            arn = table["Table"]["LatestStreamArn"]
            expired = self.reapers[source.table].deleted
            poller = await asyncio.to_thread(StreamPoller, source, streams, arn, self._on_batch, expired)
            runs.append(poller.run())
        for run in runs:
            exit_stack.push_async_callback(_cancel, asyncio.create_task(run))

    async def _start_functions(self, exit_stack: AsyncExitStack, addresses: Addresses) -> None:
        functions = self.resources.functions
        if unknown := self._endpoints.keys() - functions.keys() - {"*"}:
            raise ConfigurationError(
                f"--endpoint names {min(unknown)}, but the functions that run are {', '.join(functions) or 'none'}"
            )
        environments = {
            logical_id: environment.of_function(function, self.resources, region=self._region, addresses=addresses)
            for logical_id, function in functions.items()
            if self._endpoint_of(logical_id) is None
        }
        if self._runtimes is None:
            exit_stack.enter_context(environment.in_process(environments))
            gateway = parse_endpoint(self._gateway_address, "the gateway's address").address
            ask = functools.partial(asked, asyncio.get_running_loop(), self._manage_nearby)
            exit_stack.enter_context(serving(gateway, ask))
            exit_stack.enter_context(log.captured())
            exit_stack.enter_context(exits.survived())
            # One event loop for all of them, as one process has: two functions may have the same handler.
            portals = ExitStack()
            exit_stack.push_async_callback(asyncio.to_thread, portals.close)
            self._portal = portals.enter_context(start_blocking_portal("asyncio"))
        for logical_id, function in functions.items():
            invocable = self._invocable(function, environments.get(logical_id, {}))
            await invocable.start()
            exit_stack.push_async_callback(invocable.aclose)
            self._functions[logical_id] = invocable

    async def _start_looking(self, exit_stack: AsyncExitStack, aws: AwsStandIn) -> None:
        dynamodb = await asyncio.to_thread(aws.dynamodb)
        exit_stack.callback(dynamodb.close)
        for logical_id, function in self.resources.functions.items():
            if table := function.environment.get("GATESOCKET_TABLE"):
                waiting = Waiting(DynamoDBRegistry(table, client=dynamodb), watch=self._watch)
                exit_stack.push_async_callback(waiting.aclose)
                self._waiting[logical_id] = waiting

    def _endpoint_of(self, logical_id: str) -> str | None:
        return self._endpoints.get(logical_id, self._endpoints.get("*"))

    def _invocable(self, function: Function, variables: Mapping[str, str]) -> Invocable:
        endpoint = self._endpoint_of(function.logical_id)
        if endpoint is not None:
            return RemoteFunction(function, endpoint, watch=self._watch)
        if self._runtimes is not None:
            runtimes = RuntimeFunction(function, variables, count=self._runtimes, watch=self._watch)
            return runtimes if self._chaos is None else MortalFunction(runtimes, function.logical_id, self._chaos)
        return InProcessFunction(function, watch=self._watch, portal=self._portal)

    async def _on_invoke(self, effect: Invoke) -> Answer:
        about = f"{effect.connection_id} {effect.event['requestContext']['routeKey']}"

        async def run() -> Answer:
            return await self._invoke(effect.function, effect.event, effect.invocation_id, about, effect.connection_id)

        return await (run() if self._chaos is None else self._chaos.invoke(effect, run))

    async def _on_batch(self, function: str, event: dict[str, Any]) -> Answer:
        about = f"{len(event['Records'])} from the queue"

        async def run() -> Answer:
            return await self._invoke(function, event, random_id(), about)

        return await (run() if self._chaos is None else self._chaos.batch(f"{function}, {about}", run))

    async def _invoke(
        self, logical_id: str, event: Any, request_id: str, about: str, connection_id: str | None = None
    ) -> Answer:
        """Invoke a function; *about* says in a few words what with."""
        self._watch(Invoked(logical_id, request_id, about, event, connection_id))
        started = time.perf_counter()
        function = self._functions.get(logical_id)
        if function is None:
            answer: Answer = Failed("Runtime.NotRun", f"{logical_id} isn't run on this machine")
        else:
            answer = await function.invoke(event, request_id=request_id)
        milliseconds = (time.perf_counter() - started) * 1000
        self._watch(Answered(logical_id, request_id, about, milliseconds, answer, connection_id))
        if logical_id in self._waiting:
            self._waiting[logical_id].look(event)
        return answer


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
