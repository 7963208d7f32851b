"""Background jobs: functions that are called in one process and run in another, or later in the same one.

In the cloud a route may run for as long as API Gateway waits, and nothing goes on once it hibernates. What takes longer
is handed over::

    @job
    def render(page: int, scale: float = 1.0) -> dict[str, str]:
        ...

    @app.websocket("/ws/render")
    async def rendering(websocket: WebSocket) -> None:
        connection = await manager.connect(websocket)
        page = await websocket.receive_json()
        await render.reply_to(connection=connection).enqueue(page)

With ``GATESOCKET_JOBS_QUEUE`` the call becomes a message of that queue, and `JobsHandler`, the callable of another
Lambda function, runs it. Without, it runs in the background of the same process. Either way its arguments travel as
JSON, so that what works in one life works in the other.
"""

import asyncio
import functools
import inspect
import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from contextvars import Context
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Final, Generic, Literal, ParamSpec, TypeVar, cast

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from gatesocket import backend
from gatesocket.exceptions import ConfigurationError, InvalidArguments, UnexpectedEvent
from gatesocket.limits import QUEUE_MESSAGE_BYTES
from gatesocket.manager import ConnectionManager
from gatesocket.observation import Observer, Tracer
from gatesocket.parameters import Parameters, place, refuse
from gatesocket.queue_handler import QueueHandler

__all__ = ["Enqueuer", "Job", "JobsHandler", "drain", "job", "run"]

logger = logging.getLogger("gatesocket")

P = ParamSpec("P")
R = TypeVar("R")


def job(function: Callable[P, R]) -> "Job[P, R]":
    """Make a function a job: called, it runs here and now as before; enqueued, it runs in the background.

    The function belongs to a module, and every parameter has a type that pydantic can write as JSON and read again:
    numbers, texts, dates, lists, dicts, dataclasses, models. A plain function runs in a thread; one that sends to
    connections is a coroutine function and uses a `gatesocket.ConnectionManager`.

    A job runs **at least once**. SQS may deliver a message twice, and delivers it again when the job raised or its
    function ran into its time limit, until the queue's dead-letter queue takes it. So let a second run do no harm:
    write results under a key that is among the arguments, or look first whether the work is done. In the background of
    a process a job runs once, and is lost with the process.

    Raises:
        ConfigurationError: it can't be a job; the message names the place and the remedy.
    """
    if not isinstance(function, FunctionType):
        raise ConfigurationError(f"expected a function to make a job of, but got {function!r}")
    if "<" in function.__qualname__:
        refuse(function, "a function without a name in its module can't be a job", "Define it with def in a module")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        refuse(function, "a generator can't be a job", "Return a list, or send each item from the job")
    made: Job[P, R] = Job(function)
    known = _jobs.get(made.name)
    # The same place again is a module that was reloaded.
    if known is not None and known.place != made.place:
        refuse(function, f"there is a job {made.name} already, at {known.place}", "Give one of them another name")
    _jobs[made.name] = made
    return made


@dataclass(frozen=True, slots=True)
class Enqueuer(Generic[P]):
    """Enqueues a job, and has its result sent to somebody."""

    job: "Job[P, Any]"
    reply_to: "_ReplyTo | None"

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Let the job run in the background; see `Job.enqueue`."""
        call = _Call(job=self.job.name, arguments=self.job.parameters.to_json(args, kwargs), reply_to=self.reply_to)
        # ASCII: SQS refuses some characters, such as U+FFFF, and takes every escape.
        body = json.dumps(call.model_dump(mode="json"), separators=(",", ":"))
        if len(body) > QUEUE_MESSAGE_BYTES:
            raise InvalidArguments(
                f"{self.job.name} can't be enqueued: its arguments make a message of {len(body)} bytes, and a queue "
                f"takes {QUEUE_MESSAGE_BYTES}. Store them, and pass where they are"
            )
        queue = backend.jobs()
        if queue is not None and self.job.name.startswith("__main__:"):
            raise ConfigurationError(
                f"{self.job.place}: whoever reads the queue can't know a job of this script. "
                "Define it in a module that both import"
            )
        await (queue or _background).put(body)


class Job(Generic[P, R]):
    """A function that can be called, or enqueued to run in the background; made by `job`."""

    def __init__(self, function: FunctionType) -> None:
        functools.update_wrapper(self, function)
        self.name: Final = f"{function.__module__}:{function.__qualname__}"
        """What calls of it are known by."""
        self.place: Final = "{}:{}".format(*place(function))
        """Where it is defined, as ``file:line``."""
        self.parameters: Final = Parameters(function, self.name)
        self._function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return cast("R", self._function(*args, **kwargs))

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Let the job run in the background, with these arguments; it is on its way when this returns.

        Raises:
            InvalidArguments: they don't fit the function's parameters, don't survive JSON, or take more than 256 KiB.
                Nothing was sent.
            ConfigurationError: the queue can't be used as things are set up.
            QueueError: the queue didn't take it.
        """
        await Enqueuer(self, None).enqueue(*args, **kwargs)

    def reply_to(
        self, *, connection: str | None = None, user: str | None = None, group: str | None = None
    ) -> Enqueuer[P]:
        """Have what the job returns sent to a connection, a user or a group: exactly one of the three.

        Text is sent as it is, anything else as JSON; None sends nothing. Whoever has left by then is no failure. A
        result that can't be sent fails the job, so that a queue delivers it again.
        """
        given = {"connection": connection, "user": user, "group": group}
        named = [kind for kind, name in given.items() if name is not None]
        if len(named) != 1:
            raise TypeError(
                f"expected one of connection, user and group to reply to, but got {' and '.join(named) or 'none'}"
            )
        return Enqueuer(self, _ReplyTo.model_validate({"kind": named[0], "name": given[named[0]]}))

    async def run(self, arguments: Mapping[str, JsonValue]) -> Any:
        """Call the function with arguments that were JSON; a plain function in a thread.

        Raises:
            InvalidArguments: they don't fit.
            Exception: whatever the function raises.
        """
        bound = self.parameters.from_json(arguments)
        if inspect.iscoroutinefunction(self._function):
            return await self._function(*bound.args, **bound.kwargs)
        result = await asyncio.to_thread(self._function, *bound.args, **bound.kwargs)
        # A decorator under this one may be a plain function around a coroutine function.
        return await result if inspect.isawaitable(result) else result


