"""The clients that `posts.py` compares, each in a process of its own: it posts for a while and says what that took.

::

    python clients.py NAME URL SECONDS
"""

import asyncio
import json
import os
import ssl
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from gatesocket.aws.sigv4 import Credentials, sign

BODY: Final = b"Good morning! Does anybody else see this? " * 5
ID: Final = "TXzPWdnOjoECGjA="
PATH: Final = "/prod/@connections/TXzPWdnOjoECGjA%3D"
REGION: Final = "eu-central-1"
CONCURRENT: Final = 256
THREADS: Final = 32
POOL: Final = 10
"""Connections of httpcore's pool, unless somebody says otherwise."""

Post = Callable[[], Awaitable[object]]


def signed(host: str) -> dict[str, str]:
    """Return the headers of a post, signed as ours are."""
    credentials = Credentials(
        *(os.environ[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"))
    )
    at = int(time.time())
    return sign(
        "POST", PATH, {"host": host}, BODY, credentials=credentials, region=REGION, service="execute-api", at=at
    )


def head(host: str) -> bytes:
    """Return what stands before the body on the wire."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed(host).items())
    return f"POST {PATH} HTTP/1.1\r\n{lines}content-length: {len(BODY)}\r\n\r\n".encode()


def context(url: str) -> ssl.SSLContext | None:
    """Return a TLS context that trusts the server; None for a plain one."""
    return ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"]) if url.startswith("https") else None


async def repeat(
    makes: Callable[[], Awaitable[Post]], seconds: float, concurrent: int = CONCURRENT
) -> tuple[int, float, float]:
    """Post from so many tasks; return how many posts were made, in how many seconds, of how many of CPU time."""
    posts = [await makes() for _ in range(concurrent)]
    await asyncio.gather(*(post() for post in posts))  # connections, and whatever is made late
    count, begin, cpu = 0, time.perf_counter(), time.process_time()

    async def work(post: Post) -> None:
        nonlocal count
        while time.perf_counter() - begin < seconds:
            await post()
            count += 1

    await asyncio.gather(*(work(post) for post in posts))
    return count, time.perf_counter() - begin, time.process_time() - cpu


async def gatesocket(url: str, seconds: float) -> tuple[int, float, float]:
    """The library's gateway client; each task posts to a connection of its own."""
    from gatesocket.gateway.management_api import ManagementAPI  # noqa: PLC0415

    gateway, text, numbers = ManagementAPI(f"{url}/prod"), BODY.decode(), iter(range(CONCURRENT))

    async def make() -> Post:
        connection_id = f"TXzPWdnOjoEC{next(numbers):03}="
        return lambda: gateway.post(connection_id, text)

    result = await repeat(make, seconds)
    await gateway.aclose()
    return result


async def streams(url: str, seconds: float) -> tuple[int, float, float]:
    """The leanest by hand: asyncio's streams, a connection for each task, and the answer read as it is known to be."""
    parts, tls = urlsplit(url), context(url)

    async def make() -> Post:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)

        async def post() -> None:
            writer.write(head(parts.netloc) + BODY)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200") or b"Content-Length: 0" not in answer:
                raise RuntimeError(answer)

        return post

    return await repeat(make, seconds)


async def httpcore(url: str, seconds: float) -> tuple[int, float, float]:
    """Httpcore's connections, which read with h11, one for each task."""
    import httpcore  # noqa: PLC0415

    host, origin, tls = urlsplit(url).netloc, httpcore.URL(url).origin, context(url)

    async def make() -> Post:
        connection = httpcore.AsyncHTTPConnection(origin, ssl_context=tls)
        return lambda: _post_by_httpcore(connection, url, host)

    return await repeat(make, seconds)


async def httpcore_pool(url: str, seconds: float) -> tuple[int, float, float]:
    """Httpcore's pool as it comes, which is of ten connections, and as many tasks.

    For each request, and again for its end, the pool counts its idle connections once for each idle connection: with
    256 that takes 50 ms.
    """
    import httpcore  # noqa: PLC0415

    host = urlsplit(url).netloc
    async with httpcore.AsyncConnectionPool(ssl_context=context(url)) as pool:

        async def make() -> Post:
            return lambda: _post_by_httpcore(pool, url, host)

        return await repeat(make, seconds, POOL)


async def _post_by_httpcore(by: Any, url: str, host: str) -> None:
    answer = await by.request("POST", url + PATH, headers=list(signed(host).items()), content=BODY)
    check(answer.status)


async def aiohttp(url: str, seconds: float) -> tuple[int, float, float]:
    """Aiohttp's session, which parses in C."""
    import aiohttp  # noqa: PLC0415
    from yarl import URL  # noqa: PLC0415

    address, host, tls = URL(url + PATH, encoded=True), urlsplit(url).netloc, context(url)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENT)) as session:

        async def post() -> None:
            async with session.post(address, data=BODY, headers=signed(host), ssl=tls or True) as answer:
                await answer.read()
                check(answer.status)

        async def make() -> Post:
            return post

        return await repeat(make, seconds)


