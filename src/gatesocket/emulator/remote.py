"""Lambda functions at another endpoint: ``sam local start-lambda``, or AWS's Runtime Interface Emulator (RIE).

Both speak the Invoke operation of Lambda's API, with small differences that are noted below:
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from gatesocket.aws import Unreachable
from gatesocket.aws.client import tls_context
from gatesocket.aws.endpoints import parse_endpoint
from gatesocket.aws.http import TIMEOUTS, Pool, Timeouts
from gatesocket.aws.http1 import Response, encode_request
from gatesocket.emulator import log
from gatesocket.emulator.activity import Reported, Watch
from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.report import Report, status_of
from gatesocket.emulator.resources import Function
from gatesocket.exceptions import ConfigurationError

__all__ = ["RemoteFunction", "read"]

logger = logging.getLogger("gatesocket.emulator")

START_SECONDS: Final = 60
"""How much longer than the function's own limit an answer may take: the endpoint may have to start a container."""

CONCURRENT: Final = 64
"""Invocations of one function at the same time, at an endpoint that runs each by itself."""

_PATH: Final = "/2015-03-31/functions/"


class RemoteFunction:
    """A function that something else runs.

    Args:
        function: its logical id is the name that it is invoked by.
        url: the endpoint, such as ``http://127.0.0.1:3001`` for ``sam local start-lambda``. A URL that ends in
            ``/invocations`` is taken as it is, which is how a RIE is named; as a RIE is one environment, it gets one
            invocation at a time, and others wait.
        watch: is told of each invocation's report, in which only the duration is known.

    Raises:
        ConfigurationError: *url* isn't the URL of an endpoint.
    """

    def __init__(self, function: Function, url: str, *, watch: Watch = log.write) -> None:
        self._function = function
        self._watch = watch
        self._endpoint = parse_endpoint(url, f"--endpoint for {function.logical_id}")
        whole = self._endpoint.path.endswith("/invocations")
        name = quote(function.logical_id, safe="")
        self._path = self._endpoint.path if whole else f"{self._endpoint.path}{_PATH}{name}/invocations"
        self._concurrent = 1 if whole else CONCURRENT
        self._pool: Pool

    async def start(self) -> None:
        """See whether somebody listens at the endpoint.

        Raises:
            ConfigurationError: nobody does.
        """
        address = self._endpoint.address
        try:
            async with asyncio.timeout(TIMEOUTS.connect):
                _, writer = await asyncio.open_connection(address.host, address.port)
        except (OSError, TimeoutError) as error:
            raise ConfigurationError(
                f"{self._function.logical_id}: nothing answers at {address} ({str(error) or 'no answer in time'}). "
                "Start it, as by: sam local start-lambda; or name another: --endpoint"
            ) from error
        writer.close()
        timeouts = Timeouts(answer=self._function.timeout + START_SECONDS)
        self._pool = Pool(address, tls=tls_context, connections=self._concurrent, timeouts=timeouts)

    async def invoke(self, event: Any, *, request_id: str) -> Answer:
        """Invoke the function once; what goes wrong on the way is a `Failed`, and one line of the log."""
        headers = {
            "Host": self._endpoint.host,
            "Content-Type": "application/json",
            "X-Amz-Invocation-Type": "RequestResponse",
            # A kept connection may turn out to be closed, and then nobody knows whether the function has run.
            "Connection": "close",
        }
        request = encode_request("POST", self._path, headers, json.dumps(event).encode())
        started = time.perf_counter()
        try:
            answer = read(await self._pool.exchange(request))
        except Unreachable as error:
            answer = Failed("Endpoint.Unreachable", str(error))
        if isinstance(answer, Failed):
            logger.warning(
                "%s %s | failed at %s: %s: %s",
                *(self._function.logical_id, request_id, self._endpoint, answer.error_type, answer.message),
            )
        milliseconds = (time.perf_counter() - started) * 1000
        report = Report(request_id, milliseconds, self._function.memory, None, status=status_of(answer))
        self._watch(Reported(self._function.logical_id, report))
        return answer

    async def aclose(self) -> None:
        """Close what is open; what the endpoint runs goes on."""
        await self._pool.aclose()


def read(response: Response) -> Answer:
    """Read the response to an invocation."""
    text = response.body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except ValueError:
        if text.startswith("Task timed out"):  # a RIE's way to say so, with status 200
            return Failed("Sandbox.Timedout", text)
        if response.status == HTTPStatus.OK:
            return Failed("Runtime.MalformedResponse", f"the endpoint's answer isn't JSON: {text[:200]!r}")
        value = text
    if response.status != HTTPStatus.OK:
        return _refused(response.status, value)
    if "x-amz-function-error" in response.headers or _is_error(value):
        return _failed(value)
    return Returned(value)


def _is_error(value: object) -> bool:
    """Whether *value* is a runtime's report of an exception, which a RIE passes on without a header that says so."""
    return isinstance(value, Mapping) and {"errorMessage", "errorType", "stackTrace"} <= value.keys()


def _failed(value: object) -> Failed:
    error: Mapping[str, Any] = value if isinstance(value, Mapping) else {"errorMessage": value}
    return Failed(str(error.get("errorType", "Unhandled")), str(error.get("errorMessage", "")))


def _refused(status: int, value: object) -> Failed:
    match value:
        case {"Message": str(message), "Type": str()} | {"message": str(message)}:
            return Failed(f"Endpoint.{status}", message)
        case {"errorMessage": _, "errorType": _}:
            return _failed(value)
    return Failed(f"Endpoint.{status}", str(value)[:200] or "the endpoint said no more than the status")
