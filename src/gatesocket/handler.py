"""The Lambda callable that serves an app's WebSocket routes.

Batches are served here and not by aws-lambda-powertools' batch utility, whose processor for FIFO queues takes plain
functions only, and whose one for coroutines serves a whole batch at the same time, without regard to the time that is
left. What is reported of a batch is the same, which a test compares.
"""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any
from uuid import uuid4

from starlette.types import ASGIApp

from gatesocket import hibernation
from gatesocket.backend import (
    Backend,
    default_fanout,
    default_gateway,
    default_jobs,
    default_registry,
    default_waker,
)
from gatesocket.clock import Clock, milliseconds
from gatesocket.driver import Driver
from gatesocket.event_loop import KeptLoop
from gatesocket.events import Connect, Disconnect, Expired, Forwarded, Item, Message, Origin, Unreadable, Wake, parse
from gatesocket.exceptions import ConfigurationError, UnreadableRecord
from gatesocket.gateway.base import GatewayClient
from gatesocket.gateway.management_api import endpoint_for
from gatesocket.handshake import Answer
from gatesocket.invocation import Invocation
from gatesocket.lifespan import Lifespan
from gatesocket.limits import INTEGRATION_SECONDS
from gatesocket.observation import Observation, Observer, Observers, Tracer, request_id, route_failed
from gatesocket.queues import Queue
from gatesocket.registry.base import Registry
from gatesocket.registry.items import decode
from gatesocket.settings import Settings, settings
from gatesocket.waker import Waker

__all__ = ["WebSocketHandler"]

logger = logging.getLogger("gatesocket")


