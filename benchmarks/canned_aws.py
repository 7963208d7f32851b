"""A stand-in for DynamoDB and the Management API that gives each call the same answer.

It takes as little time as it can and looks at as little as it can, so that what a client costs is seen. It runs as a
process of its own, whose CPU time isn't the benchmark's. The answer to a GetItem and to an UpdateItem that asks for the
item comes by its standard input, and so does how many members every group has; to all else it says "done".
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

PAGE: Final = 1_000
"""Members in one page of a Query: as many as the registry asks for."""


@contextmanager
def canned_aws(
    item: Mapping[str, Any], *, members: int = 0, post_seconds: float = 0, awake: bool = False
) -> Iterator[str]:
    """Run the stand-in; give its address.

    Args:
        item: all that its table holds, as boto3 has it.
        members: how many members it says that every group has.
        post_seconds: how long a post takes.
        awake: whether it never sleeps. On one machine, waking another process is the sender's work, and of its CPU
            time; on a network it isn't. It takes a whole core.
    """
    command = [sys.executable, "-I", __file__, str(members), str(post_seconds), str(int(awake))]
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

    def __init__(self, answers: "_Answers", post_seconds: float) -> None:
        self._answers = answers
        self._post_seconds = post_seconds
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
            answer = self._answers.to(head, body)
            if self._post_seconds and b"connections/" in head.partition(b"\r\n")[0]:
                asyncio.get_running_loop().call_later(self._post_seconds, self._transport.write, answer)
            else:
                self._transport.write(answer)


class _Answers:
    """What is said to which call."""

    def __init__(self, item: str, members: int) -> None:
        self._got = _answer(json.dumps({"Item": json.loads(item)}))
        self._updated = _answer(json.dumps({"Attributes": json.loads(item)}))
        self._done = _answer("{}")
        self._pages = [_page(first, members) for first in range(0, max(members, 1), PAGE)]

    def to(self, head: bytes, body: bytes) -> bytes:
        """Return the answer to one call."""
        if b"DynamoDB_20120810.GetItem" in head:
            return self._got
        if b"DynamoDB_20120810.Query" in head:
            last = json.loads(body).get("ExclusiveStartKey", {"sk": {"S": "-1"}})["sk"]["S"]
            return self._pages[(int(last.rstrip("=")) + 1) // PAGE]
        if b'"ALL_NEW"' in body:
            return self._updated
        return self._done


def _page(first: int, members: int) -> bytes:
    """Return the answer to a Query that has come to the member number *first*."""
    partition, end = {"S": "G#*#0"}, min(first + PAGE, members)
    # Ids as long as API Gateway's.
    keys: list[dict[str, Any]] = [{"pk": partition, "sk": {"S": f"{number:015}="}} for number in range(first, end)]
    page: dict[str, Any] = {
        "Items": [{**key, "expires_at": {"N": "4102444800"}, "user": {"S": "somebody"}} for key in keys],
        "Count": len(keys),
    }
    if end < members:
        page["LastEvaluatedKey"] = keys[-1]
    return _answer(json.dumps(page))


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
    answers, post_seconds = _Answers(sys.stdin.readline(), int(sys.argv[1])), float(sys.argv[2])
    server = await loop.create_server(lambda: _Connection(answers, post_seconds), "127.0.0.1", 0)

    def stay_awake() -> None:
        loop.call_soon(stay_awake)

    if int(sys.argv[3]):
        stay_awake()
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
