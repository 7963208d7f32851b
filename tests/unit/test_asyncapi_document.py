"""The AsyncAPI document of an app's WebSocket routes, held to AsyncAPI's own schema."""

import enum
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from fastapi import APIRouter, Cookie, Depends, FastAPI, Header, Query, Security, WebSocket
from fastapi import Path as PathParameter
from fastapi.security import APIKeyQuery, HTTPBearer, OAuth2PasswordBearer, OpenIdConnect
from pydantic import BaseModel, Field, computed_field
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute

from chat.app import app as chat
from gatesocket.asyncapi import describe, speaks
from gatesocket.exceptions import ConfigurationError
from gatesocket.messages import messages

SCHEMA = json.loads((Path(__file__).parents[1] / "schemas/asyncapi/3.0.0.json").read_text(encoding="utf-8"))
VALID = jsonschema.Draft7Validator(SCHEMA)


def described(app: Any, **options: Any) -> dict[str, Any]:
    """Describe *app*; the result is valid, JSON, and refers only to what is in it."""
    document = describe(app, **options)
    problems = [f"{error.json_path}: {error.message}" for error in VALID.iter_errors(document)]
    assert problems == []
    assert json.loads(json.dumps(document)) == document
    check_references(document, document)
    return document


def check_references(value: Any, document: dict[str, Any]) -> None:
    if isinstance(value, dict):
        if "$ref" in value:
            found: Any = document
            for key in value["$ref"].removeprefix("#/").split("/"):
                found = found[key]
        for member in value.values():
            check_references(member, document)
    elif isinstance(value, list):
        for member in value:
            check_references(member, document)


def app_with(endpoint: Callable[..., Any], path: str = "/ws") -> FastAPI:
    app = FastAPI()
    app.websocket(path)(endpoint)
    return app


class Say(BaseModel):
    """A text to everybody.

    It may be long.
    """

    text: str


class Leave(BaseModel):
    pass


class Said(BaseModel):
    text: str
    number: int = 0


class Plain:
    """A class that pydantic knows nothing of."""


def test_the_schema_that_this_is_held_to_refuses_what_is_wrong() -> None:
    document = described(chat)
    assert not VALID.is_valid(document | {"asyncapi": "2.6.0"})
    assert not VALID.is_valid(document | {"channels": {"chat": {"addres": "/"}}})


def test_the_reference_app_is_described_route_by_route() -> None:
    document = described(chat)
    assert document["info"]["title"] == "Gatesocket's chat"
    addresses = [channel["address"] for channel in document["channels"].values()]
    assert addresses[:2] == ["/ws/echo", "/ws/json"]
    assert addresses[-1] == "/ws/{room}"
    assert document["channels"]["echo"] == {
        "address": "/ws/echo",
        "title": "echo",
        "summary": "Send every text back.",
        "messages": {
            "text": {
                "name": "text",
                "title": "text",
                "summary": "A text.",
                "contentType": "text/plain",
                "payload": {"type": "string"},
            }
        },
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }
    assert document["operations"]["echo.receive"] == {
        "action": "receive",
        "channel": {"$ref": "#/channels/echo"},
        "messages": [{"$ref": "#/channels/echo/messages/text"}],
    }


def test_what_the_reference_app_says_is_read_from_its_source() -> None:
    operations = described(chat)["operations"]
    said = {
        name: [reference["$ref"].rpartition("/")[2] for reference in operation["messages"]]
        for name, operation in operations.items()
    }
    assert said["chat.receive"] == ["say", "tell-user", "tell-connection", "typing", "who", "work", "ping"]
    assert {"welcome", "joined", "said", "told", "people", "left", "ack", "error"} <= set(said["chat.send"])
    assert {"accepted", "progress", "done"} <= set(said["chat.send"])  # what its job says
    assert said["heavy_work.receive"] == ["work"]


