"""HTTP, HTTPS, ws and wss on one port."""

import asyncio
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect

from gatesocket.emulator.tls import Certificate
from support.stack import LittleStack, serving

REQUEST = b"GET /prod HTTP/1.1\r\nHost: x\r\n\r\n"


def accept(event: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": 200}


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate("127.0.0.1", tmp_path)


@pytest.fixture
def trusting(certificate: Certificate) -> ssl.SSLContext:
    """What a client has that trusts the certificate, and nothing else."""
    return ssl.create_default_context(cafile=certificate.path)


async def test_a_client_gets_what_it_begins_with(certificate: Certificate, trusting: ssl.SSLContext) -> None:
    stack = LittleStack(accept)
    async with serving(stack, tls=certificate.context) as address:
        for scheme, tls in (("ws", None), ("wss", trusting)):
            async with connect(f"{scheme}://{address}/prod", ssl=tls) as client:
                event = await stack.events.get()
                assert event["headers"]["X-Forwarded-Proto"] == scheme.replace("ws", "http")
                await client.send("hello")
                assert (await stack.events.get())["body"] == "hello"
            await stack.events.get()  # $disconnect
        async with httpx2.AsyncClient(verify=trusting) as http:
            for scheme in ("http", "https"):
                assert (await http.get(f"{scheme}://{address}/prod")).status_code == 426


@pytest.mark.parametrize("early", [True, False])
async def test_a_request_may_come_with_the_end_of_the_handshake(
    certificate: Certificate, trusting: ssl.SSLContext, early: bool
) -> None:
    """TLS 1.3 lets a client send it without waiting for what the server says to the handshake."""
    async with serving(LittleStack(accept), tls=certificate.context) as address:
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = trusting.wrap_bio(incoming, outgoing, server_hostname=host)

        async def until(step: Callable[[], Any]) -> Any:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    incoming.write(await reader.read(65536))

        await until(client.do_handshake)
        if not early:
            writer.write(outgoing.read())
            incoming.write(await reader.read(65536))  # session tickets: the server has finished
        client.write(REQUEST)
        answer = await until(lambda: client.read(65536))
        assert answer.startswith(b"HTTP/1.1 426")
        writer.close()


async def test_a_client_that_does_not_trust_it_is_told_of_and_the_others_go_on(
    certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(LittleStack(accept), tls=certificate.context) as address:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(f"wss://{address}/prod", ssl=ssl.create_default_context())
        async with connect(f"ws://{address}/prod"):
            pass
    (line,) = caplog.messages
    assert line.startswith("a client of https or wss failed: ")
    assert line.endswith("Functions trust this run's AWS_CA_BUNDLE")


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01"])
async def test_a_client_that_says_nothing_holds_up_neither_others_nor_the_end(
    certificate: Certificate, said: bytes
) -> None:
    async with serving(LittleStack(accept), tls=certificate.context) as address:
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        async with connect(f"ws://{address}/prod"):
            pass
    assert await reader.read() == b""
    writer.close()


async def test_a_client_that_leaves_without_a_word_is_forgotten(certificate: Certificate) -> None:
    async with serving(LittleStack(accept), tls=certificate.context) as address:
        host, _, port = address.partition(":")
        for abrupt in (False, True):
            client = socket.create_connection((host, int(port)))
            if abrupt:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            client.close()
        async with connect(f"ws://{address}/prod"):
            pass


def test_it_is_made_for_the_host_and_its_key_is_nobody_elses(tmp_path: Path) -> None:
    certificate = Certificate("gateway.example", tmp_path)
    names = ssl._ssl._test_decode_cert(str(certificate.path))["subjectAltName"]  # type: ignore[attr-defined]
    assert names == (("DNS", "gateway.example"), ("DNS", "localhost"))
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
