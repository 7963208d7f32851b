"""The pool of connections, against a server on this machine."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gatesocket.aws.base import Unreachable
from gatesocket.aws.http import RECEIVE_BYTES, Address, Pool, Timeouts, _Connection
from gatesocket.aws.http1 import encode_request
from gatesocket.emulator.tls import Certificate
from support.canned_http import CannedServer, Request, answer, canned_server

REQUEST = encode_request("POST", "/", {"host": "h"}, b"hello")


def no_tls() -> ssl.SSLContext:
    raise AssertionError("plain connections need no TLS context")


class Clock:
    """Milliseconds that only the test moves."""

    now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


class Transport:
    """What a connection needs of one."""

    aborted = False

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True


@asynccontextmanager
async def pool_of(server: CannedServer, *, connections: int = 64, **timeouts: float) -> AsyncIterator[Pool]:
    pool = Pool(
        Address("127.0.0.1", server.port, secure=False),
        tls=no_tls,
        connections=connections,
        timeouts=Timeouts(**timeouts),
    )
    try:
        yield pool
    finally:
        await pool.aclose()


async def test_requests_one_after_the_other_take_one_connection() -> None:
    async with (
        canned_server(answer(body=b"one"), answer(400, b"two", x_name="value")) as server,
        pool_of(server) as pool,
    ):
        one = await pool.exchange(REQUEST)
        two = await pool.exchange(REQUEST)

    assert (one.status, one.body) == (200, b"one")
    assert (two.status, two.body, two.headers["x-name"]) == (400, b"two", "value")
    assert [request.body for request in server.requests] == [b"hello", b"hello"]
    assert server.connections == 1


async def test_concurrent_requests_take_a_connection_each_up_to_the_bound() -> None:
    everyone_there = asyncio.Event()

    async def respond(request: Request) -> bytes:
        if len(server.requests) == 3:
            everyone_there.set()
        await everyone_there.wait()
        return answer()

    async with canned_server(respond=respond) as server, pool_of(server, connections=3) as pool:
        await asyncio.gather(*(pool.exchange(REQUEST) for _ in range(10)))

    assert (server.connections, len(server.requests)) == (3, 10)


async def test_an_answer_may_be_longer_than_what_is_read_at_once() -> None:
    long = bytes(range(256)) * (5 * RECEIVE_BYTES // 256 + 1)
    async with canned_server(answer(body=long), answer(body=b"short")) as server, pool_of(server) as pool:
        assert (await pool.exchange(REQUEST)).body == long
        assert (await pool.exchange(REQUEST)).body == b"short"


async def test_a_response_that_ends_with_its_connection_is_complete() -> None:
    async def respond(request: Request) -> bytes | None:
        if len(server.requests) == 2:
            return answer()
        server.writers[-1].write(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
        return None

    async with canned_server(respond=respond) as server, pool_of(server) as pool:
        assert (await pool.exchange(REQUEST)).body == b"until the end"
        await pool.exchange(REQUEST)

    assert server.connections == 2


async def test_a_connection_is_not_kept_against_the_servers_word() -> None:
    async with canned_server(answer(connection="close")) as server, pool_of(server) as pool:
        await pool.exchange(REQUEST)
        await pool.exchange(REQUEST)

    assert server.connections == 2


# Connections that are not what they were.


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    async with canned_server(answer(), None, answer(body=b"again")) as server, pool_of(server) as pool:
        await pool.exchange(REQUEST)
        assert (await pool.exchange(REQUEST)).body == b"again"

    assert [request.connection for request in server.requests] == [1, 1, 2]


async def test_a_connection_whose_end_is_known_is_not_tried() -> None:
    async with canned_server() as server, pool_of(server) as pool:
        await pool.exchange(REQUEST)
        (kept,) = pool._open
        server.writers[0].close()
        await kept.lost
        await pool.exchange(REQUEST)

    assert [request.connection for request in server.requests] == [1, 2]


async def test_a_new_connection_that_is_closed_without_an_answer_is_an_error() -> None:
    async with canned_server(answer(), None, None) as server, pool_of(server) as pool:
        await pool.exchange(REQUEST)
        with pytest.raises(
            Unreachable, match=rf"http://127.0.0.1:{server.port} closed the connection without an answer"
        ):
            await pool.exchange(REQUEST)


async def test_an_answer_that_breaks_off_is_an_error_and_not_asked_for_again() -> None:
    async def respond(request: Request) -> bytes | None:
        if len(server.requests) == 1:
            return answer()
        server.writers[-1].write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell")
        return None

    async with canned_server(respond=respond) as server, pool_of(server) as pool:
        await pool.exchange(REQUEST)
        with pytest.raises(Unreachable, match="closed the connection in the middle of its answer"):
            await pool.exchange(REQUEST)

    assert len(server.requests) == 2


async def test_a_connection_that_was_idle_for_too_long_is_not_used_again() -> None:
    """Something in between may have forgotten it, and would swallow the request."""
    clock = Clock()
    async with canned_server() as server:
        address = Address("127.0.0.1", server.port, secure=False)
        pool = Pool(address, tls=no_tls, timeouts=Timeouts(idle=45), clock=clock)
        await pool.exchange(REQUEST)
        clock.now += 44_999
        await pool.exchange(REQUEST)
        clock.now += 45_000
        await pool.exchange(REQUEST)
        await pool.aclose()

    assert [request.connection for request in server.requests] == [1, 1, 2]


async def test_bytes_that_nobody_has_asked_for_end_the_connection() -> None:
    """They would be taken for the answer to the next request."""
    async with canned_server() as server, pool_of(server) as pool:
        await pool.exchange(REQUEST)
        (kept,) = pool._open
        server.writers[0].write(answer(body=b"planted"))
        await kept.lost
        assert (await pool.exchange(REQUEST)).body == b"{}"

    assert server.connections == 2


async def test_the_connection_of_a_cancelled_request_is_not_used_again() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def respond(request: Request) -> bytes:
        if request.connection == 1:
            asked.set()
            await go_on.wait()
        return answer(body=b"of connection %d" % request.connection)

    async with canned_server(respond=respond) as server, pool_of(server, connections=1) as pool:
        request = asyncio.create_task(pool.exchange(REQUEST))
        await asked.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        go_on.set()
        assert (await pool.exchange(REQUEST)).body == b"of connection 2"


async def test_an_answer_that_comes_as_its_request_is_cancelled_goes_nowhere() -> None:
    transport: Any = Transport()
    connection = _Connection(asyncio.get_running_loop(), Address("127.0.0.1", 1, secure=False))
    connection.connection_made(transport)
    request = connection.send(REQUEST, seconds=10)
    request.cancel()
    arrived = answer(body=b"too late")
    connection.get_buffer(-1)[: len(arrived)] = arrived
    connection.buffer_updated(len(arrived))
    connection.connection_lost(None)
    assert request.cancelled()


async def test_closing_the_pool_ends_what_is_under_way() -> None:
    asked = asyncio.Event()

    async def respond(request: Request) -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return answer()

    async with canned_server(respond=respond) as server, pool_of(server) as pool:
        request = asyncio.create_task(pool.exchange(REQUEST))
        await asked.wait()
        await pool.aclose()
        with pytest.raises(Unreachable, match="closed the connection without an answer"):
            await request


# Servers that are not there, or are something else.


async def test_a_server_that_does_not_answer_is_waited_for_so_long() -> None:
    async def respond(request: Request) -> bytes:
        await asyncio.Event().wait()
        return answer()

    async with canned_server(respond=respond) as server, pool_of(server, answer=0.001) as pool:
        with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:\d+ didn't answer within 0.001 s"):
            await pool.exchange(REQUEST)


async def test_each_request_has_all_of_the_time() -> None:
    """One timer looks after all requests of a connection: it must not take a later one's time for an earlier one's."""
    loop = asyncio.get_running_loop()
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def respond(request: Request) -> bytes:
        if len(server.requests) == 2:
            asked.set()
            await go_on.wait()
        return answer()

    async with canned_server(respond=respond) as server, pool_of(server, answer=10) as pool:
        await pool.exchange(REQUEST)
        (connection,) = pool._open
        connection._look(10)  # nothing is asked now
        second = asyncio.create_task(pool.exchange(REQUEST))
        await asked.wait()
        connection._look(10)  # asked, and not overdue
        assert connection._watch is not None
        assert connection._watch.when() - loop.time() > 9
        go_on.set()
        assert (await second).status == 200


async def test_a_connection_is_waited_for_so_long() -> None:
    """The TLS handshake included: here a socket that listens, and behind which nobody is."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = Address("127.0.0.1", listening.getsockname()[1], secure=True)
        pool = Pool(address, tls=ssl.create_default_context, timeouts=Timeouts(connect=0.01))
        with pytest.raises(Unreachable, match=r"https://127\.0\.0\.1:\d+ took no connection within 0.01 s"):
            await pool.exchange(REQUEST)


