"""The document and its page, as routes of the app that they describe."""

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gatesocket.settings import Settings, settings

__all__ = ["add_asyncapi"]

PAGE: Final = Path(__file__).parent / "page"
ASSETS: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "prose.js": "text/javascript",
    "sample.js": "text/javascript",
}


def add_asyncapi(
    app: Starlette,
    *,
    document_url: str = "/asyncapi.json",
    page_url: str | None = "/asyncapi",
    servers: Mapping[str, str] | None = None,
    **description: Any,
) -> None:
    """Add the app's AsyncAPI document, and a page to read it, to connect and to send.

    The routes are looked at when the document is first asked for, so that those that are added later are in it. The
    page needs nothing from any other host. Whoever can reach the app can read either, as with FastAPI's ``/docs``.

    Args:
        app: a FastAPI or Starlette app.
        document_url: the document's path.
        page_url: the page's path; None for no page.
        servers: as in `describe`. None names the WebSocket API if ``GATESOCKET_ENDPOINT`` does, and else the host that
            the document was asked from.
        description: *title*, *version* and *description* of `describe`.

    Raises:
        ConfigurationError: when the document is asked for: something can't be described.
    """
    made: dict[str, Any] = {}

    async def document(request: Request) -> JSONResponse:
        from gatesocket.asyncapi.document import describe  # noqa: PLC0415 - costs a start-up that nobody asks it of

        current = settings()
        if not made:
            made.update(describe(app, **description))
        return JSONResponse({**made, "servers": _servers(request, servers, current)})

    app.router.routes.append(Route(document_url, document, name="asyncapi", include_in_schema=False))
    if page_url is None:
        return
    # Relative: the page is right under a stage's or a proxy's prefix, too.
    directory = posixpath.dirname(page_url)
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    html = html.replace("{assets}", posixpath.basename(page_url))
    html = html.replace("{document}", posixpath.relpath(document_url, directory))

    async def page(request: Request) -> HTMLResponse:
        return HTMLResponse(html)

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ASSETS:
            return Response(status_code=404)
        return Response((PAGE / name).read_text(encoding="utf-8"), media_type=ASSETS[name])

    app.router.routes += [
        Route(page_url, page, name="asyncapi_page", include_in_schema=False),
        Route(f"{page_url}/{{name}}", asset, name="asyncapi_asset", include_in_schema=False),
    ]


def _servers(request: Request, servers: Mapping[str, str] | None, current: Settings) -> dict[str, dict[str, str]]:
    """Describe the servers that are named, or that of this deployment.

    An app behind an HTTP API has its WebSockets at another address, that of the WebSocket API.
    """
    from gatesocket.asyncapi.document import server_at, servers_at  # noqa: PLC0415 - as above

    if servers is not None:
        return servers_at(servers, path_parameter=current.path_parameter)
    if current.endpoint is not None:
        address = current.endpoint.replace("http", "ws", 1)
        return {"gateway": server_at("gateway", address, path_parameter=current.path_parameter)}
    return {"here": server_at("here", str(request.base_url).replace("http", "ws", 1), path_parameter=None)}
