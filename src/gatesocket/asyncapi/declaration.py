"""What an endpoint says of itself for its description."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

__all__ = ["DECLARED", "speaks"]

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])

DECLARED: Final = "__gatesocket_speaks__"
"""The attribute of an endpoint that holds what `speaks` declares, received and sent."""


def speaks(*, receives: Any = None, sends: Any = None) -> Callable[[_Endpoint], _Endpoint]:
    """Declare what an endpoint receives and sends, where its source doesn't tell.

    ::

        @app.websocket("/ws/{room}")
        @speaks(receives=Say | Leave, sends=Said | Joined | Left)
        async def chat(websocket: WebSocket, room: str): ...

    The endpoint is returned as it is. This is documentation: nothing is checked by it.

    Args:
        receives: a type, or a union of types; None leaves it to the source.
        sends: the same for what clients get.
    """

    def declare(endpoint: _Endpoint) -> _Endpoint:
        setattr(endpoint, DECLARED, (receives, sends))
        return endpoint

    return declare
