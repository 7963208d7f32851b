"""Lambda functions that run in this process.

In this process means: started at once, with a debugger and reload at hand, and with module globals that all invocations
share. `gatesocket.emulator.runtimes` runs the same functions as separate processes.
"""

import asyncio
import importlib
import inspect
import json
import logging
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from anyio.from_thread import BlockingPortal, start_blocking_portal

from gatesocket.emulator import log
from gatesocket.emulator.activity import Reported, Watch
from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.calls import in_thread, on_loop
from gatesocket.emulator.report import Report, own_peak, status_of
from gatesocket.emulator.resources import Function
from gatesocket.exceptions import ConfigurationError
from gatesocket.importing import place_of

__all__ = ["InProcessFunction", "Invocable", "LambdaContext", "hang", "load_handler"]

logger = logging.getLogger("gatesocket.emulator")

CONCURRENT: Final = 8
"""How many invocations of a plain (not async) handler run at the same time; further ones wait."""


END_SECONDS: Final = 2
"""How long a function that is ended waits for its invocations."""


class Invocable(Protocol):
    """A Lambda function that can be invoked, wherever it runs."""

    async def start(self) -> None:
        """Get ready.

        Raises:
            ConfigurationError: the function's handler can't be loaded.
        """
        ...

    async def invoke(self, event: Any, *, request_id: str) -> Answer:
        """Invoke the function once; what goes wrong in it is an answer, not an exception."""
        ...

    async def aclose(self) -> None:
        """End what `start` started."""
        ...


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What a handler gets as its second argument.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    """A text, as AWS's runtime gives it."""
    deadline: float
    """When the invocation is given up, in seconds on the clock of `time.monotonic`."""
    function_version: str = "$LATEST"
    log_stream_name: str = "local"
    identity: None = None
    client_context: None = None

    @property
    def log_group_name(self) -> str:
        """The CloudWatch log group that AWS would write to."""
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Return how much time is left before the invocation is given up."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


def load_handler(function: Function) -> Callable[..., Any]:
    """Import the handler of *function*, whose directory must be on the import path.

    Raises:
        ConfigurationError: the import fails, there is no such attribute or it can't be called, or the module that
            Python found isn't in the function's directory.
    """
    # A handler may be written with slashes, as awslambdaric allows it too.
    module_name, _, attribute = function.handler.replace("/", ".").rpartition(".")
    where = f"{function.logical_id}: the handler {function.handler!r}"
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        place = place_of(error, function.code)
        raise ConfigurationError(f"{where} can't be imported: {place}{type(error).__name__}: {error}") from error
    found = Path(inspect.getfile(module)).resolve()
    if not found.is_relative_to(function.code):
        raise ConfigurationError(
            f"{where} was found in {found}, not in {function.code}: two modules have the same name. "
            "Rename one, or give each function its own process: --runtimes 1"
        )
    handler = getattr(module, attribute, None)
    if not callable(handler):
        raise ConfigurationError(f"{where} isn't there: {found} has no callable {attribute!r}")
    return handler  # type: ignore[no-any-return]


