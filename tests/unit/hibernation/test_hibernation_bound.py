"""What is tied to the run: none of it is written as it is, and what a planted snapshot may name is the route's own."""

import contextvars
import functools
import json
import logging
import os
import types
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.datastructures import URL, Headers, QueryParams, State
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation import units
from gatesocket.hibernation.bound import SocketMessages
from gatesocket.hibernation.codec import Decoder, Encoder, Unsaveable
from gatesocket.hibernation.functions import fill_cells, make_cells, named_function, save_cells
from gatesocket.hibernation.home import Home
from support.values import home, read, through, written

HERE = __name__
ROOMS: dict[str, list[str]] = {"lobby": []}
TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")


class User(WebSocket):
    @property
    def name(self) -> str:
        raise AssertionError("no property is run")

    @classmethod
    def make(cls) -> str:
        return cls.__name__


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def step(self, by: int = 1) -> int:
        self.count += by
        return self.count


def adder(n: Any) -> Any:
    def add(x: int = 1, *, y: int = 0) -> Any:
        nonlocal n
        n += x + y
        return n

    return add


def doubler(function: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(function)
    def twice(*arguments: int) -> int:
        return 2 * function(*arguments)

    return twice


@doubler
def one() -> int:
    return 1


def app_home(app: Any) -> Home:
    """A run of *app*."""
    at = home()
    at.scope["app"] = app
    return at


def other(at: Home, **changes: Any) -> Home:
    """A later run, with a scope, a receive and a send of its own."""
    later = home(imports=at.imports)
    later.scope.update({"app": at.scope["app"], **changes})
    return later


def moved(value: Any, at: Home, later: Home | None = None) -> Any:
    """*value*, written by one run and read by the next."""
    return read(written(value, at), later or other(at))


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
    made = later.offered = User(later.scope, later.receive, later.send)

    found = moved(socket(at), at, later)

    assert found is made
    assert found.client_state is WebSocketState.CONNECTED
    assert later.offered is None


@pytest.mark.parametrize(
    "data",
    [
        [1, 1, {}, f"{HERE}:Counter"],
        [1, 1, {}, f"{HERE}:ROOMS"],
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
    later.offered = copy = dict(later.scope)

    assert moved(dict(at.scope), at, later) is copy
    assert moved(at.scope, at, later) is later.scope


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


def test_members_of_the_states_are_named() -> None:
    pool, lobby = [1], [2]
    at = home(state={"pool": pool}, lobby=lobby)
    at.index._members["app.state"] = {"lobby": lobby}
    at.scope["app"] = types.SimpleNamespace(state=types.SimpleNamespace(_state={"lobby": lobby}))

    assert through([pool, lobby], at) == [pool, lobby]
    assert through(pool, at) is pool
    assert through(lobby, at) is lobby


# Names.


def test_what_the_app_has_by_a_name_is_found_by_it() -> None:
    at = home(modules=[HERE])

    for value in (ROOMS, Counter, adder, Counter.step, one, one.__wrapped__, list):  # type: ignore[attr-defined]
        assert through([value], at)[0] is value


@pytest.mark.parametrize("value", [json.dumps, logging.getLogger, os.getcwd, Headers])
def test_a_librarys_function_is_named_only_if_the_route_uses_it(value: Any) -> None:
    name = value.__name__
    at = home(imports=[name])

    assert through([value], at)[0] is value
    with pytest.raises(SnapshotError, match="the route has no business with"):
        read(written(value, at), home())


@pytest.mark.parametrize("name", ["os:system", "builtins:eval", "builtins:exec", "subprocess:Popen", "posix:system"])
def test_what_the_route_does_not_use_can_not_be_planted(name: str) -> None:
    with pytest.raises(SnapshotError, match=f"the route has no business with '{name}'"):
        read({"$": "name", "v": name}, home(imports=["json", "logging"]))


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(SnapshotError, match="can't be read"):
        read({"$": "name", "v": 5})


# Functions.


def test_a_closure_keeps_its_code_its_variables_and_its_defaults() -> None:
    add = adder(5)
    add()

    found = through(add)

    assert found.__qualname__ == "adder.<locals>.add"
    assert found() == 7
    assert found(1, y=2) == 10
    assert add() == 7  # it has a variable of its own


def test_closures_that_share_a_variable_go_on_sharing_it() -> None:
    add = adder(5)
    first, second = through([add, types.FunctionType(add.__code__, globals(), "add", (1,), add.__closure__)])
    second.__kwdefaults__ = {"y": 0}

    first(10, y=0)

    assert second(0) == 15


def test_a_function_may_refer_to_itself_and_a_variable_may_not_be_set() -> None:
    found = through(countdown(unset=True))

    assert found(3) == "go"
    with pytest.raises(NameError, match="late"):
        found(-1)


def countdown(*, unset: bool) -> Callable[[int], Any]:
    if not unset:
        late = 1

    def count(n: int) -> Any:
        if n < 0:
            return late
        return count(n - 1) if n else "go"

    return count


def test_a_default_that_can_not_be_saved_is_named() -> None:
    add = adder(1)
    add.__defaults__ = (open,)

    with pytest.raises(Unsaveable) as refused:
        written(add)
    assert refused.value.path == ".__defaults__[0]"


def test_a_variable_that_can_not_be_saved_is_named() -> None:
    with pytest.raises(Unsaveable) as refused:
        written(adder(open))
    assert refused.value.path == " (its variable 'n')"


def test_a_variable_of_a_frame_is_the_frames() -> None:
    add = adder(5)
    (cell,) = add.__closure__
    at, later = home(), home()
    at.cells = {id(cell): (0, "n")}
    fresh = types.CellType(70)
    later.frames = [{"n": fresh}]

    found = moved(add, at, later)
    found(1)

    assert at.shared == {(0, "n")}
    assert fresh.cell_contents == 71


def test_a_function_whose_surroundings_are_not_found_is_refused() -> None:
    namespace: dict[str, Any] = {"__name__": HERE}
    exec("def made():\n    def inner(): ...\n    return inner", namespace)

    with pytest.raises(Unsaveable, match="the function around it isn't found by its name"):
        written(namespace["made"]())
    with pytest.raises(Unsaveable, match="the function around it isn't found by its name"):
        written(_renamed("countdown.<locals>.other"))
    with pytest.raises(Unsaveable, match="the function around it isn't found by its name"):
        written(_renamed("ROOMS.<locals>.other"))


def _renamed(name: str) -> Any:
    add = adder(1)
    add.__code__ = add.__code__.replace(co_qualname=name)
    return add


def test_the_frameworks_own_receive_and_send_are_those_of_the_run() -> None:
    at = home()
    later = other(at)
    wrapped = _framework_function("wrapped_receive"), _framework_function("sender"), _framework_function("inner")

    assert moved(wrapped[0], at, later) is later.receive
    assert moved(wrapped[1], at, later) is later.send
    with pytest.raises(Unsaveable, match="it belongs to the framework"):
        written(wrapped[2], at)


def _framework_function(name: str) -> Any:
    code = compile(
        "def made():\n    def inner(): ...\n    return inner", WebSocket.receive.__code__.co_filename, "exec"
    )
    namespace: dict[str, Any] = {"__name__": "starlette.made"}
    exec(code, namespace)
    function = namespace["made"]()
    function.__name__ = name
    return function


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            [[f"{HERE}:adder", "adder.<locals>.add", 0, "add", "adder.<locals>.add"], [None], [[1]], None, None],
            "changed",
        ),
        ([["os:system", "system", 0, "system", "system"], [], [], None, None], "changed"),
        ([["json:dumps", "dumps", 0, "dumps", "dumps"], [], [], None, None], "changed"),
        ("elsewhere", "can't be read"),
    ],
)
def test_a_planted_function_is_refused(data: Any, why: str) -> None:
    with pytest.raises(SnapshotError, match=why):
        read({"$": "function", "v": data})