async def awscrt(url: str, seconds: float) -> tuple[int, float, float]:
    """The AWS Common Runtime through its asyncio wrapper: connections and HTTP in C, in threads of its own."""
    from io import BytesIO  # noqa: PLC0415

    from awscrt.aio.http import AIOHttpClientConnection  # noqa: PLC0415
    from awscrt.http import HttpHeaders, HttpRequest  # noqa: PLC0415
    from awscrt.io import ClientTlsContext, InputStream, TlsContextOptions  # noqa: PLC0415

    parts, tls = urlsplit(url), None
    if parts.scheme == "https":
        chosen = TlsContextOptions()
        chosen.override_default_trust_store_from_path(None, os.environ["AWS_CA_BUNDLE"])
        tls = ClientTlsContext(chosen).new_connection_options()
        tls.set_server_name(parts.hostname)

    async def make() -> Post:
        connection = await AIOHttpClientConnection.new(parts.hostname, parts.port, tls_connection_options=tls)

        async def post() -> None:
            headers = [*signed(parts.netloc).items(), ("content-length", str(len(BODY)))]
            request = HttpRequest("POST", PATH, HttpHeaders(headers), InputStream(BytesIO(BODY)))
            stream = connection.request(request)
            check(await stream.get_response_status_code())
            while await stream.get_next_response_chunk():
                pass

        return post

    return await repeat(make, seconds)


async def aiobotocore(url: str, seconds: float) -> tuple[int, float, float]:
    """Aiobotocore's client: botocore over aiohttp."""
    from aiobotocore.config import AioConfig  # noqa: PLC0415
    from aiobotocore.session import get_session  # noqa: PLC0415

    config = AioConfig(max_pool_connections=CONCURRENT)
    async with get_session().create_client(
        "apigatewaymanagementapi", endpoint_url=f"{url}/prod", region_name=REGION, config=config
    ) as client:

        async def make() -> Post:
            return lambda: client.post_to_connection(ConnectionId=ID, Data=BODY)

        return await repeat(make, seconds)


def _boto3(url: str) -> Any:
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(max_pool_connections=CONCURRENT)
    return boto3.client("apigatewaymanagementapi", endpoint_url=f"{url}/prod", region_name=REGION, config=config)


async def boto3_loop(url: str, seconds: float) -> tuple[int, float, float]:
    """boto3, one post after the other."""
    client = _boto3(url)

    async def post() -> None:
        client.post_to_connection(ConnectionId=ID, Data=BODY)

    async def make() -> Post:
        return post

    return await repeat(make, seconds, 1)


async def boto3_threads(url: str, seconds: float) -> tuple[int, float, float]:
    """boto3 in threads."""
    client = _boto3(url)
    client.post_to_connection(ConnectionId=ID, Data=BODY)
    counts = [0] * THREADS
    begin, cpu = time.perf_counter(), time.process_time()

    def work(number: int) -> None:
        while time.perf_counter() - begin < seconds:
            client.post_to_connection(ConnectionId=ID, Data=BODY)
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts), time.perf_counter() - begin, time.process_time() - cpu


def check(status: int) -> None:
    """Make sure that what is counted was a post."""
    if status != 200:
        raise RuntimeError(f"expected 200, but got {status}")


CLIENTS: Final = {
    function.__name__: function
    for function in (
        gatesocket,
        streams,
        httpcore,
        httpcore_pool,
        aiohttp,
        awscrt,
        aiobotocore,
        boto3_loop,
        boto3_threads,
    )
}

if __name__ == "__main__":
    made, took, spent = asyncio.run(CLIENTS[sys.argv[1]](sys.argv[2], float(sys.argv[3])))
    print(json.dumps({"posts": made, "seconds": took, "cpu": spent}), flush=True)
    os._exit(0)  # connections that hand-written clients leave open aren't what is measured