def test_an_app_without_websockets_has_no_channels() -> None:
    document = described(Starlette())
    assert document == {
        "asyncapi": "3.0.0",
        "info": {"title": "WebSocket API", "version": "0.1.0"},
        "defaultContentType": "application/json",
        "channels": {},
        "operations": {},
        "components": {},
    }


def test_title_version_and_description_can_be_given() -> None:
    app = FastAPI(title="Taken from the app", description="Markdown.")
    assert described(app)["info"] == {"title": "Taken from the app", "version": "0.1.0", "description": "Markdown."}
    given = described(app, title="Given", version="2", description="")
    assert given["info"] == {"title": "Given", "version": "2"}


def test_the_docstring_is_summary_and_description() -> None:
    async def chat(websocket: WebSocket) -> None:
        """Join a room
        and talk.

        Bring a friend.
        \f
        Not for clients.
        """

    channel = described(app_with(chat))["channels"]["chat"]
    assert channel["summary"] == "Join a room and talk."
    assert channel["description"] == "Bring a friend."


class TestParameters:
    def test_those_of_the_query_and_the_headers_are_in_the_binding_with_those_of_dependencies(self) -> None:
        def who(name: str, session: Annotated[str, Cookie()]) -> str:
            return name + session

        async def chat(
            websocket: WebSocket,
            name: Annotated[str, Depends(who)],
            page: Annotated[int, Query(alias="p", ge=1, description="Which page.")] = 1,
            user_agent: Annotated[str, Header()] = "",
            hidden: Annotated[str, Query(include_in_schema=False)] = "",
        ) -> None: ...

        binding = described(app_with(chat))["channels"]["chat"]["bindings"]["ws"]
        assert binding["query"] == {
            "type": "object",
            "properties": {
                "p": {"type": "integer", "minimum": 1, "default": 1, "description": "Which page."},
                "name": {"type": "string"},
            },
            "required": ["name"],
        }
        assert binding["headers"] == {
            "type": "object",
            "properties": {
                "user-agent": {"type": "string", "default": ""},
                "session": {"type": "string", "x-in": "cookie"},
            },
            "required": ["session"],
        }

    def test_a_model_is_as_many_parameters_as_it_has_fields(self) -> None:
        class Filter(BaseModel):
            since: int
            word: str = Field("", alias="w")

        class Common(BaseModel):
            x_tag: str
            trace: str = Field("", alias="Trace_Id")

        async def news(
            websocket: WebSocket, wanted: Annotated[Filter, Query()], common: Annotated[Common, Header()]
        ) -> None: ...

        binding = described(app_with(news))["channels"]["news"]["bindings"]["ws"]
        assert list(binding["query"]["properties"]) == ["since", "w"]
        assert binding["query"]["required"] == ["since"]
        assert list(binding["headers"]["properties"]) == ["x-tag", "Trace_Id"]

    def test_those_of_the_path_have_their_schema_besides(self) -> None:
        """AsyncAPI 3.0 takes every parameter of an address for a text."""

        class Colour(enum.Enum):
            RED = "red"
            BLUE = "blue"

        async def paint(
            websocket: WebSocket,
            colour: Colour,
            size: Literal[1, 2],
            name: Annotated[str, PathParameter(description="Whose.", examples=["ann"], max_length=9)],
        ) -> None: ...

        document = described(app_with(paint, "/{colour}/{size}/{name:path}"))
        channel = document["channels"]["paint"]
        assert channel["address"] == "/{colour}/{size}/{name}"
        assert channel["parameters"] == {
            "colour": {"enum": ["red", "blue"], "x-schema": {"$ref": "#/components/schemas/Colour"}},
            "size": {"enum": ["1", "2"], "x-schema": {"enum": [1, 2], "type": "integer"}},
            "name": {
                "description": "Whose.",
                "examples": ["ann"],
                "x-schema": {"description": "Whose.", "examples": ["ann"], "maxLength": 9, "type": "string"},
            },
        }

    def test_starlettes_converters_tell_the_types_of_its_routes_and_mounts(self) -> None:
        async def seat(websocket: WebSocket) -> None: ...

        app = Starlette(routes=[Mount("/{house}", routes=[WebSocketRoute("/{row:int}/{price:float}", seat)])])
        parameters = described(app)["channels"]["seat"]["parameters"]
        assert {name: parameter["x-schema"] for name, parameter in parameters.items()} == {
            "house": {"type": "string"},
            "row": {"type": "integer"},
            "price": {"type": "number"},
        }


