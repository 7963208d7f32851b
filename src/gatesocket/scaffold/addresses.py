"""Which WebSocket routes of an app can be opened by whoever knows their addresses.

An address is made of the path and of parameters whose types tell what may stand in them. What comes of it only the app
knows, so that each is tried: opened and left once, in memory, as the test will do it that ``gatesocket init`` writes.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from starlette.websockets import WebSocketDisconnect

from gatesocket.asyncapi.channels import Channel, Parameter, channels
from gatesocket.exceptions import ConfigurationError
from gatesocket.hibernation.discover import discover
from gatesocket.importing import place_of

__all__ = ["Address", "addresses_of", "tried"]

_SAMPLES: Final = (
    "1",
    "1.5",
    "2000-01-01",
    "2000-01-01T00:00:00Z",
    "00:00:00",
    "00000000-0000-4000-8000-000000000000",
    "a@example.com",
    "https://example.com/",
    "{}",
)
"""Texts, one of which fits most types of parameters."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a WebSocket route is."""

    path: str
    """The route's, with its parameters."""
    url: str | None
    """A path and a query that lead there; None where they can't be made up."""
    refusal: int | None = None
    """The status with which a handshake there is refused; None if it isn't, or wasn't tried."""
    failure: str | None = None
    """What the app raised; None if it didn't."""


def addresses_of(app: Any) -> tuple[Address, ...]:
    """Make an address of each WebSocket route of *app*; of several with one path only the first is ever served."""
    paths: dict[str, Address] = {}
    for channel in channels(app):
        paths.setdefault(channel.address, Address(channel.address, _url(channel)))
    for found in discover(app).routes:
        if found.route is None:  # a raw ASGI app, which takes every path
            paths.setdefault(found.path, Address(found.path, f"{found.path.removesuffix('*')}/"))
    return tuple(paths.values())


def tried(app: Any, addresses: Sequence[Address], root: Path) -> tuple[Address, ...]:
    """Open and leave a connection at each of *addresses*, and return what came of it.

    The app runs as in any test: its lifespan, its dependencies and the routes, with connections kept in memory. Nothing
    is logged meanwhile. *root* is the directory of its own code.

    Raises:
        ConfigurationError: the tools for it aren't installed, or the app's lifespan fails.
    """
    try:
        from gatesocket.testing import GatewayTestClient  # noqa: PLC0415 - needs an extra
    except (ModuleNotFoundError, RuntimeError) as error:  # Starlette's own says RuntimeError
        raise ConfigurationError(
            "the routes can't be tried, as what tests need isn't installed: pip install 'gatesocket[testing]'. "
            "To write the test untried: --no-try"
        ) from error
    with ExitStack() as stack:
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable()
        try:
            client = stack.enter_context(GatewayTestClient(app))
        except Exception as error:
            raise ConfigurationError(
                f"the app can't be started to try its routes: {_said(error, root)}. Start what it needs, or "
                "write the test untried: --no-try"
            ) from error
        return tuple(_tried(client, address, root) for address in addresses)


def _tried(client: Any, address: Address, root: Path) -> Address:
    from starlette.testclient import WebSocketDenialResponse  # noqa: PLC0415 - needs an extra

    if address.url is None:
        return address
    try:
        with client.websocket_connect(address.url):
            pass
    except WebSocketDenialResponse as refused:
        return replace(address, refusal=refused.status_code)
    except WebSocketDisconnect:
        return address  # what a receive raises when the client leaves, and many routes don't catch
    except Exception as error:
        return replace(address, failure=_said(error, root))
    return address


def _said(error: Exception, root: Path) -> str:
    return f"{place_of(error, root)}{type(error).__name__}: {error}".splitlines()[0]


def _url(channel: Channel) -> str | None:
    path, query = channel.address, {}
    for parameter in channel.parameters:
        if parameter.place != "path" and not parameter.required:
            continue
        sample = _sample(parameter)
        if sample is None:
            return None
        if parameter.place == "path":
            path = path.replace(f"{{{parameter.name}}}", quote(sample, safe="/"))
        elif parameter.place == "query":
            query[parameter.name] = sample
        else:  # a header or a cookie isn't part of an address
            return None
    return f"{path}?{urlencode(query)}" if query else path


def _sample(parameter: Parameter) -> str | None:
    """Make up a text that *parameter* takes; None if none was found."""
    try:
        adapter = TypeAdapter(parameter.annotation)
        choices = [*_choices(adapter.json_schema())]
    except PydanticUserError:  # a type that only the app's own dependency understands
        return None
    for text in (*choices, parameter.name, *_SAMPLES):
        try:
            adapter.validate_python(text)
        except ValidationError:
            continue
        return text
    return None


def _choices(schema: Any) -> Iterator[str]:
    """Iterate over the values that a JSON schema, or what it refers to, gives as the only ones or as examples."""
    if isinstance(schema, dict):
        for key in ("examples", "enum"):
            yield from map(str, schema.get(key, ()))
        if "const" in schema:
            yield str(schema["const"])
        for inner in schema.values():
            yield from _choices(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _choices(inner)
