"""The clients: one for browsers, an ES module without dependencies that an app serves, and the same for Python.

::

    app.mount("/client", StaticFiles(directory=DIRECTORY))

    // in a page
    import { Connection } from "/client/connection.js";

::

    async with Connection("wss://chat.example.com/ws/lobby") as connection:  # pip install gatesocket[client]
        async for message in connection:
            print(message)
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gatesocket.client.connection import Connection
    from gatesocket.client.events import State

__all__ = ["DIRECTORY", "Connection", "State"]

DIRECTORY: Final = Path(__file__).parent / "javascript"
"""Where ``connection.js`` and ``connection.d.ts`` are."""


_ELSEWHERE: Final = {"Connection": "gatesocket.client.connection", "State": "gatesocket.client.events"}


def __getattr__(name: str) -> Any:
    # On first use (PEP 562): an app that only serves the module needs no websockets.
    if name not in _ELSEWHERE:
        raise AttributeError(f"module 'gatesocket.client' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_ELSEWHERE[name]), name)
    return value