class TestRoutes:
    def test_routers_and_mounted_apps_are_looked_into(self) -> None:
        router = APIRouter(prefix="/api")
        inner = FastAPI()

        @router.websocket("/ws", name="news feed")
        @inner.websocket("/ws")
        async def feed(websocket: WebSocket) -> None: ...

        app = FastAPI()
        app.include_router(router, prefix="/v1")
        app.mount("/inner", inner)
        channels = described(app)["channels"]
        assert {name: channel["address"] for name, channel in channels.items()} == {
            "news-feed": "/v1/api/ws",
            "feed": "/inner/ws",
        }

    def test_endpoints_of_one_name_are_told_apart_by_a_number(self) -> None:
        app = FastAPI()
        for path in ("/one", "/two"):

            @app.websocket(path)
            async def chat(websocket: WebSocket) -> None: ...

        assert list(described(app)["channels"]) == ["chat", "chat-2"]

    def test_a_raw_asgi_function_is_left_out(self) -> None:
        async def raw(scope: Any, receive: Any, send: Any) -> None: ...

        assert described(Starlette(routes=[Mount("/raw", raw)]))["channels"] == {}


class TestMessages:
    def test_models_are_in_their_envelopes(self) -> None:
        async def chat(websocket: WebSocket) -> None:
            await websocket.accept()
            incoming = messages(websocket, Say | Leave)
            async for message in incoming:
                await incoming.reply(Said(text=str(message)))

        document = described(app_with(chat))
        sent = document["channels"]["chat"]["messages"]
        assert list(sent) == ["say", "leave", "said", "ack", "error"]
        identifier = {"type": "string", "minLength": 1, "maxLength": 64}
        assert sent["say"] == {
            "name": "say",
            "title": "say",
            "summary": "A text to everybody.",
            "payload": {
                "type": "object",
                "properties": {
                    "type": {"const": "say"},
                    "id": identifier,
                    "ack": {"type": "boolean", "default": False},
                    "data": {"$ref": "#/components/schemas/Say"},
                },
                "required": ["type", "data"],
            },
        }
        assert sent["leave"]["payload"]["required"] == ["type"]
        assert list(sent["said"]["payload"]["properties"]) == ["type", "id", "data"]
        assert document["components"]["schemas"]["Said"]["required"] == ["text"]

    def test_a_reply_whose_form_cannot_be_told_is_still_an_envelope(self) -> None:
        async def chat(websocket: WebSocket) -> None:
            incoming = messages(websocket, Say)
            async for message in incoming:
                await incoming.reply(message)

        reply = described(app_with(chat))["channels"]["chat"]["messages"]["reply"]
        assert reply["payload"]["properties"]["type"]["type"] == "string"

    def test_one_message_in_both_directions_is_named_once_if_it_is_the_same(self) -> None:
        class Square(BaseModel):
            side: float

            @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
            @property
            def area(self) -> float:
                """Only in what is sent."""
                return self.side**2

        @speaks(receives=Say | Square | str, sends=Say | Square | str)
        async def chat(websocket: WebSocket) -> None: ...

        document = described(app_with(chat))
        assert list(document["channels"]["chat"]["messages"]) == ["Say", "Square", "text", "Square-2"]
        assert document["operations"]["chat.send"]["messages"] == [
            {"$ref": "#/channels/chat/messages/Say"},
            {"$ref": "#/channels/chat/messages/Square-2"},
            {"$ref": "#/channels/chat/messages/text"},
        ]

    def test_what_has_no_model_is_described_as_well(self) -> None:
        @speaks(receives=dict[str, int], sends=tuple[int, str] | tuple[int, ...] | Any)
        async def chat(websocket: WebSocket) -> None: ...

        channel = described(app_with(chat))["channels"]["chat"]
        assert [message["payload"] for message in channel["messages"].values()] == [
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {"type": "array", "items": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2},
            {"type": "array", "items": {"type": "integer"}},
            {},
        ]

    def test_the_discriminator_of_a_union_is_named_as_asyncapi_wants_it(self) -> None:
        class Cat(BaseModel):
            kind: Literal["cat"]

        class Dog(BaseModel):
            kind: Literal["dog"]

        class Pet(BaseModel):
            animal: Annotated[Cat | Dog, Field(discriminator="kind")]

        @speaks(receives=Pet)
        async def adopt(websocket: WebSocket) -> None: ...

        pet = described(app_with(adopt))["components"]["schemas"]["Pet"]
        assert pet["properties"]["animal"]["discriminator"] == "kind"

    @pytest.mark.parametrize("kind", [Plain, Callable[[], int]])
    def test_a_type_that_json_cannot_say_is_named(self, kind: Any) -> None:
        @speaks(receives=kind)
        async def chat(websocket: WebSocket) -> None: ...

        with pytest.raises(ConfigurationError, match="AsyncAPI document.*pydantic model"):
            describe(app_with(chat))