class WebSocketHandler:
    """Serve an ASGI app's WebSocket routes from Lambda, behind an API Gateway WebSocket API.

    One handler takes all that concerns its connections: the events of the ``$connect``, ``$default`` and
    ``$disconnect`` routes, the batches of the wake queue, those of a FIFO queue that messages take instead of the
    ``$default`` route, and those of the table's stream, which tell of connections that have expired::

        websocket = WebSocketHandler(app)

    Making it prepares every route for hibernation and refuses those that can't be, so that a deployment which would
    lose a route's state doesn't start. The app's lifespan runs once, before the first event; one event loop is kept for
    the life of the process.

    Args:
        app: a FastAPI or Starlette app, or any ASGI app made of coroutine functions.
        registry: where connections are kept; None takes what the settings name.
        gateway: what posts to connections; None takes the Management API at the settings' endpoint, or at the API
            that the first event comes from.
        waker: what brings an invocation back to a connection; None takes the settings' wake queue.
        jobs: what takes a route's jobs to another function; None takes the settings' jobs queue.
        fanout: what takes a large broadcast to other invocations; None takes the settings' fan-out queue.
        settings: None reads the environment.
        clock: returns milliseconds since the epoch.
        on_error: is told of every exception that a route let out, after it was logged; the client's connection is
            closed either way. Test clients raise it in the test.
        observer: is told of every event when it is over; None observes nothing. See `gatesocket.observe`.
        tracing: follows every event; None follows none. See `gatesocket.observe.tracing`.

    Raises:
        ConfigurationError: *app* isn't an ASGI app, or this is a Lambda function without a table.
        CannotHibernate: a route can't hibernate; the message names each place and its remedy.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: Registry | None = None,
        gateway: GatewayClient | None = None,
        waker: Waker | None = None,
        jobs: Queue | None = None,
        fanout: Queue | None = None,
        settings: Settings | None = None,
        clock: Clock = milliseconds,
        on_error: Callable[[Exception], None] | None = None,
        observer: Observer | None = None,
        tracing: Tracer | None = None,
    ) -> None:
        self._app = app
        self._blueprint = hibernation.prepare(app)
        self._settings = settings or _settings()
        if registry is None and self._settings.table is None and "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
            raise ConfigurationError(
                "GATESOCKET_TABLE isn't set, and a Lambda function can't keep connections in memory: its next event "
                "may come to another process. Set it to the name of the connections table, as template.yaml does"
            )
        self._registry = registry or default_registry(self._settings)
        self._gateway = gateway
        self._waker = waker or default_waker(self._settings)
        self._jobs = jobs or default_jobs(self._settings)
        self._fanout = fanout or default_fanout(self._settings)
        self._clock = clock
        self._on_error = on_error or _ignore
        self._observers = Observers.of(observer, tracing)
        self._lifespan = Lifespan(app)
        self._driver: Driver | None = None
        self._loop = KeptLoop()

    @property
    def blueprint(self) -> hibernation.Blueprint:
        """What hibernation knows of the app's routes."""
        return self._blueprint

    @property
    def state(self) -> dict[str, Any]:
        """What the app's start-up has put into ``scope["state"]``; each connection gets a copy."""
        return self._lifespan.state

    def __call__(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        """Serve one Lambda event.

        Calls from several threads wait for one another, as Lambda gives a process one event at a time; a caller that
        runs an event loop awaits `invoke` instead.

        Raises:
            UnexpectedEvent: the event is none of a WebSocket API, and no batch that a handler takes.
            ConfigurationError: the app's start-up failed, or what the event needs isn't configured.
            RegistryError: the registry refused or can't be reached.
            GatewayError: so did the gateway, outside of a route's own sends.
        """
        return self._loop.run(self.invoke(event, context))

    async def invoke(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        """Serve one Lambda event on the running event loop; as `__call__`, but many may run at once."""
        parsed = parse(event)
        if self._observers is None:
            return await self._answer(parsed, event, context)
        kind = "batch" if isinstance(parsed, tuple) else type(parsed).__name__.lower()
        headers = parsed.headers if isinstance(parsed, Connect) else ()
        observation = Observation(
            kind, getattr(parsed, "connection_id", None), request_id(context), getattr(parsed, "message_id", None)
        )
        try:
            with self._observers.watching(observation, headers) as now:
                if isinstance(parsed, Connect):
                    parsed = replace(parsed, headers=now.headers(headers))
                answer = await self._answer(parsed, event, context)
                if isinstance(parsed, Connect):
                    observation.status = answer["statusCode"]
                observation.failures = len(answer.get("batchItemFailures", ()))
        finally:
            await self._observers.flush()
        return answer

    async def _answer(
        self, parsed: Connect | Message | Disconnect | tuple[Item, ...], event: dict[str, Any], context: object
    ) -> dict[str, Any]:
        await self.startup()
        invocation = self._invocation(event, context)
        if isinstance(parsed, tuple):
            return await self._serve_all(parsed, invocation)
        driver = self._driver_for(parsed.origin)
        match parsed:
            case Connect():
                return _response(await driver.connect(parsed, invocation))
            case Message():
                await driver.message(parsed, invocation)
            case _:
                await driver.disconnect(parsed, invocation)
        # Always 200: a message's status has no effect on the connection (facts sheet, section 3), and a disconnect's
        # isn't even looked at.
        return {"statusCode": 200}

    async def startup(self) -> None:
        """Run the app's lifespan start-up, unless it has run.

        Raises:
            ConfigurationError: it failed.
        """
        await self._lifespan.startup()

    async def shutdown(self) -> None:
        """Run the app's lifespan clean-up. Lambda gives no occasion for it; a server or a test client does."""
        await self._lifespan.shutdown()

    async def _serve_all(self, batch: tuple[Item, ...], invocation: Invocation) -> dict[str, Any]:
        """Serve a batch, and report what of it is to be delivered again.

        What has to stay in order behind something that failed isn't tried; nor, but for the first, is what there is no
        time for. What can't be read fails by itself: from a queue it is delivered until the dead-letter queue takes it,
        and of a stream, which would lose what is behind it too, it is left out.

        https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
        """
        failures: list[dict[str, str]] = []
        blocked: set[str | None] = set()
        for number, item in enumerate(batch):
            in_time = number == 0 or invocation.has_time(self._clock())
            if item.order in blocked or not in_time or not await self._serve(item, invocation):
                failures.append({"itemIdentifier": item.identifier})
                if item.order is not None:
                    blocked.add(item.order)
        return {"batchItemFailures": failures}

    async def _serve(self, item: Item, invocation: Invocation) -> bool:
        """Serve one of a batch; return whether that succeeded."""
        if isinstance(item, Unreadable):
            logger.error("%s of a batch can't be read: %s", item.identifier, item.error, exc_info=item.error)
            return not item.kept
        try:
            with self._watching(item, invocation):
                match item:
                    case Wake():
                        await self._driver_for(None).wake(item, invocation)
                    case Forwarded(message, event):
                        own = replace(invocation, scope={**invocation.scope, "aws.event": event})
                        await self._driver_for(message.origin).message(message, own)
                    case _:
                        await self._expire(item, invocation)
        except Exception:
            logger.exception("a %s, %s, failed and is to be tried again", type(item).__name__.lower(), item.identifier)
            return False
        return True

    def _watching(self, item: Wake | Forwarded | Expired, invocation: Invocation) -> AbstractContextManager[object]:
        if self._observers is None:
            return nullcontext()
        message = item.message if isinstance(item, Forwarded) else item
        kind = {Wake: "wake", Forwarded: "message", Expired: "expiry"}[type(item)]
        called = request_id(invocation.scope["aws.context"])
        identifier = getattr(message, "message_id", None)
        return self._observers.watching(Observation(kind, message.connection_id, called, identifier))

    async def _expire(self, item: Expired, invocation: Invocation) -> None:
        try:
            record = decode(dict(item.image))
        except UnreadableRecord as error:
            # No later try would read it, and the stream would lose what is behind it too.
            await self._driver_for(None).refuse(error)
            return
        await self._driver_for(None).expire(record, item.identifier, invocation)

    def _driver_for(self, origin: Origin | None) -> Driver:
        if self._driver is None:
            gateway = self._gateway or self._gateway_for(origin)
            self._driver = Driver(
                self._app,
                self._blueprint,
                Backend(
                    self._registry,
                    gateway if self._observers is None else self._observers.counting(gateway),
                    self._waker,
                    self._jobs,
                    self._clock,
                    self._fanout,
                    self._settings.fanout_above,
                ),
                self._settings,
                self._on_route_error,
            )
        return self._driver

    def _on_route_error(self, error: Exception) -> None:
        route_failed(error)
        self._on_error(error)

    def _gateway_for(self, origin: Origin | None) -> GatewayClient:
        region = self._settings.region or os.environ.get("AWS_REGION")
        endpoint = self._settings.endpoint
        if endpoint is None:
            if origin is None or region is None:
                raise ConfigurationError(
                    "it isn't known where to post to: set GATESOCKET_ENDPOINT to "
                    "https://{api}.execute-api.{region}.amazonaws.com/{stage}, as template.yaml does"
                )
            # Not from the event's domainName: behind a custom domain it leads nowhere (facts sheet, section 4).
            endpoint = endpoint_for(origin.api_id, region, origin.stage)
        return default_gateway(self._settings, endpoint)

    def _invocation(self, event: Mapping[str, Any], context: object) -> Invocation:
        remaining = getattr(context, "get_remaining_time_in_millis", None)
        milliseconds = remaining() if remaining else INTEGRATION_SECONDS * 1000
        return Invocation(
            # Not the request id alone: Lambda keeps it when it tries an event again, while the first try may still run.
            id=f"{getattr(context, 'aws_request_id', '')}/{uuid4().hex[:12]}",
            deadline=self._clock() + milliseconds,
            # Mangum's names for the same two things.
            scope={"aws.event": event, "aws.context": context, "state": self._lifespan.state},
        )


def _response(answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"statusCode": answer.status}
    if answer.headers:
        headers: dict[str, list[str]] = {}
        for name, value in answer.headers:
            headers.setdefault(name, []).append(value)
        # In the form that has room for it only where a header, such as Set-Cookie, comes more than once.
        if len(headers) < len(answer.headers):
            response["multiValueHeaders"] = headers
        else:
            response["headers"] = dict(answer.headers)
    if answer.body:
        response["body"] = answer.body.decode("utf-8", "replace")
    return response


def _settings() -> Settings:
    # Under its own name, as `settings` is a parameter's name above.
    return settings()


def _ignore(error: Exception) -> None:
    """Leave an error at the log."""
