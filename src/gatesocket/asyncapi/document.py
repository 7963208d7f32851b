"""From the WebSocket routes of an app to an AsyncAPI 3.0 document.

https://www.asyncapi.com/docs/reference/specification/v3.0.0. A route is a channel. What its clients send is an
operation that the app *receives*, and what they get is one that it *sends*. Query parameters and headers of the
handshake are in the WebSocket binding, https://github.com/asyncapi/bindings/tree/master/websockets; cookies, for which
it has no place, are among the headers.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, JsonValue

from gatesocket.asyncapi.channels import Channel, Parameter, channels
from gatesocket.asyncapi.schemas import Mode, schemas_of
from gatesocket.envelopes import LONGEST_NAME, Envelope, type_name
from gatesocket.exceptions import ConfigurationError

__all__ = ["describe", "server_at", "servers_at"]

PATH_PARAMETER: Final = "x-gatesocket-path-parameter"
"""Marks a server that knows no paths, as an API Gateway WebSocket API: the query parameter that a path goes into."""

SCHEMA: Final = "x-schema"
"""The JSON schema of a path's parameter, which AsyncAPI 3.0 takes for a text."""

_CONTENT_TYPES: Final[dict[Any, str]] = {str: "text/plain", bytes: "application/octet-stream"}

_UNMODELLED: Final[dict[Any, tuple[str, str]]] = {
    str: ("text", "A text."),
    bytes: ("bytes", "Bytes, in a binary message."),
    JsonValue: ("json", "Any JSON."),
    Any: ("any", "A message whose form isn't declared."),
}
"""Name and summary of what has no model."""


def describe(
    app: Any,
    *,
    title: str | None = None,
    version: str | None = None,
    description: str | None = None,
    servers: Mapping[str, str] | None = None,
    path_parameter: str = "__path",
) -> dict[str, Any]:
    """Describe the WebSocket routes of *app* by an AsyncAPI 3.0 document, ready for `json.dumps`.

    Args:
        app: a FastAPI or Starlette app; it is looked at, and neither run nor changed.
        title: the API's name; None takes the FastAPI app's.
        version: the API's version; None takes the FastAPI app's.
        description: what the API is for, as CommonMark; None takes the FastAPI app's.
        servers: addresses that serve the app, such as ``wss://chat.example.com``, by names of your choice; None
            leaves them out.
        path_parameter: the query parameter that takes the path where the address is API Gateway's own.

    Raises:
        ConfigurationError: an address isn't one of a WebSocket server, or something can't be described.
    """
    text = (getattr(app, "description", "") if description is None else description).strip()
    found = channels(app)
    writer = _Writer(found)
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {
            "title": title or getattr(app, "title", "WebSocket API"),
            "version": version or getattr(app, "version", "0.1.0"),
        }
        | ({"description": text} if text else {}),
        "defaultContentType": "application/json",
    }
    if servers is not None:
        document["servers"] = servers_at(servers, path_parameter=path_parameter)
    document["channels"] = {channel.id: writer.channel(channel) for channel in found}
    document["operations"] = {name: operation for channel in found for name, operation in writer.operations(channel)}
    components = {"schemas": writer.shared, "securitySchemes": writer.schemes}
    document["components"] = {name: members for name, members in components.items() if members}
    return document


def server_at(name: str, address: str, *, path_parameter: str | None) -> dict[str, str]:
    """Describe the server at *address*.

    Args:
        name: what the address is called, for errors.
        address: begins with ``ws://`` or ``wss://``.
        path_parameter: the query parameter that takes a path; None for a server that has paths.

    Raises:
        ConfigurationError: *address* isn't one of a WebSocket server.
    """
    url = urlsplit(address)
    if url.scheme not in {"ws", "wss"} or not url.netloc:
        raise ConfigurationError(
            f"the address of the server {name!r} is expected to be ws:// or wss:// and a host, but is {address!r}"
        )
    server = {"host": url.netloc, "protocol": url.scheme, "pathname": url.path.rstrip("/")}
    if path_parameter is not None:
        server[PATH_PARAMETER] = path_parameter
    return {key: value for key, value in server.items() if value}


def servers_at(addresses: Mapping[str, str], *, path_parameter: str) -> dict[str, dict[str, str]]:
    """Describe the servers at *addresses*; those at API Gateway's own know no paths (facts sheet, section 8).

    Raises:
        ConfigurationError: an address isn't one of a WebSocket server.
    """
    return {
        name: server_at(name, address, path_parameter=path_parameter if ".execute-api." in address else None)
        for name, address in addresses.items()
    }


