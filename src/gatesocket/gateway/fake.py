"""A gateway client for tests: it remembers what was sent, and refuses what API Gateway refuses."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gatesocket.emulator.ids import is_connection_id
from gatesocket.exceptions import ConnectionGone, GatewayError, InvalidConnectionId
from gatesocket.gateway.base import ConnectionInfo, wire_bytes

__all__ = ["FakeGateway"]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class _Refusal:
    status: int
    times: int


class FakeGateway:
    """Holds connections that a test opens, and records what they are sent; see `GatewayClient`.

    It is verified: the contract suite that the Management API's client passes, it passes, too::

        gateway = FakeGateway()
        gateway.open("TXzPWdnOjoECGjA=")
        await gateway.post("TXzPWdnOjoECGjA=", "hello")
        assert gateway.sent["TXzPWdnOjoECGjA="] == ["hello"]

    An id that the test has named is taken as it is; any other is malformed unless it has the shape of API Gateway's.

    Args:
        clock: tells when connections were opened and last used.
    """

    def __init__(self, *, clock: Callable[[], datetime] = _now) -> None:
        self.sent: dict[str, list[str]] = {}
        """The texts that each connection was sent, in order; kept when it is gone."""
        self.closed: list[str] = []
        """The ids of the connections that were closed through this client, in order."""
        self._clock = clock
        self._named: set[str] = set()
        self._open: dict[str, ConnectionInfo] = {}
        self._refusals: dict[str, _Refusal] = {}

    # What a test does.

    def connecting(self, connection_id: str) -> None:
        """Begin a connection's handshake; until it is opened, it answers as one that is gone does."""
        self._named.add(connection_id)
        self.sent.setdefault(connection_id, [])

    def open(self, connection_id: str, *, source_ip: str = "127.0.0.1", user_agent: str | None = None) -> None:
        """Open a connection: from now on it can be sent to."""
        self.connecting(connection_id)
        now = self._clock()
        self._open[connection_id] = ConnectionInfo(now, now, source_ip, user_agent)

    def gone(self, connection_id: str) -> None:
        """Let a client leave."""
        self.connecting(connection_id)
        self._open.pop(connection_id, None)

    def refuse(self, connection_id: str, status: int, *, times: int = 1) -> None:
        """Answer the next calls for a connection with an error: 429 for a slow reader, 500, 403 and so on."""
        self._refusals[connection_id] = _Refusal(status, times)

    # What the code under test does.

    async def post(self, connection_id: str, text: str) -> None:
        """See `GatewayClient.post`."""
        wire_bytes(text)
        info = self._answer(connection_id)
        self.sent[connection_id].append(text)
        self._open[connection_id] = replace(info, last_active_at=self._clock())

    async def close(self, connection_id: str) -> None:
        """See `GatewayClient.close`."""
        self._answer(connection_id)
        del self._open[connection_id]
        self.closed.append(connection_id)

    async def info(self, connection_id: str) -> ConnectionInfo:
        """See `GatewayClient.info`."""
        return self._answer(connection_id)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to let go of, and a test may still look at what was sent."""

    def _answer(self, connection_id: str) -> ConnectionInfo:
        refusal = self._refusals.get(connection_id)
        if refusal is not None and refusal.times > 0:
            refusal.times -= 1
            raise GatewayError(
                f"the test refuses connection {connection_id!r} with {refusal.status}",
                connection_id=connection_id,
                status=refusal.status,
            )
        info = self._open.get(connection_id)
        if info is not None:
            return info
        if connection_id in self._named or is_connection_id(connection_id):
            raise ConnectionGone(connection_id)
        raise InvalidConnectionId(
            f"{connection_id!r} can't be a connection id: API Gateway's look like 'TXzPWdnOjoECGjA='",
            connection_id=connection_id,
            status=400,
        )
