"""TLS on the port that also speaks plain HTTP.

Handlers commonly make their client of the Management API for ``https://{domainName}/{stage}``, both from the event, and
so they do unmodified here: whoever begins with a TLS handshake gets TLS, with a certificate of this run's own, which
boto3 in the functions trusts by way of ``AWS_CA_BUNDLE``.
"""

import asyncio
import datetime as dt
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from uvicorn.server import ServerState

__all__ = ["Certificate", "EitherProtocol"]

logger = logging.getLogger("gatesocket.emulator")

_HANDSHAKE: Final = b"\x16"
"""The first byte of a TLS client, the type of a handshake record (RFC 8446, section 5.1); no HTTP request has it."""

_LIFETIME: Final = dt.timedelta(days=30)
_CLOCK_SKEW: Final = dt.timedelta(hours=1)


_GOODBYE_SECONDS: Final = 3
"""How long a client may take to say that it has heard the end."""


class Certificate:
    """A certificate that only this run has, signed by itself.

    Args:
        host: the address that clients use, a name or an IP address.
        directory: where its files go; readable for nobody else.
    """

    def __init__(self, host: str, directory: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gatesocket on this machine")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_SKEW)
            .not_valid_after(now + _LIFETIME)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(host), x509.DNSName("localhost")]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_CERTIFIES, critical=True)
            .sign(key, hashes.SHA256())
        )
        self.path = directory / "certificate.pem"
        """What clients have to trust."""
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        secret = directory / "key.pem"
        secret.touch(mode=0o600)
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        """For the server's end of a connection."""
        self.context.load_cert_chain(self.path, secret)


class EitherProtocol(asyncio.Protocol):
    """uvicorn's HTTP protocol behind a look at what a client begins with.

    The first byte is looked at where the system keeps it, so that whoever is chosen reads it again.

    Args:
        context: for clients that want TLS.
        http: makes uvicorn's HTTP protocol.
        server_state: uvicorn's list of what it has to end.
        parameters: uvicorn's other ones, for its own protocol.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        http: Callable[..., asyncio.Protocol],
        *,
        server_state: ServerState,
        **parameters: Any,
    ) -> None:
        self._context = context
        self._connections: set[Any] = server_state.connections
        self._http = http(server_state=server_state, **parameters)
        self._loop = asyncio.get_running_loop()
        self._early = b""
        self._transport: asyncio.Transport
        self._socket: socket.socket
        self._starting: asyncio.Task[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first byte, before anybody reads it."""
        self._connections.add(self)
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()
        self._socket = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        self._loop.add_reader(self._socket, self._choose)

    def data_received(self, data: bytes) -> None:
        """Keep what a TLS client sends together with the end of its handshake."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a client that has never come as far as HTTP."""
        self._stop_looking()
        self._connections.discard(self)

    def shutdown(self) -> None:
        """End the connection, as the server does with all that it has."""
        self._transport.close()

    def _choose(self) -> None:
        try:
            first = self._socket.recv(1, socket.MSG_PEEK)
        except OSError:
            first = b""  # It broke, as whoever reads next finds out.
        self._stop_looking()
        if first == _HANDSHAKE:
            self._starting = self._loop.create_task(self._start_tls())
        else:
            self._hand_over(self._transport)
            self._transport.resume_reading()

    async def _start_tls(self) -> None:
        try:
            secure = await self._loop.start_tls(
                self._transport, self, self._context, server_side=True, ssl_shutdown_timeout=_GOODBYE_SECONDS
            )
        except OSError as error:
            # The client doesn't trust the certificate, or has left; asyncio has closed its connection.
            self._connections.discard(self)
            logger.warning("a client of https or wss failed: %s. Functions trust this run's AWS_CA_BUNDLE", error)
            return
        self._hand_over(cast("asyncio.Transport", secure))
        if self._early:
            self._http.data_received(self._early)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        self._connections.discard(self)
        transport.set_protocol(self._http)
        self._http.connection_made(transport)

    def _stop_looking(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


_CERTIFIES: Final = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