class _Writer:
    """Writes channels, all of whose types have got their schemas."""

    def __init__(self, found: tuple[Channel, ...]) -> None:
        self._schemas, self.shared = schemas_of(_wanted(found))
        self.schemes = {scheme.scheme_name: _scheme(scheme.model) for channel in found for scheme in channel.schemes}

    def channel(self, channel: Channel) -> dict[str, Any]:
        summary, _, rest = channel.description.partition("\n\n")
        messages: dict[str, Any] = {}
        for named in self._messages(channel).values():
            messages |= named
        written = {
            "address": channel.address,
            "title": channel.id,
            "summary": " ".join(summary.split()),
            "description": rest.strip(),
            "messages": messages,
            "parameters": {
                parameter.name: self._in_path(channel, parameter)
                for parameter in channel.parameters
                if parameter.place == "path"
            },
            "bindings": {"ws": self._binding(channel)},
        }
        return {name: value for name, value in written.items() if value}

    def operations(self, channel: Channel) -> Iterator[tuple[str, dict[str, Any]]]:
        here = f"#/channels/{channel.id}"
        for action, named in self._messages(channel).items():
            if not named:
                continue
            operation: dict[str, Any] = {
                "action": action,
                "channel": {"$ref": here},
                "messages": [{"$ref": f"{here}/messages/{name}"} for name in named],
            }
            if channel.schemes:
                operation["security"] = [
                    {"$ref": f"#/components/securitySchemes/{scheme.scheme_name}"} for scheme in channel.schemes
                ]
            yield f"{channel.id}.{action}", operation

    def _messages(self, channel: Channel) -> dict[str, dict[str, Any]]:
        """Write the messages of either direction, by name; one that differs from another of its name gets a number."""
        taken: dict[str, Any] = {}
        written: dict[str, dict[str, Any]] = {}
        for action, kinds in _spoken(channel):
            written[action] = {}
            for position, kind in enumerate(kinds):
                mode = _MODES[action]
                message = _message(kind, mode, self._schemas[(channel.id, action, position), mode])
                name, number = message["name"], 1
                while taken.setdefault(name, message) != message:
                    number += 1
                    name = f"{message['name']}-{number}"
                written[action][name] = message
        return written

    def _binding(self, channel: Channel) -> dict[str, Any]:
        binding: dict[str, Any] = {"method": "GET", "bindingVersion": "0.1.0"}
        for name, places in (("query", ("query",)), ("headers", ("header", "cookie"))):
            parameters = [parameter for parameter in channel.parameters if parameter.place in places]
            if not parameters:
                continue
            properties = {}
            for parameter in parameters:
                marked = {"x-in": "cookie"} if parameter.place == "cookie" else {}
                properties[parameter.name] = self._schema(channel, parameter) | marked
            required = [parameter.name for parameter in parameters if parameter.required]
            binding[name] = {"type": "object", "properties": properties} | ({"required": required} if required else {})
        return binding

    def _in_path(self, channel: Channel, parameter: Parameter) -> dict[str, Any]:
        schema = self._schema(channel, parameter)
        written: dict[str, Any] = {"description": parameter.description} if parameter.description else {}
        reference = schema.get("$ref", "").rpartition("/")[2]
        choices = self.shared.get(reference, schema).get("enum")
        if choices:
            written["enum"] = [str(choice) for choice in choices]
        if "examples" in schema:
            written["examples"] = [str(example) for example in schema["examples"]]
        return written | {SCHEMA: schema}

    def _schema(self, channel: Channel, parameter: Parameter) -> dict[str, Any]:
        return self._schemas[(channel.id, parameter.place, parameter.name), "validation"]


_MODES: Final[dict[str, Mode]] = {"receive": "validation", "send": "serialization"}


def _spoken(channel: Channel) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    return ("receive", channel.speech.received), ("send", channel.speech.sent)


def _wanted(found: tuple[Channel, ...]) -> Iterator[tuple[tuple[str, str, int | str], Mode, Any]]:
    for channel in found:
        for parameter in channel.parameters:
            yield (channel.id, parameter.place, parameter.name), "validation", parameter.annotation
        for action, kinds in _spoken(channel):
            for position, kind in enumerate(kinds):
                yield (channel.id, action, position), _MODES[action], _in_envelope(kind) or kind


def _in_envelope(kind: Any) -> type[BaseModel] | None:
    """The model that travels in an envelope; None for what doesn't."""
    metadata = getattr(kind, "__pydantic_generic_metadata__", None)
    return metadata["args"][0] if metadata and metadata["origin"] is Envelope else None


def _message(kind: Any, mode: Mode, schema: dict[str, Any]) -> dict[str, Any]:
    model = _in_envelope(kind)
    if kind in _UNMODELLED:
        name, summary = _UNMODELLED[kind]
    elif model is BaseModel:
        name, summary = "reply", "A reply whose form isn't declared."
    else:
        described = model or kind
        name = type_name(model) if model else getattr(kind, "__name__", str(kind))
        # A class's own: that of a class it derives from isn't about this message.
        own = vars(described).get("__doc__") if isinstance(described, type) else None
        summary = " ".join(inspect.cleandoc(own or "").partition("\n\n")[0].split())
    message = {"name": name, "title": name, "summary": summary, "contentType": _CONTENT_TYPES.get(kind)}
    payload = schema if model is None else _envelope(model, mode, schema)
    return {key: value for key, value in message.items() if value} | {"payload": payload}


def _envelope(model: type[BaseModel], mode: Mode, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a message as `gatesocket.envelopes` has it on the wire."""
    text = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
    properties = {"type": text if model is BaseModel else {"const": type_name(model)}, "id": text}
    if mode == "validation":
        properties["ack"] = {"type": "boolean", "default": False}
    data_required = mode == "serialization" or any(field.is_required() for field in model.model_fields.values())
    return {
        "type": "object",
        "properties": {**properties, "data": schema},
        "required": ["type", "data"] if data_required else ["type"],
    }


def _scheme(model: Any) -> dict[str, Any]:
    """Turn OpenAPI's description of a security scheme, as FastAPI has it, into AsyncAPI's."""
    scheme: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    if scheme["type"] == "apiKey":
        scheme["type"] = "httpApiKey"
    for flow in scheme.get("flows", {}).values():
        flow["availableScopes"] = flow.pop("scopes")
    return scheme
