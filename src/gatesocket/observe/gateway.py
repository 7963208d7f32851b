"""Posts, counted."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from gatesocket import backend
from gatesocket.exceptions import ConfigurationError, ConnectionGone, GatewayError
from gatesocket.gateway.base import ConnectionInfo, GatewayClient
from gatesocket.observation import count

__all__ = ["ObservedGateway", "counting_posts"]


class ObservedGateway:
    """A gateway client whose posts are counted; as the one that it wraps in everything else."""

    def __init__(self, inner: GatewayClient) -> None:
        self._inner = inner

    async def post(self, connection_id: str, text: str) -> None:
        """See `GatewayClient.post`."""
        try:
            await self._inner.post(connection_id, text)
        except ConnectionGone:
            count("gone")
            raise
        except GatewayError:
            count("failed")
            raise
        count("posts")

    async def close(self, connection_id: str) -> None:
        """See `GatewayClient.close`."""
        await self._inner.close(connection_id)

    async def info(self, connection_id: str) -> ConnectionInfo:
        """See `GatewayClient.info`."""
        return await self._inner.info(connection_id)

    async def aclose(self) -> None:
        """See `GatewayClient.aclose`."""
        await self._inner.aclose()


@contextmanager
def counting_posts() -> Iterator[None]:
    """Have the managers of this context send through an `ObservedGateway`."""
    try:
        through = backend.current()
    except ConfigurationError:
        # Nothing can be sent as things are set up, and nothing may have to be: whoever tries is told why.
        yield
        return
    with backend.use(replace(through, gateway=ObservedGateway(through.gateway))):
        yield
