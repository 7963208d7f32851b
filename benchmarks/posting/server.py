"""A server that answers every post with 200, after a delay, plain or with TLS; its standard input's end ends it.

It looks at nothing but where a request ends, and runs on uvloop where that is installed, so that clients rather than it
are what is measured. It never sleeps either: waking another process is the sender's work, some 10 µs of its CPU time,
which no client pays over a network, and which only clients that are slower than this server would pay here.

It prints its two ports, and writes the certificate of the second to the file that it is told. ::

    python server.py DELAY_MS CERTIFICATE
"""

import asyncio
import contextlib
import ssl
import sys
from pathlib import Path
from typing import Any, Final

ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-amzn-RequestId: 0b3e1c2a-4f5d-4c6b-8a79-1e2d3c4b5a69\r\n\r\n"
)


class Connection(asyncio.Protocol):
    """One client's connection, kept alive."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        self._transport: Any = transport  # uvloop's are no subclasses of asyncio's
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            _, _, length = head.rpartition(b"content-length:")
            total = end + 4 + int(length.partition(b"\r\n")[0])
            if len(self._buffer) < total:
                return
            self._buffer = self._buffer[total:]
            if self._delay:
                self._loop.call_later(self._delay, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


async def main(delay: float, certificate: Path) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Connection(delay), "127.0.0.1", 0)]
    with contextlib.suppress(ImportError):  # without it there is no TLS, and the second port is missing
        import trustme  # noqa: PLC0415

        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(str(certificate))
        servers.append(await loop.create_server(lambda: Connection(delay), "127.0.0.1", 0, ssl=context))

    def stay_awake() -> None:
        loop.call_soon(stay_awake)

    stay_awake()
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    runner = asyncio.run
    with contextlib.suppress(ImportError):
        import uvloop

        runner = uvloop.run
    runner(main(float(sys.argv[1]) / 1000, Path(sys.argv[2])))
