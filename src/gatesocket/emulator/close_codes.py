"""The close codes of WebSockets that the emulated API Gateway uses.

Sources: RFC 6455, section 7.4.1, and https://www.iana.org/assignments/websocket/websocket.xml#close-code-number.
"""

from typing import Final

__all__ = [
    "ABNORMAL",
    "GOING_AWAY",
    "INVALID_DATA",
    "MESSAGE_TOO_BIG",
    "NORMAL",
    "NO_STATUS",
    "SERVICE_RESTART",
    "UNSUPPORTED_DATA",
]

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
UNSUPPORTED_DATA: Final = 1003
NO_STATUS: Final = 1005
"""Of a close frame without a code; it is never sent."""
ABNORMAL: Final = 1006
"""Of a connection that broke without a close frame; it is never sent."""
INVALID_DATA: Final = 1007
"""For a text that isn't UTF-8."""
MESSAGE_TOO_BIG: Final = 1009
SERVICE_RESTART: Final = 1012