@pytest.mark.parametrize("place", [[0, "missing"], [7, "n"], 0, 99])
def test_a_planted_variable_is_refused(place: Any) -> None:
    data = written(adder(1))
    data["v"][1] = [place]

    with pytest.raises(SnapshotError, match="damaged"):
        read(data)


def test_another_object_in_the_place_of_a_variable_is_refused() -> None:
    data = written(adder(1))
    data["v"][1] = [0]

    with pytest.raises(SnapshotError, match="0 is no variable"):
        read([data])


def test_variables_are_made_before_they_are_filled() -> None:
    (cell,) = adder(5).__closure__
    encoder, decoder = Encoder(home()), Decoder(home())

    places, contents = save_cells(["n", "n"], [cell, cell], encoder)
    cells, new = make_cells(places, decoder)
    fill_cells(new, contents, decoder)

    assert (places, contents) == ([None, 0], [[5]])
    assert cells[0] is cells[1]
    assert cells[0].cell_contents == 5


def test_a_function_that_a_decorator_has_made_has_a_name() -> None:
    at = home(modules=[HERE])
    hidden: Any = one

    assert named_function(at, hidden.__code__, hidden.__closure__) == f"{HERE}:one"
    assert named_function(at, hidden.__code__, ()) is None


def test_a_transformed_function_is_found_by_the_code_that_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    route = routing("hello")
    before = written(route)
    units.adopt(route)

    assert written(route) == before
    assert through(route).__closure__[0].cell_contents == "hello"


