"""What the edge in front of the deployed API does to a WebSocket's address.

API Gateway's WebSocket URL has no path of its own (facts sheet, section 8). The deployed CloudFront function turns
``/ws/lobby?name=ann`` into ``/prod?__path=/ws/lobby&name=ann``; doing the same here lets a client use one URL in every
life of the app.
"""

from typing import Final
from urllib.parse import quote

__all__ = ["PATH_PARAMETER", "rewrite"]

PATH_PARAMETER: Final = "__path"
"""The query parameter that carries the path."""


def rewrite(path: str, query: str, *, stage: str) -> tuple[str, str]:
    """Return the path and query that API Gateway gets for *path* and *query*, both as the client sent them.

    The stage's own paths, ``/{stage}`` and all below, are API Gateway's and stay as they are.
    """
    if path == f"/{stage}" or path.startswith(f"/{stage}/"):
        return path, query
    parameter = f"{PATH_PARAMETER}={quote(path, safe='/%')}"
    return f"/{stage}", f"{parameter}&{query}" if query else parameter
