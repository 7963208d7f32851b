"""FastAPI WebSocket routes, unmodified, on API Gateway WebSocket APIs and AWS Lambda."""

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
from gatesocket.manager import ConnectionManager, Delivery

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