def routing(greeting: str) -> Any:
    async def route(websocket: WebSocket) -> None:
        await websocket.send_text(greeting + await websocket.receive_text())

    return route


# Methods and partials.


def test_a_method_keeps_its_object() -> None:
    counter = Counter()
    found, step = through([counter, counter.step])

    step(5)

    assert found.count == 5


def test_a_method_of_a_class_and_a_built_in_of_a_container_are_kept() -> None:
    names: list[str] = []
    add, found, make = through([names.append, names, User.make])

    add("ann")

    assert found == ["ann"]
    assert make() == "User"


def test_receive_and_send_of_the_run_are_those_of_the_next() -> None:
    class Server:
        async def receive(self) -> dict[str, Any]: ...  # type: ignore[empty-body]

        async def send(self, message: Any) -> None: ...

    at, later = home(), home()
    at.receive, at.send = Server().receive, Server().send

    assert moved(at.receive, at, later) is later.receive
    assert moved(at.send, at, later) is later.send


def test_a_method_that_was_put_there_is_refused() -> None:
    counter = Counter()

    with pytest.raises(Unsaveable, match="Counter has no such method"):
        written(types.MethodType(lambda self: None, counter))


@pytest.mark.parametrize("value", [open, "abc".upper, os.getcwd], ids=["open", "upper", "getcwd"])
def test_a_built_in_function_is_refused_unless_it_is_a_containers(value: Any) -> None:
    with pytest.raises(Unsaveable, match="it is a built-in function") as refused:
        written(value)
    assert refused.value.remedy == "Call it by its name instead of keeping it in a variable"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"$": "method", "v": [[], "append"]}, "'append' is no method of list"),
        (
            {"$": "method", "v": [{"$": "socket", "v": [1, 1, {}, f"{HERE}:User"]}, "name"]},
            "'name' is no method of User",
        ),
        ({"$": "method", "v": "elsewhere"}, "is no method of str"),
        ({"$": "built-in", "v": ["text", "upper"]}, "belongs to no container"),
        ({"$": "built-in", "v": [[], "nothing"]}, "can't be read"),
        ({"$": "partial", "v": [5, {"$": "tuple", "v": []}, {}]}, "can't be read"),
    ],
)
def test_a_planted_method_is_refused(data: Any, why: str) -> None:
    with pytest.raises(SnapshotError, match=why):
        read(data)


def test_a_partial_keeps_its_function_and_arguments() -> None:
    found = through(functools.partial(adder(5), 2, y=3))

    assert found() == 10


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
            at.tokens[TENANT] = TENANT.set("inner")  # as the run does, before the app is called
            TENANT.reset(read(data, at))
            return TENANT.get("nothing")

        return contextvars.Context().run(later)

    assert contextvars.Context().run(run) == "nothing"


def test_a_token_of_nothing_is_refused() -> None:
    with pytest.raises(SnapshotError, match="is no context variable"):
        read({"$": "token", "v": [{}, 1, []]})
