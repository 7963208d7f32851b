"""What an app's WebSocket routes are, for people and programs: an AsyncAPI document, and a page that shows it.

OpenAPI has no WebSockets, so FastAPI's ``/openapi.json`` and ``/docs`` leave these routes out. AsyncAPI 3.0 describes
them (https://www.asyncapi.com/docs/reference/specification/v3.0.0)::

    app = FastAPI()
    add_asyncapi(app)  # GET /asyncapi.json, and GET /asyncapi to read it, to connect and to send
"""

from typing import TYPE_CHECKING, Any

from gatesocket.asyncapi.declaration import speaks
from gatesocket.asyncapi.serving import add_asyncapi

if TYPE_CHECKING:
    from gatesocket.asyncapi.document import describe

__all__ = ["add_asyncapi", "describe", "speaks"]


def __getattr__(name: str) -> Any:
    # On first use: an app that serves its description describes itself only when somebody asks, and a cold start of a
    # Lambda function is no time to read the source of its routes.
    if name != "describe":
        raise AttributeError(f"module 'gatesocket.asyncapi' has no attribute {name!r}")
    from gatesocket.asyncapi.document import describe  # noqa: PLC0415

    return describe