def test_fastapis_security_dependencies_are_security_schemes() -> None:
    schemes: list[Any] = [
        APIKeyQuery(name="key", description="Ask us for one."),
        HTTPBearer(bearerFormat="JWT"),
        OAuth2PasswordBearer("https://example.com/token", scopes={"read": "Reads."}),
        OpenIdConnect(openIdConnectUrl="https://example.com/.well-known/openid-configuration"),
    ]

    async def chat(websocket: WebSocket) -> None:
        await websocket.receive_text()

    app = FastAPI()
    app.websocket("/", dependencies=[Security(scheme) for scheme in schemes])(chat)
    document = described(app)
    assert document["components"]["securitySchemes"] == {
        "APIKeyQuery": {"type": "httpApiKey", "in": "query", "name": "key", "description": "Ask us for one."},
        "HTTPBearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "OAuth2PasswordBearer": {
            "type": "oauth2",
            "flows": {"password": {"tokenUrl": "https://example.com/token", "availableScopes": {"read": "Reads."}}},
        },
        "OpenIdConnect": {
            "type": "openIdConnect",
            "openIdConnectUrl": "https://example.com/.well-known/openid-configuration",
        },
    }
    assert len(document["operations"]["chat.receive"]["security"]) == 4


def test_servers_are_named_and_those_of_api_gateway_marked_as_having_no_paths() -> None:
    servers = {
        "production": "wss://chat.example.com",
        "bare": "wss://abcd1234.execute-api.eu-west-1.amazonaws.com/prod/",
        "local": "ws://127.0.0.1:8000/under/",
    }
    assert described(FastAPI(), servers=servers, path_parameter="p")["servers"] == {
        "production": {"host": "chat.example.com", "protocol": "wss"},
        "bare": {
            "host": "abcd1234.execute-api.eu-west-1.amazonaws.com",
            "protocol": "wss",
            "pathname": "/prod",
            "x-gatesocket-path-parameter": "p",
        },
        "local": {"host": "127.0.0.1:8000", "protocol": "ws", "pathname": "/under"},
    }


@pytest.mark.parametrize("address", ["https://example.com", "wss:", "example.com"])
def test_a_server_that_is_none_of_websockets_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'here' is expected to be ws:// or wss:// .*{address}"):
        describe(FastAPI(), servers={"here": address})
