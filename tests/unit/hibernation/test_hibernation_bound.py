"""What is tied to the run or the process: none of it is written as it is."""

import contextvars
import json
import logging
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.datastructures import URL, Headers, QueryParams, State
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation.bound import SocketMessages
from gatesocket.hibernation.codec import Decoder, Unsaveable
from gatesocket.hibernation.home import Home
from support.values import home, moved, other, read, through, written

HERE = __name__
TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")


class User(WebSocket):
    @property
    def name(self) -> str:
        raise AssertionError("no property is run")


def app_home(app: Any) -> Home:
    """A run of *app*."""
    at = home()
    at.scope["app"] = app
    return at


# The socket.


def socket(at: Home, cls: type[WebSocket] = WebSocket) -> WebSocket:
    found = cls(at.scope, at.receive, at.send)
    found.client_state = WebSocketState.CONNECTED
    found.application_state = WebSocketState.DISCONNECTED
    return found


def test_the_socket_is_the_one_of_the_run_that_reads_in_the_state_that_it_had() -> None:
    at = home()
    later = other(at)

    found = moved(socket(at), at, later)

    assert type(found) is WebSocket
    assert found.scope is later.scope
    assert (found._receive, found._send) == (later.receive, later.send)
    assert (found.client_state, found.application_state) == (WebSocketState.CONNECTED, WebSocketState.DISCONNECTED)


def test_a_socket_of_the_apps_own_class_keeps_its_class_and_attributes_and_not_what_starlette_caches() -> None:
    at = home()
    user = socket(at, User)
    vars(user)["nick"] = "ann"
    assert user.url.path == user.query_params.get("path", "/")
    assert user.headers["host"] == "testserver"

    found = moved(user, at)

    assert type(found) is User
    assert vars(found)["nick"] == "ann"
    assert "_url" not in vars(found)


def test_what_the_framework_has_made_anew_is_taken_for_the_socket() -> None:
    at = home()
    later = other(at)
    decoder = Decoder(later)
    made = decoder.offered = User(later.scope, later.receive, later.send)

    found = decoder.decode(written(socket(at), at))

    assert found is made
    assert found.client_state is WebSocketState.CONNECTED
    assert decoder.offered is None


@pytest.mark.parametrize(
    "data",
    [
        [1, 1, {}, "builtins:dict"],
        [1, 1, {}, f"{HERE}:TENANT"],
        [9, 1],
        [1],
        5,
    ],
)
def test_a_planted_socket_is_refused(data: Any) -> None:
    with pytest.raises(SnapshotError, match="damaged"):
        read({"$": "socket", "v": data})


def test_a_planted_attribute_can_not_redirect_a_socket() -> None:
    at = home()

    found = read({"$": "socket", "v": [1, 1, {"_send": None, "scope": {}, "nick": 1}, None]}, at)

    assert (found._send, found.scope, found.nick) == (at.send, at.scope, 1)


async def test_the_messages_of_a_socket_end_when_the_client_leaves() -> None:
    class Scripted(WebSocket):
        texts = iter(["a", "b"])

        async def receive_text(self) -> str:
            for text in self.texts:
                return text
            raise WebSocketDisconnect

    at = home()
    messages = SocketMessages(Scripted(at.scope, at.receive, at.send), "receive_text")

    assert [text async for text in messages] == ["a", "b"]


def test_the_messages_of_a_socket_stay_those_of_the_socket() -> None:
    at = home()
    messages = SocketMessages(socket(at), "receive_json")

    found, again, of = moved([messages, messages, messages.socket], at)

    assert found is again
    assert (found.socket, found.method) == (of, "receive_json")


@pytest.mark.parametrize("data", [[{"$": "socket", "v": [1, 1]}, "close"], [{}, "receive_text"]])
def test_planted_messages_are_refused(data: Any) -> None:
    with pytest.raises(SnapshotError, match="gives no messages"):
        read({"$": "messages", "v": data})


# The scope.


def test_a_copy_of_the_scope_is_the_copy_that_a_mount_makes_again() -> None:
    at = home()
    later = other(at)
    decoder = Decoder(later)
    decoder.offered = copy = dict(later.scope)

    assert decoder.decode(written(dict(at.scope), at)) is copy
    assert decoder.decode(written(at.scope, at)) is later.scope


def test_headers_query_and_url_are_written_as_they_are() -> None:
    headers = Headers(raw=[(b"x", b"1"), (b"x", "é".encode("latin-1"))])
    query = QueryParams("a=1&a=2&b=")
    url = URL("ws://example.org/a?b=c")

    assert through(headers).raw == headers.raw
    assert through(query).multi_items() == query.multi_items()
    assert through(url) == url
    with pytest.raises(SnapshotError, match="a URL is not written as 5"):
        read({"$": "url", "v": 5})


def test_the_states_are_those_of_the_app_and_of_the_connection() -> None:
    app = FastAPI()
    at = app_home(app)
    mine = HTTPConnection(at.scope).state
    later = other(at, state={"user": "ann"})

    assert moved(app.state, at, later) is app.state
    assert moved(mine, at, later).user == "ann"
    with pytest.raises(Unsaveable, match="neither the app's state nor the socket's"):
        written(State({}), at)


def test_without_an_app_there_is_still_the_state_of_the_connection() -> None:
    at = home()
    del at.scope["app"]

    assert written(State(at.scope["state"]), at) == {"$": "state", "v": "scope"}


# Modules, loggers.


def test_a_module_is_named_if_the_route_names_it() -> None:
    at = home(imports=["json", "logging"])

    assert through(json, at) is json
    assert through(logging, at) is logging
    for planted in ("os", "no.such", "subprocess"):
        with pytest.raises(SnapshotError, match=f"the route doesn't import {planted!r}"):
            read({"$": "module", "v": planted}, at)


def test_loggers_are_those_of_their_names() -> None:
    logger = logging.getLogger("chat")
    adapter = logging.LoggerAdapter(logger, {"user": "ann"})

    assert through(logger) is logger
    assert through(logging.getLogger()) is logging.getLogger()
    assert through(adapter).logger is logger
    assert through(adapter).extra == {"user": "ann"}


# Context variables.


def test_a_token_resets_its_variable_to_what_it_was() -> None:
    at = home(modules=[HERE])

    def run() -> tuple[str, str]:
        TENANT.set("outer")
        data = written(TENANT.set("inner"), at)

        def later() -> tuple[str, str]:
            token = read(data, at)
            inner = TENANT.get()
            TENANT.reset(token)
            return inner, TENANT.get()

        return contextvars.Context().run(later)

    assert contextvars.Context().run(run) == ("inner", "outer")


def test_a_variable_that_was_not_set_is_not_set_again() -> None:
    at = home(modules=[HERE])

    def run() -> str:
        data = written(TENANT.set("inner"), at)

        def later() -> str:
            decoder = Decoder(at)
            decoder.tokens[TENANT] = TENANT.set("inner")  # as the run does, before the app is called
            TENANT.reset(decoder.decode(data))
            return TENANT.get("nothing")

        return contextvars.Context().run(later)

    assert contextvars.Context().run(run) == "nothing"


def test_a_token_of_nothing_is_refused() -> None:
    with pytest.raises(SnapshotError, match="is no context variable"):
        read({"$": "token", "v": [{}, 1, []]})
