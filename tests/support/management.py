"""The Management API on a socket of this machine: the emulator's gateway model behind a small HTTP server."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import boto3
from botocore.config import Config

from gatesocket.aws import AsyncioClient
from gatesocket.aws.credentials import Given
from gatesocket.aws.retry import Policy
from gatesocket.aws.sigv4 import Credentials
from gatesocket.emulator.gateway import (
    Api,
    Close,
    Effect,
    Gateway,
    Handshake,
    Invoke,
    ManagementResponse,
    Returned,
    Route,
    SendText,
)
from gatesocket.emulator.ids import random_id

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient

__all__ = ["ManagementServer", "connect", "error", "lean", "management_server"]

STAGE = "prod"
API = Api(
    api_id="a1b2c3d4e5",
    stage=STAGE,
    region="eu-central-1",
    domain_name="a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
    selection_expression=r"\$default",
    routes={"$connect": Route("function"), "$default": Route("function")},
)


class ManagementServer:
    """What the test sees of it: it is a client of the API, and can have answers of its own given."""

    def __init__(self) -> None:
        self.url = ""
        self.sent: defaultdict[str, list[str]] = defaultdict(list)
        """What each client was sent."""
        self.closed: list[str] = []
        self.authorizations: list[str] = []
        """The Authorization header of each request."""
        self.answers: list[ManagementResponse] = []
        """Given to the next requests, in place of the model's."""
        self._model = Gateway(API, new_id=random_id)
        self._invocations: dict[str, str] = {}
        self._lock = Lock()

    def connecting(self, *, source_ip: str = "203.0.113.7", user_agent: str | None = None) -> str:
        """Begin a handshake; its function hasn't answered yet."""
        headers = (("User-Agent", user_agent),) if user_agent is not None else ()
        connection_id, effects = self._model.handshake(Handshake(headers, (), source_ip), now=_now())
        self._perform(effects)
        return connection_id

    def open(self, connection_id: str) -> None:
        """End a handshake: the function accepts."""
        answer = Returned({"statusCode": 200})
        self._perform(self._model.answered(self._invocations.pop(connection_id), answer, now=_now()))

    def leave(self, connection_id: str) -> None:
        """Let a client close its connection."""
        self._perform(self._model.left(connection_id, 1000, "", now=_now()))

    def answer(self, method: str, path: str, body: bytes, authorization: str) -> ManagementResponse:
        """Answer one request."""
        with self._lock:
            self.authorizations.append(authorization)
            if self.answers:
                return self.answers.pop(0)
            prefix = f"/{STAGE}/@connections/"
            assert path.startswith(prefix), path
            connection_id = unquote(path.removeprefix(prefix))
            response, effects = self._model.manage(method, connection_id, body, now=_now())
            self._perform(effects)
            return response

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Invoke(invocation_id, _, _, connection_id):
                    self._invocations[connection_id] = invocation_id
                case SendText(connection_id, text):
                    self.sent[connection_id].append(text)
                case Close(connection_id):
                    self.closed.append(connection_id)


def error(status: int, error_type: str | None, message: str = "") -> ManagementResponse:
    """Make an error answer; without *error_type* it has no header that names it."""
    headers = {} if error_type is None else {"x-amzn-ErrorType": error_type}
    return ManagementResponse(status, headers, json.dumps({"message": message}).encode() if message else b"")


@contextmanager
def management_server() -> Iterator[ManagementServer]:
    """Serve the Management API on a free port."""
    served = ManagementServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = served.answer(self.command, self.path, body, self.headers.get("Authorization", ""))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            # An answer with 204 has no body, and says nothing about its length.
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815  # their names in the base class

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name in the base class
            """Say nothing: what was asked is the test's to look at."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/{STAGE}"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def connect(url: str) -> "ApiGatewayManagementApiClient":
    """Return a client that asks once, so that no test waits for a retry."""
    return boto3.session.Session().client(
        "apigatewaymanagementapi",
        endpoint_url=url,
        region_name=API.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
    )


def lean(url: str) -> AsyncioClient:
    """Return a lean client that asks once, too."""
    return AsyncioClient(
        "apigatewaymanagementapi",
        endpoint_url=url,
        region=API.region,
        credentials=Given(Credentials("test", "test")),
        policy=Policy(attempts=1),
    )


def _now() -> int:
    return time.time_ns() // 1_000_000