async def run(body: str) -> None:
    """Run the job that a queue's message asks for, and send its result where that was asked for.

    Only what was decorated with `job` in a module that this process has imported can run.

    Raises:
        UnexpectedEvent: *body* is no message of `Job.enqueue`, or this process doesn't know the job.
        InvalidArguments: its arguments don't fit the job as it is here.
        GatesocketError: its result can't be sent.
        Exception: whatever the job raises.
    """
    await _read(body).perform()


async def drain() -> None:
    """Wait until no job runs in the background of this event loop any more, those that jobs enqueue included.

    A server awaits it in its lifespan's clean-up, as jobs that still run when the loop ends are lost.
    """
    await _background.drain()


class JobsHandler(QueueHandler):
    """Run the jobs of an SQS queue: the callable of a Lambda function whose event source the queue is.

    ::

        import chat.app  # whatever defines jobs
        jobs = JobsHandler()

    An app's lifespan doesn't run in that function: what a job needs, it makes itself, or its module does.

    The jobs of a batch run one after the other. Those that failed are reported, so that SQS delivers them again and in
    the end hands them to the dead-letter queue; the event source needs ``ReportBatchItemFailures`` for that. With a
    batch size of 1 each job has the function's whole time limit.

    Args:
        observer: is told of every batch when it is over, as ``jobs``; None observes nothing. See `gatesocket.observe`.
        tracing: follows every batch; None follows none. See `gatesocket.observe.tracing`.
    """

    def __init__(self, *, observer: Observer | None = None, tracing: Tracer | None = None) -> None:
        super().__init__("jobs", "job", observer=observer, tracing=tracing)

    async def _serve(self, body: str, context: object) -> bool:
        await run(body)
        return True


class _ReplyTo(BaseModel):
    """Who gets a job's result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["connection", "user", "group"]
    name: str

    async def send(self, result: Any, job_name: str) -> None:
        manager = ConnectionManager()
        if self.kind == "connection":
            gone = 0 if await manager.send_to(self.name, result) else 1
        elif self.kind == "user":
            gone = (await manager.send_to_user(self.name, result)).gone
        else:
            gone = (await manager.broadcast(result, group=self.name)).gone
        if gone:
            logger.info("%s has ended, but %d connections of %s %s had left", job_name, gone, self.kind, self.name)


class _Call(BaseModel):
    """A job that was enqueued: the message of the queue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: str
    arguments: dict[str, JsonValue]
    reply_to: _ReplyTo | None = None

    async def perform(self) -> None:
        known = _jobs.get(self.job)
        if known is None:
            raise UnexpectedEvent(
                f"no job {self.job!r} is known here, only {sorted(_jobs)}. Import its module where JobsHandler is made"
            )
        result = await known.run(self.arguments)
        if self.reply_to is not None and result is not None:
            await self.reply_to.send(result, self.job)


class _Background:
    """A queue whose jobs run at once, on the event loop that they were enqueued on."""

    def __init__(self) -> None:
        # An event loop alone would not keep a task from being collected as garbage.
        self._tasks: set[asyncio.Task[None]] = set()

    async def put(self, body: str) -> None:
        """Start a job.

        Raises:
            ConfigurationError: this is a Lambda function, where nothing runs in the background.
        """
        if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
            raise ConfigurationError(
                "GATESOCKET_JOBS_QUEUE isn't set, and a Lambda function has no background: it stands still between two "
                "events. Set it to the URL of the jobs queue, as template.yaml does"
            )
        # In a context of its own: the job isn't a part of the route that enqueued it, which may have hibernated before
        # the job ends, and has to send past it. What it shares with the route is where connections are kept.
        work = self._work(_read(body), backend.in_use())
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        loop = asyncio.get_running_loop()
        while running := [task for task in self._tasks if task.get_loop() is loop]:
            await asyncio.wait(running)

    async def _work(self, call: _Call, through: backend.Backend | None) -> None:
        try:
            with backend.use(through) if through else nullcontext():
                await call.perform()
        except asyncio.CancelledError:
            logger.warning("the job %s was cancelled before its end, and is lost", call.job)
            raise
        except Exception:
            logger.exception("the job %s failed, and isn't tried again", call.job)


def _read(body: str) -> _Call:
    try:
        return _Call.model_validate_json(body)
    except ValidationError:
        raise UnexpectedEvent(
            'expected a message of the jobs queue, {"job": …, "arguments": …, "reply_to": …}, but got another text of '
            f"{len(body)} characters"
        ) from None


_jobs: dict[str, Job[..., Any]] = {}
_background = _Background()
