"""The server's end of an HTTP connection: uvicorn's, with a short way for the Management API.

Every send of a function is a request to ``@connections``, often several for one message of a client. Their answers are
there at once, so that such a request needs no task and no ASGI of its own: it is answered from within the parser.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gatesocket.emulator.http_api import HttpResponse
from gatesocket.emulator.management import MANAGEMENT
from gatesocket.limits import MESSAGE_BYTES

__all__ = ["GatewayHttp", "Manage"]

Manage = Callable[[str, re.Match[str], str, str | None, bytes], HttpResponse]
"""Answers a request to the Management API: its method, `MANAGEMENT` path, query, ``Authorization`` and body."""

Asked = tuple[str, re.Match[str], str, str | None, bytes]
"""What `Manage` is called with."""

_METHODS: Final = frozenset({b"GET", b"POST", b"DELETE"})
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class GatewayHttp(HttpToolsProtocol):
    """The server's end of a connection until its client asks for a WebSocket.

    Names of the handshake's headers reach functions as the client spelt them (facts sheet, section 1); uvicorn spells
    them in small letters.

    Args:
        manage: answers requests to the Management API.
        parameters: uvicorn's own.
    """

    def __init__(self, manage: Manage, **parameters: Any) -> None:
        super().__init__(**parameters)
        self._manage = manage
        self._spelt: list[tuple[bytes, bytes]] = []
        self._path: re.Match[str] | None = None
        """That of a request to the Management API; None while there is none."""
        self._body = bytearray()
        """What has come of its body."""
        self._asked: list[Asked] = []
        """Requests to the Management API that have come whole."""
        self._keeps = True
        """Whether the client wants to go on after the last of them."""

    def data_received(self, data: bytes) -> None:
        """Take what the client sends, and answer what is asked of the Management API."""
        super().data_received(data)
        if not self._asked:
            return
        # Not from within the parser, which would call an error of ours an invalid request.
        asked, self._asked = self._asked, []
        for request in asked:
            self._answer(request)
        if not self._keeps:
            self.transport.close()
        elif not self._is_busy():
            self.on_response_complete()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._spelt = []
        self._path = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        super().on_header(name, value)
        self._spelt.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin to serve a request, one to the Management API by ourselves."""
        self._path = self._managed()
        if self._path is None:
            super().on_headers_complete()
            return
        self._body = bytearray()
        if self.expect_100_continue:
            self.transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if self._path is None:
            super().on_body(body)
        elif len(self._body) <= MESSAGE_BYTES:  # of one that is too large, not more than shows that it is
            self._body += body

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        if self._path is None:
            super().on_message_complete()
            return
        query = httptools.parse_url(self.url).query or b""
        authorization = next(
            (value.decode("latin-1") for name, value in self.headers if name == b"authorization"), None
        )
        method = self.parser.get_method().decode("ascii")
        self._asked.append((method, self._path, query.decode("latin-1"), authorization, bytes(self._body)))
        self._keeps = self.parser.should_keep_alive()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to `GatewaySocket`."""
        self.scope["headers"] = self._spelt
        super().handle_websocket_upgrade()

    def _managed(self) -> re.Match[str] | None:
        """Return the path of a request that is answered by ourselves; None if it is uvicorn's."""
        if b"/@connections/" not in self.url or self.parser.get_method() not in _METHODS:
            return None
        # Behind a request that isn't answered yet it has to wait for its turn, as uvicorn makes it.
        if self._is_busy() or self.parser.should_upgrade():
            return None
        return MANAGEMENT.match(httptools.parse_url(self.url).path.decode("latin-1"))

    def _is_busy(self) -> bool:
        """Whether uvicorn serves another request of this client."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _answer(self, asked: Asked) -> None:
        response = self._manage(*asked)
        lines = [STATUS_LINE[response.status]]
        given = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        length = (b"content-length", b"%d" % len(response.body))
        for name, value in [*self.server_state.default_headers, *given, length]:
            lines += [name, b": ", value, b"\r\n"]
        if not self._keeps:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join([*lines, b"\r\n", response.body]))
