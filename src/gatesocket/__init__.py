"""FastAPI WebSocket routes, unmodified, on API Gateway WebSocket APIs and AWS Lambda."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatesocket.delivery import Delivery
    from gatesocket.exceptions import (
        CannotHibernate,
        ConfigurationError,
        ConnectionGone,
        GatesocketError,
        GatewayError,
        MessageTooLarge,
        RegistryError,
        SnapshotError,
    )
    from gatesocket.handler import WebSocketHandler
    from gatesocket.manager import ConnectionManager

__all__ = [
    "CannotHibernate",
    "ConfigurationError",
    "ConnectionGone",
    "ConnectionManager",
    "Delivery",
    "GatesocketError",
    "GatewayError",
    "MessageTooLarge",
    "RegistryError",
    "SnapshotError",
    "WebSocketHandler",
]

_ELSEWHERE = {
    "ConnectionManager": "gatesocket.manager",
    "Delivery": "gatesocket.delivery",
    "WebSocketHandler": "gatesocket.handler",
}


def __getattr__(name: str) -> Any:
    # On first use (PEP 562): pytest imports this package for its plugin in every project that has it installed, and a
    # script that only sends needs no handler.
    if name not in __all__:
        raise AttributeError(f"module 'gatesocket' has no attribute {name!r}")
    from gatesocket.collector import paused  # noqa: PLC0415 (nor does that script need this)

    with paused():
        value = getattr(import_module(_ELSEWHERE.get(name, "gatesocket.exceptions")), name)
    globals()[name] = value
    return value