class InProcessFunction:
    """A function that runs in threads of this process, so that it never holds the server up.

    A handler object with a coroutine method ``invoke(event, context)``, as `gatesocket.WebSocketHandler` has, runs all
    its invocations concurrently on one event loop; its coroutine method ``shutdown()``, if it has one, is awaited at
    the end. Every other handler is called in one of a few threads, each with an event loop of its own, which
    adapters such as Mangum expect to find.

    Args:
        function: what to run.
        watch: is told of each invocation's report, whose memory is that of this whole process; and, while outputs are
            `log.captured`, of what the handler prints.
        portal: leads to the event loop of handlers with a coroutine method. Functions whose handlers are one object, or
            share something that is bound to a loop, have to share it. None makes one for this function alone.
    """

    def __init__(self, function: Function, *, watch: Watch = log.write, portal: BlockingPortal | None = None) -> None:
        self._function = function
        self._watch = watch
        self._given = portal
        self._handler: Any = None
        self._invoke: Callable[..., Awaitable[Any]] | None = None
        """The handler's coroutine method; None of a plain one."""
        self._exit = ExitStack()
        self._running: list[tuple[threading.Thread, asyncio.AbstractEventLoop]] = []
        """The threads, each with its event loop."""
        self._threads: ThreadPoolExecutor
        self._portal: BlockingPortal
        self._loop: asyncio.AbstractEventLoop
        """The portal's."""

    async def start(self) -> None:
        """Import the handler and start its threads."""
        code = str(self._function.code)
        sys.path.insert(0, code)
        self._exit.callback(sys.path.remove, code)
        self._threads = ThreadPoolExecutor(CONCURRENT, self._function.logical_id, initializer=self._give_loop)
        self._exit.callback(self._end_threads)
        try:
            loop = asyncio.get_running_loop()
            self._handler = await loop.run_in_executor(self._threads, load_handler, self._function)
        except ConfigurationError:
            self._exit.close()
            raise
        self._portal = self._given or self._exit.enter_context(start_blocking_portal("asyncio"))
        self._loop = self._portal.call(asyncio.get_running_loop)
        if inspect.iscoroutinefunction(invoke := getattr(self._handler, "invoke", None)):
            self._invoke = invoke
        if inspect.iscoroutinefunction(getattr(self._handler, "shutdown", None)):
            self._exit.callback(self._portal.call, self._handler.shutdown)

    async def invoke(self, event: Any, *, request_id: str) -> Answer:
        """Invoke the handler; an exception, and an answer that is late or can't be JSON, is a `Failed`."""
        started = time.perf_counter()
        with log.inside(self._function.logical_id, request_id, self._watch):
            answer = await self._answer(event, request_id)
        milliseconds = (time.perf_counter() - started) * 1000
        report = Report(request_id, milliseconds, self._function.memory, own_peak(), status=status_of(answer))
        self._watch(Reported(self._function.logical_id, report))
        return answer

    async def aclose(self) -> None:
        """End the threads: coroutines are cancelled, threads are waited for, though not for ever."""
        await asyncio.to_thread(self._exit.close)

    async def _answer(self, event: Any, request_id: str) -> Answer:
        function = self._function
        context = LambdaContext(
            aws_request_id=request_id,
            function_name=function.name,
            invoked_function_arn=function.arn,
            memory_limit_in_mb=str(function.memory),
            deadline=time.monotonic() + function.timeout,
        )
        # Through JSON, as in Lambda: a handler can't reach into the gateway's own objects.
        given = json.loads(json.dumps(event))
        if self._invoke is not None:
            outcome = await on_loop(self._loop, self._invoke, given, context, seconds=function.timeout)
        else:
            outcome = await in_thread(self._threads, self._handler, given, context, seconds=function.timeout)
        if outcome is None:
            message = f"{request_id} Task timed out after {function.timeout}.00 seconds"
            logger.error("%s: %s", function.logical_id, message)
            return Failed("Sandbox.Timedout", message)
        error = outcome.error
        if error is None:
            try:
                return Returned(json.loads(json.dumps(outcome.value)))
            except Exception as no_json:  # whatever the value's own methods raise
                error = no_json
        logger.error("%s: request %s failed", function.logical_id, request_id, exc_info=error)
        return Failed(type(error).__name__, str(error))

    def _give_loop(self) -> None:
        loop = asyncio.new_event_loop()
        self._running.append((threading.current_thread(), loop))
        asyncio.set_event_loop(loop)

    def _end_threads(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        end = time.monotonic() + END_SECONDS
        for thread, loop in self._running:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                logger.warning("%s: an invocation doesn't end, and is left as it is", self._function.logical_id)
                _left.append(thread)
            else:
                loop.close()


_left: Final[list[threading.Thread]] = []


def hang() -> bool:
    """Return whether functions that were ended still run, so that Python would wait for them before it ends."""
    return any(thread.is_alive() for thread in _left)
