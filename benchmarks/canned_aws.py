"""A stand-in for DynamoDB and the Management API that gives each call the same answer.

It takes as little time as it can and looks at as little as it can, so that what a client costs is seen. It runs as a
process of its own, whose CPU time isn't the benchmark's. The answer to a GetItem and to an UpdateItem that asks for the
item comes by its standard input; to all else it says "done".
"""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["canned_aws", "environment"]

TABLE: Final = "connections"


@contextmanager
def canned_aws(item: Mapping[str, Any]) -> Iterator[str]:
    """Run the stand-in, whose table holds only *item*, as boto3 has it; give its address."""
    command = [sys.executable, "-I", __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(item, default=_wire_bytes) + "\n")
        server.stdin.flush()
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.stdin.close()  # which ends it
            server.wait(10)


def environment(address: str) -> dict[str, str]:
    """Return the variables that lead a function to the stand-in, and nowhere else."""
    return {
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        # Lambda's credentials are temporary. Their token is a header that is signed, and long.
        "AWS_SESSION_TOKEN": "t" * 700,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": address,
        "GATESOCKET_TABLE": TABLE,
        "GATESOCKET_ENDPOINT": f"{address}/prod",
    }


def _wire_bytes(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{value!r} is not part of an item")


class _Connection(asyncio.Protocol):
    """One client's connection: HTTP/1.1, kept alive, one request after the other."""

    def __init__(self, item: str) -> None:
        self._got = _answer(json.dumps({"Item": json.loads(item)}))
        self._updated = _answer(json.dumps({"Attributes": json.loads(item)}))
        self._done = _answer("{}")
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            length = _content_length(head) if found else 0
            if not found or len(rest) < length:
                return
            body, self._buffer = rest[:length], rest[length:]
            self._transport.write(self._answer_to(head, body))

    def _answer_to(self, head: bytes, body: bytes) -> bytes:
        if b"DynamoDB_20120810.GetItem" in head:
            return self._got
        if b'"ALL_NEW"' in body:
            return self._updated
        return self._done


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def _answer(body: str) -> bytes:
    content = body.encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b" % (
        len(content),
        content,
    )


async def _main() -> None:
    loop = asyncio.get_running_loop()
    item = sys.stdin.readline()
    server = await loop.create_server(lambda: _Connection(item), "127.0.0.1", 0)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