async def test_nobody_is_there() -> None:
    async with canned_server() as server:
        pass
    async with pool_of(server) as pool:
        with pytest.raises(Unreachable, match=rf"http://127\.0\.0\.1:{server.port} can't be connected to: "):
            await pool.exchange(REQUEST)


async def test_what_is_no_http_is_refused() -> None:
    async with canned_server(b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as server, pool_of(server) as pool:
        with pytest.raises(Unreachable, match="doesn't speak HTTP/1.1 as AWS does: expected an HTTP/1.1 response"):
            await pool.exchange(REQUEST)


async def test_a_transport_need_not_be_one_of_asyncios_classes() -> None:
    """Under uvicorn the event loop may be uvloop's, whose transports only behave as they do."""
    transport: Any = Transport()
    connection = _Connection(asyncio.get_running_loop(), Address("127.0.0.1", 1, secure=False))
    connection.connection_made(transport)
    connection.abort()
    assert transport.aborted


def test_an_address_is_written_as_in_a_url() -> None:
    assert str(Address("::1", 8000, secure=False)) == "http://[::1]:8000"
    assert str(Address("example.com", 443, secure=True)) == "https://example.com:443"


# TLS.


async def test_tls_is_spoken_with_a_context_made_by_the_first_connection(tmp_path: Path) -> None:
    certificate = Certificate("127.0.0.1", tmp_path)
    async with canned_server(tls=certificate.context) as server:
        pool = Pool(
            Address("127.0.0.1", server.port, secure=True),
            tls=lambda: ssl.create_default_context(cafile=str(certificate.path)),
        )
        await pool.exchange(REQUEST)
        await pool.exchange(REQUEST)
        await pool.aclose()

    assert (server.connections, len(server.requests)) == (1, 2)


async def test_a_certificate_that_nobody_vouches_for_is_refused_with_the_remedy(tmp_path: Path) -> None:
    certificate = Certificate("127.0.0.1", tmp_path)
    async with canned_server(tls=certificate.context) as server:
        pool = Pool(Address("127.0.0.1", server.port, secure=True), tls=ssl.create_default_context)
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED.*AWS_CA_BUNDLE"):
            await pool.exchange(REQUEST)
        await pool.aclose()

    assert server.requests == []
