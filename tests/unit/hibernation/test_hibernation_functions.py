"""Functions go on with their code and their variables; what a planted snapshot names has to be a function already."""

import functools
import os
import types
from collections.abc import Callable
from typing import Any

import pytest
from starlette.websockets import WebSocket

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation import units
from gatesocket.hibernation.codec import Decoder, Encoder, Unsaveable
from gatesocket.hibernation.functions import fill_cells, make_cells, named_function, save_cells
from support.values import home, moved, other, read, through, written

HERE = __name__
ROOMS: dict[str, list[str]] = {"lobby": []}


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
    encoder, decoder = Encoder(home()), Decoder(home())
    encoder.cells = {id(cell): (0, "n")}
    fresh = types.CellType(70)
    decoder.frames = [{"n": fresh}]

    found = decoder.decode(encoder.encode(add))
    found(1)

    assert encoder.shared == {(0, "n")}
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
