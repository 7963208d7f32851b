"""Lambda functions as processes of their own, by way of an emulated Runtime API.

The processes run AWS's own Python runtime, awslambdaric: one invocation at a time each, started when all others are
busy, ended when an invocation takes too long. So nothing that a handler keeps in memory is where the next invocation
looks for it, as in Lambda.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import asyncio
import importlib.util
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import h11

from gatesocket.emulator import environment, log
from gatesocket.emulator.activity import Printed, Reported, Watch
from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.report import Report, peak_of, status_of
from gatesocket.emulator.resources import Function
from gatesocket.exceptions import ConfigurationError

__all__ = ["Runtime", "RuntimeFunction"]

logger = logging.getLogger("gatesocket.emulator")

START_SECONDS: Final = 30
"""How long a process may take to ask for its first invocation; Lambda allows ten seconds on faster machines."""

_PREFIX: Final = "/2018-06-01/runtime"
_CHUNK: Final = 65536

LINE_BYTES: Final = 256 * 1024
"""Bytes after which a line of a function's output is cut, as CloudWatch Logs cuts it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
"""


class RuntimeFunction:
    """A function that runs in up to *count* processes.

    Args:
        function: what to run.
        variables: its environment variables.
        count: the most processes at a time; an invocation for which there is none waits.
        watch: is told of what the processes print, and of each invocation's report.
    """

    def __init__(
        self, function: Function, variables: Mapping[str, str], *, count: int, watch: Watch = log.write
    ) -> None:
        self._function = function
        self._watch = watch
        self._variables = variables
        self._turns = asyncio.Semaphore(count)
        self._runtimes: set[Runtime] = set()
        self._idle: list[Runtime] = []

    async def start(self) -> None:
        """Start one process, and see whether it can load its handler.

        Raises:
            ConfigurationError: it can't, or awslambdaric isn't installed.
        """
        if importlib.util.find_spec("awslambdaric") is None:
            raise ConfigurationError("functions in processes of their own need AWS's runtime: pip install awslambdaric")
        self._idle.append(await self._start_runtime())

    async def invoke(self, event: Any, *, request_id: str) -> Answer:
        """Invoke the function in a process that is free."""
        async with self._turns:
            try:
                runtime = await self._free_runtime()
            except ConfigurationError as error:
                logger.warning("%s", error)
                return Failed("Runtime.InitError", str(error))
            try:
                return await runtime.invoke(json.dumps(event).encode(), request_id=request_id)
            finally:
                if runtime.ended:
                    self._runtimes.discard(runtime)
                    await runtime.aclose()
                else:
                    self._idle.append(runtime)

    def kill(self, request_id: str) -> bool:
        """Kill the process that an invocation runs in; return whether there was one."""
        runs = [runtime for runtime in self._runtimes if runtime.serves == request_id]
        for runtime in runs:
            runtime.kill()
        return bool(runs)

    async def aclose(self) -> None:
        """End all processes at once."""
        for runtime in tuple(self._runtimes):
            await runtime.aclose()
        self._runtimes.clear()
        self._idle.clear()

    async def _free_runtime(self) -> "Runtime":
        while self._idle:
            runtime = self._idle.pop()
            if not runtime.ended:
                return runtime
            # It died while nobody needed it.
            self._runtimes.discard(runtime)
            await runtime.aclose()
        return await self._start_runtime()

    async def _start_runtime(self) -> "Runtime":
        runtime = Runtime(self._function, self._variables, self._watch)
        self._runtimes.add(runtime)
        try:
            await runtime.start()
        except ConfigurationError:
            self._runtimes.discard(runtime)
            raise
        return runtime


class Runtime:
    """One process, and the Runtime API that it alone talks to."""

    def __init__(self, function: Function, variables: Mapping[str, str], watch: Watch = log.write) -> None:
        self._function = function
        self._variables = variables
        self._watch = watch
        self.serves: str | None = None
        """The request id of the invocation that runs now."""
        self._request_id: str | None = None
        """That of the last one: what the process prints may come after its answer."""
        self._init: float | None = None
        """Milliseconds that the start took, until the first invocation has reported it."""
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._invocations: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self._answer: asyncio.Future[Answer] = loop.create_future()
        self._process: asyncio.subprocess.Process
        self._server: asyncio.Server
        self._follower: asyncio.Task[None]

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.returncode is not None

    async def start(self) -> None:
        """Start the process, and wait until it asks for its first invocation.

        Raises:
            ConfigurationError: it reported that its handler can't be loaded, ended, or took too long.
        """
        function = self._function
        started = time.perf_counter()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "awslambdaric", function.handler),
            cwd=function.code,
            env=environment.of_runtime(function, self._variables, runtime_api=f"{host}:{port}"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # A Ctrl+C at the terminal is for the stack, which then ends this process.
            start_new_session=True,
        )
        self._follower = asyncio.create_task(self._follow())
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), START_SECONDS)
        except TimeoutError:
            await self.aclose()
            raise ConfigurationError(
                f"{function.logical_id}: its process was not ready after {START_SECONDS} s; what does "
                f"{function.handler!r} do when it is imported?"
            ) from None
        except ConfigurationError:
            await self.aclose()
            raise
        self._init = (time.perf_counter() - started) * 1000

    async def invoke(self, event: bytes, *, request_id: str) -> Answer:
        """Give the process one event, and wait for its answer; one that takes too long ends the process."""
        self.serves = self._request_id = request_id
        started = time.perf_counter()
        # Looked at before as well: nothing is known any more of a process that has ended.
        used = peak_of(self._process.pid)
        try:
            answer = await self._run(event, request_id)
        finally:
            self.serves = None
        milliseconds = (time.perf_counter() - started) * 1000
        used = peak_of(self._process.pid) or used
        report = Report(request_id, milliseconds, self._function.memory, used, self._init, status_of(answer))
        self._watch(Reported(self._function.logical_id, report))
        self._init = None
        return answer

    def kill(self) -> None:
        """Kill the process; whoever waits for its answer is told."""
        if not self.ended:
            self._process.kill()

    async def aclose(self) -> None:
        """End the process at once."""
        self.kill()
        await self._follower
        self._invocations.put_nowait(None)
        self._server.close()

    async def _run(self, event: bytes, request_id: str) -> Answer:
        self._answer = asyncio.get_running_loop().create_future()
        self._invocations.put_nowait((request_id, event))
        try:
            return await asyncio.wait_for(self._answer, self._function.timeout)
        except TimeoutError:
            await self.aclose()
            return Failed("Sandbox.Timedout", f"{request_id} Task timed out after {self._function.timeout}.00 seconds")
        except asyncio.CancelledError:
            await self.aclose()
            raise

    async def _follow(self) -> None:
        """Log what the process prints; when it ends, say so to whoever waits for it."""
        assert self._process.stdout is not None  # noqa: S101 (a pipe, as asked in start)
        async for line in _lines(self._process.stdout):
            text = line.decode("utf-8", "replace").rstrip()
            self._watch(Printed(self._function.logical_id, self._request_id, text))
        status = await self._process.wait()
        message = f"its process ended with status {status}"
        if not self._ready.done():
            self._ready.set_exception(ConfigurationError(f"{self._function.logical_id}: {message}"))
        self._settle(Failed("Runtime.ExitError", message))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of the process's Runtime API client."""
        connection = h11.Connection(h11.SERVER)
        try:
            while (request := await _request(connection, reader)) is not None:
                status, headers, body = await self._respond(*request)
                headers = {**headers, "content-length": str(len(body)), "content-type": "application/json"}
                writer.write(
                    connection.send(h11.Response(status_code=status, headers=list(headers.items())))
                    + connection.send(h11.Data(body))
                    + connection.send(h11.EndOfMessage())
                )
                await writer.drain()
                connection.start_next_cycle()
        except (ConnectionError, h11.ProtocolError):
            pass  # The process has ended, which `_follow` sees and reports.
        finally:
            writer.close()

    async def _respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        match method, path.removeprefix(_PREFIX).split("/")[1:]:
            case "GET", ["invocation", "next"]:
                return await self._next()
            case "POST", ["invocation", _, "response"]:
                self._settle(Returned(json.loads(body)))
            case "POST", ["invocation", _, "error"]:
                self._settle(_failure(body))
            case "POST", ["init", "error"]:
                failed = _failure(body)
                self._ready.set_exception(
                    ConfigurationError(
                        f"{self._function.logical_id}: the handler {self._function.handler!r} can't be imported: "
                        f"{failed.error_type}: {failed.message}"
                    )
                )
            case _:
                return HTTPStatus.NOT_FOUND, {}, b"{}"
        return HTTPStatus.ACCEPTED, {}, b"{}"

    def _settle(self, answer: Answer) -> None:
        # An answer that comes when its time is up has been given up already.
        if not self._answer.done():
            self._answer.set_result(answer)

    async def _next(self) -> tuple[int, dict[str, str], bytes]:
        if not self._ready.done():
            self._ready.set_result(None)
        invocation = await self._invocations.get()
        if invocation is None:
            raise ConnectionAbortedError("the process is ended")
        request_id, event = invocation
        deadline = time.time_ns() // 1_000_000 + self._function.timeout * 1000
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": self._function.arn,
        }
        return HTTPStatus.OK, headers, event


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Iterate over lines of any length; asyncio's own iteration fails at one of 64 KB."""
    rest = b""
    while chunk := await stream.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > LINE_BYTES:
            yield rest
            rest = b""
    if rest:
        yield rest


async def _request(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
    """Read one request: its method, path and body; None at the end of the connection."""
    request, body = None, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request.method.decode(), request.target.decode(), body
        else:
            return None


def _failure(report: bytes) -> Failed:
    """Read a runtime's report of an error: ``errorType``, ``errorMessage``."""
    error = json.loads(report)
    return Failed(str(error.get("errorType")), str(error.get("errorMessage")))
