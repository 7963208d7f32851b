"""From a CONNECT event to an ASGI scope, and from what is stored back to one.

Only CONNECT carries headers and query (facts sheet, section 1), yet a route may look at them at any time; so the scope
is built once and stored. It is part of every write to the record, and DynamoDB charges a write by the size of the
whole item: compressed with a dictionary of what handshakes consist of, a browser's scope takes a third of its size.
"""

import json
import zlib
from typing import Any, Final
from urllib.parse import quote, urlencode

from gatesocket.events import Connect
from gatesocket.exceptions import SnapshotError

__all__ = ["Scope", "build", "dump", "load"]

Scope = dict[str, Any]
"""An ASGI scope of type ``websocket``: https://asgi.readthedocs.io/en/stable/specs/www.html#websocket-connection-scope."""


def build(connect: Connect, *, path_parameter: str, default_path: str) -> Scope:
    """Build the scope of a new connection.

    Args:
        connect: the event of the handshake.
        path_parameter: the query parameter that carries the path, and that the app doesn't see: an API Gateway
            WebSocket URL has no path of its own (facts sheet, section 8).
        default_path: the path if that parameter is absent.
    """
    path = next((value for name, value in connect.query if name == path_parameter), default_path)
    query = [(name, value) for name, value in connect.query if name != path_parameter]
    headers = [(name.lower(), _latin(value)) for name, value in connect.headers]
    offered = ",".join(value for name, value in headers if name == "sec-websocket-protocol")
    proto = next((value for name, value in headers if name == "x-forwarded-proto"), "https")
    stored = {
        "path": path if path.startswith("/") else f"/{path}",
        "query_string": urlencode(query),
        "headers": headers,
        "subprotocols": [name.strip() for name in offered.split(",") if name.strip()],
        "scheme": "wss" if proto == "https" else "ws",
        "client": connect.source_ip,
        "server": connect.origin.domain_name,
    }
    return _complete(stored)


def dump(scope: Scope) -> bytes:
    """Make the bytes that are stored of a scope that `build` or `load` made."""
    stored = {
        "path": scope["path"],
        "query_string": scope["query_string"].decode("ascii"),
        "headers": [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        "subprotocols": scope["subprotocols"],
        "scheme": scope["scheme"],
        "client": scope["client"][0],
        "server": scope["server"][0],
    }
    text = json.dumps(stored, ensure_ascii=False, separators=(",", ":"))
    compressor = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS, zdict=_DICTIONARY)
    return _VERSION + compressor.compress(text.encode()) + compressor.flush()


def load(data: bytes) -> Scope:
    """Make a scope of the bytes that `dump` made.

    Raises:
        SnapshotError: these bytes are no scope, or one of another release.
    """
    if data[:1] != _VERSION:
        raise SnapshotError(f"expected a stored scope of version {_VERSION!r}, but got version {data[:1]!r}")
    try:
        decompressor = zlib.decompressobj(wbits=-zlib.MAX_WBITS, zdict=_DICTIONARY)
        # A scope can't be larger than a handshake: 10 KB of headers and 4 KB of URL, with room for JSON's escapes. The
        # bound keeps a planted record from filling the memory.
        text = decompressor.decompress(data[1:], _LARGEST)
        if not decompressor.eof:
            raise SnapshotError(f"a stored scope is damaged, or larger than {_LARGEST} bytes")
        return _complete(json.loads(text))
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"a stored scope is damaged: {error}") from error


def _latin(value: str) -> str:
    """Respell a header's value so that its ASGI form, which is bytes, is what the client sent.

    Lambda events are JSON, so that a value which wasn't ASCII has been decoded on the way; as UTF-8, if it could be.
    """
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode().decode("latin-1")
    return value


def _complete(stored: dict[str, Any]) -> Scope:
    path: str = stored["path"]
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": stored["scheme"],
        "path": path,
        "raw_path": quote(path, safe="/:@!$&'()*+,;=-._~%").encode("ascii"),
        "root_path": "",
        "query_string": stored["query_string"].encode("ascii"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in stored["headers"]],
        "subprotocols": list(stored["subprotocols"]),
        # API Gateway tells the client's address but not its port.
        "client": (stored["client"], 0),
        "server": (stored["server"], 443),
        "extensions": {"websocket.http.response": {}},
    }


_VERSION: Final = b"\x01"
_LARGEST: Final = 128 * 1024

# Part of the stored format: a change needs a new version. What is likeliest comes last, as zlib wants it.
_DICTIONARY: Final = (
    b'["x-amzn-trace-id","Root=1-"],["x-api-key",""],["authorization","Bearer "],["cookie",""],'
    b'["accept","*/*"],["dnt","1"],["sec-gpc","1"],["sec-fetch-dest","websocket"],["sec-fetch-mode","websocket"],'
    b'["sec-fetch-site","same-origin"],["accept-language","en-GB,en;q=0.5"],["accept-language","en-US,en;q=0.9"],'
    b'["accept-encoding","gzip, deflate, br, zstd"],["user-agent","Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) '
    b'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/ Safari/537.36"],["user-agent","Mozilla/5.0 (Windows NT 10.0; '
    b'Win64; x64; rv:) Gecko/20100101 Firefox/"],["host",".execute-api.us-east-1.amazonaws.com"],'
    b'["origin","https://"],["cache-control","no-cache"],["pragma","no-cache"],'
    b'["sec-websocket-extensions","permessage-deflate; client_max_window_bits"],["sec-websocket-key",""],'
    b'["sec-websocket-protocol",""],["sec-websocket-version","13"],["x-forwarded-for",""],'
    b'["x-forwarded-port","443"],["x-forwarded-proto","https"]],"subprotocols":[],"scheme":"wss","client":"",'
    b'"server":".execute-api.eu-west-1.amazonaws.com"}{"path":"/ws/","query_string":"token=&name=","headers":[['
)
