"""HTTP/1.1 from the client's side, without I/O: a request to bytes, and bytes to a response (RFC 9112).

Only what AWS's JSON services speak: one request at a time, its body in memory, and the answer kept whole. Whatever else
comes is an error and ends the connection; nothing is guessed.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["BODY_BYTES", "HEAD_BYTES", "BadResponse", "Response", "ResponseParser", "encode_request"]

HEAD_BYTES: Final = 64 * 1024
"""Bytes of a response's status line and headers at the most."""

BODY_BYTES: Final = 24 * 1024 * 1024
"""Bytes of a response's body at the most: DynamoDB's largest answer is 16 MB, a third longer where it is base64."""

CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,16}")
"""``int`` alone would take signs and underscores."""

BODILESS: Final = frozenset({204, 304})
"""The statuses that have no body, whatever their headers say (RFC 9112, section 6.3)."""


class BadResponse(Exception):
    """The server doesn't speak HTTP/1.1, or says more than anybody reads; the connection can't be used any more."""


class Response(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of several headers of one name, the last."""
    body: bytes


def encode_request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a request as it is sent.

    Raises:
        ValueError: a line break in *path* or *headers* would begin a line of its own.
    """
    lines = [f"{method} {path} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
    if _broken("".join(lines)):
        wrong = next(line for line in lines if _broken(line))
        raise ValueError(f"{wrong.partition(':')[0]!r} can't be sent: it has a line break or a NUL")
    return "\r\n".join([*lines, f"content-length: {len(body)}\r\n\r\n"]).encode("latin-1") + body


def _broken(line: str) -> bool:
    """Whether *line* would be more than one on the wire, for one reader or another."""
    return "\r" in line or "\n" in line or "\0" in line


class ResponseParser:
    """Reads one response.

    Args:
        head_bytes: how long its head may be.
        body_bytes: how long its body may be.
    """

    __slots__ = ("_body_bytes", "_buffer", "_chunks", "_head_bytes", "_headers", "_length", "_status", "keeps")

    def __init__(self, *, head_bytes: int = HEAD_BYTES, body_bytes: int = BODY_BYTES) -> None:
        self._head_bytes = head_bytes
        self._body_bytes = body_bytes
        self._buffer = bytearray()
        self._status = 0
        """0 until the head was read."""
        self._headers: dict[str, str] = {}
        self._length: int | None = 0
        """Of the body; None if it ends with the connection."""
        self._chunks: bytearray | None = None
        """What has come of a chunked body; None for one that isn't."""
        self.keeps = False
        """Whether the connection can be used again after this response."""

    def feed(self, data: bytes | memoryview) -> Response | None:
        """Take what was received; return the response once all of it has come.

        Raises:
            BadResponse: it is none.
        """
        self._buffer += data
        if self._status == 0 and not self._read_head():
            return None
        if self._chunks is not None:
            return self._read_chunks(self._chunks)
        size = len(self._buffer)
        if self._length is None:
            self._check_size(size)
            return None
        if size < self._length:
            return None
        if size > self._length:
            self.keeps = False  # nobody has asked for more, so that it isn't known what the next bytes answer
            del self._buffer[self._length :]
        return self._response(self._buffer)

    def end(self) -> Response | None:
        """Take the connection's end; return the response if that is how it says that it is complete."""
        if self._status and self._length is None and self._chunks is None:
            return self._response(self._buffer)
        return None

    def _response(self, body: bytearray) -> Response:
        return Response(self._status, self._headers, bytes(body))

    def _read_head(self) -> bool:
        """Read status line and headers, if they have come; skip interim responses (RFC 9110, section 15.2)."""
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            size = len(self._buffer) if end < 0 else end
            if size > self._head_bytes:
                raise BadResponse(f"expected at most {self._head_bytes} bytes of headers, but got {size} or more")
            if end < 0:
                return False
            lines = self._buffer[:end].decode("latin-1").split("\r\n")
            del self._buffer[: end + 4]
            version, status = _status_line(lines[0])
            if status >= 200:  # noqa: PLR2004  # the interim ones are those below
                break
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise BadResponse(f"expected a header, but got {line[:80]!r}")
            self._headers[name.lower()] = value.strip()
        self._status = status
        self.keeps = version == "HTTP/1.1" and self._headers.get("connection", "").lower() != "close"
        self._frame()
        return True

    def _frame(self) -> None:
        """Find out how the body ends: the rules of RFC 9112, section 6.3, in their order."""
        coding = self._headers.get("transfer-encoding")
        length = self._headers.get("content-length")
        if self._status in BODILESS:
            self._length = 0
        elif coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise BadResponse(f"expected a chunked body or one of a known length, but got {coding!r}, {length!r}")
            self._chunks = bytearray()
        elif length is not None:
            if not (length.isascii() and length.isdigit()):
                raise BadResponse(f"expected the body's length, but got {length[:80]!r}")
            self._length = int(length)
            self._check_size(self._length)
        else:
            self._length = None
            self.keeps = False

    def _read_chunks(self, body: bytearray) -> Response | None:
        """Read as many chunks as have come (RFC 9112, section 7.1)."""
        while True:
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                self._check_line(line)
                return None
            size = _chunk_size(line)
            if size == 0:
                return self._read_trailers(rest, body)
            self._check_size(len(body) + size)
            if len(rest) < size + 2:
                return None
            if rest[size : size + 2] != b"\r\n":
                raise BadResponse(
                    f"expected the end of a chunk of {size} bytes, but got {bytes(rest[size : size + 2])!r}"
                )
            body += rest[:size]
            self._buffer = rest[size + 2 :]

    def _read_trailers(self, rest: bytearray, body: bytearray) -> Response | None:
        """Skip to the empty line that ends a chunked body; what stands before it says nothing that is needed."""
        last = rest.find(b"\r\n" if rest.startswith(b"\r\n") else b"\r\n\r\n")
        if last < 0:
            self._check_line(rest)
            return None
        if not rest.endswith(b"\r\n") or len(rest) > last + 4:
            self.keeps = False
        return self._response(body)

    def _check_line(self, line: bytearray) -> None:
        if len(line) > self._head_bytes:
            raise BadResponse(f"expected a line of at most {self._head_bytes} bytes, but got {len(line)} or more")

    def _check_size(self, size: int) -> None:
        if size > self._body_bytes:
            raise BadResponse(f"expected a body of at most {self._body_bytes} bytes, but got {size} or more")


def _status_line(line: str) -> tuple[str, int]:
    version, _, rest = line.partition(" ")
    status = rest[:3]
    if version not in ("HTTP/1.1", "HTTP/1.0") or not (status.isascii() and status.isdigit() and len(status) == 3):  # noqa: PLR2004
        raise BadResponse(f"expected an HTTP/1.1 response, but got {line[:80]!r}")
    return version, int(status)


def _chunk_size(line: bytearray) -> int:
    digits = bytes(line).partition(b";")[0].strip()
    if not CHUNK_SIZE.fullmatch(digits):
        raise BadResponse(f"expected the size of a chunk, but got {bytes(line[:80])!r}")
    return int(digits, 16)
