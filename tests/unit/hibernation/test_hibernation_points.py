"""How sure it is that an await waits for the client, by what is called."""

import ast
import asyncio
import functools
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar

import anyio  # noqa: F401 - the expressions name it
import pytest
from fastapi import Depends
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.websockets import WebSocket

from gatesocket.hibernation.meanings import Known, Wait, unwrap, wait_of_function
from gatesocket.hibernation.points import Environment, environment_of
from gatesocket.hibernation.source import locate
from gatesocket.jobs import job
from support.lives import load
from support.passes import environment, parsed

T = TypeVar("T")


async def ask(ws: WebSocket) -> str:
    return await ws.receive_text()


async def ask_indirectly(ws: WebSocket) -> str:
    return await ask(ws)


async def tell(ws: WebSocket) -> None:
    await ws.send_text("hi")


async def pause() -> None:
    await asyncio.sleep(1)


async def recurse(ws: WebSocket, n: int) -> None:
    await recurse(ws, n - 1)


async def listen(ws: WebSocket) -> list[str]:
    return [text async for text in ws.iter_text()]


async def stream(ws: WebSocket) -> Any:
    yield await ws.receive_text()


def make(ws: WebSocket) -> Any:
    return ask(ws)


class Chat:
    async def ask(self, ws: WebSocket) -> str:
        return await ws.receive_text()

    async def tell(self, ws: WebSocket) -> None:
        await ws.send_text("hi")

    async def overridden(self) -> None: ...

    @staticmethod
    async def rules(ws: WebSocket) -> str:
        return await ws.receive_text()

    @classmethod
    async def open(cls, ws: WebSocket) -> None: ...

    @property
    def answer(self) -> Any:
        raise AssertionError("nothing is run")

    async def mine(self) -> None:
        await self.tell(None)  # type: ignore[arg-type]
        await self.ask(None)  # type: ignore[arg-type]


class Derived(Chat):
    async def overridden(self) -> None:
        raise AssertionError


class MoreDerived(Derived):
    pass


class Socket(WebSocket):
    async def receive_text(self) -> str:
        return await super().receive_text()


class Endpoint(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: Any) -> None: ...


class Called:
    async def __call__(self, ws: WebSocket) -> str:
        return await ws.receive_text()


class Asking(Protocol):
    async def tell(self, ws: WebSocket) -> None: ...


class Box(Generic[T]):
    async def get(self) -> None: ...


@job
def count(below: int) -> int:
    return below


def made_by_the_app() -> Chat:
    return Derived()


chat = Chat()
call = Called()
partly = functools.partial(ask, None)  # type: ignore[arg-type]
number = 5
starlette = Starlette()


def wait(expression: str, parameters: str = "ws: WebSocket") -> Wait:
    """How sure it is that *expression* waits."""
    node = parsed(f"await {expression}", parameters)
    (statement,) = node.body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Await)
    return around(node).wait(statement.value)


def around(node: ast.AsyncFunctionDef) -> Environment:
    return environment(node, **globals())


@pytest.mark.parametrize(
    "expression",
    [
        "ws.receive_text()", "ws.receive_bytes()", "ws.receive_json()", "ws.receive()", "anything.receive_text()",
        "ask(ws)", "ask_indirectly(ws)", "listen(ws)", "stream(ws)",
        "chat.ask(ws)", "Chat().ask(ws)", "Chat.rules(ws)", "chat.rules(ws)", "call(ws)", "partly()",
    ],
)  # fmt: skip
def test_a_receive_and_what_is_seen_to_receive_surely_wait(expression: str) -> None:
    assert wait(expression) is Wait.SURELY


@pytest.mark.parametrize("expression", ["asyncio.sleep(1)", "anyio.sleep(1)", "pause()"])
def test_a_sleep_waits_for_time_only(expression: str) -> None:
    assert wait(expression) is Wait.TIME


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("asyncio.wait_for(ask(ws), 5)", Wait.SURELY),
        ("asyncio.wait_for(ws.receive_text(), timeout=5)", Wait.SURELY),
        ("asyncio.wait_for(unknown(ws), 5)", Wait.MAYBE),
        ("asyncio.wait_for(pause(), 5)", Wait.TIME),
        ("asyncio.wait_for(tell(ws), 5)", Wait.NEVER),
        # These are tasks, or can't be told apart from them.
        ("asyncio.wait_for(ws, 5)", Wait.NEVER),
        ("asyncio.wait_for(fut=ask(ws), timeout=5)", Wait.NEVER),
        ("asyncio.wait_for(ask(ws), *limits)", Wait.NEVER),
        ("asyncio.wait_for(ask(ws), limit=5)", Wait.NEVER),
    ],
)
def test_a_limit_on_a_wait_waits_as_that_does(expression: str, expected: Wait) -> None:
    assert wait(expression) is expected


@pytest.mark.parametrize(
    "expression",
    [
        "ws.accept()", "ws.send_text('x')", "ws.close()", "anything.send_json({})", "tell(ws)", "chat.tell(ws)",
        "chat.open(ws)", "asyncio.gather()", "Chat()", "len(ws)", "functools.partial(tell)",
        "count.enqueue(5)", "count.reply_to(user='ann').enqueue(5)",
    ],
)  # fmt: skip
def test_a_send_and_what_is_seen_not_to_receive_never_wait(expression: str) -> None:
    assert wait(expression) is Wait.NEVER


@pytest.mark.parametrize(
    "expression",
    [
        "future", "unknown()", "unknown.method()", "table['a'](ws)", "make(ws)", "chat.answer()", "chat.missing()",
        "ask.attribute()", "number()", "asyncio.missing()", "unknown(1)(2)", "Endpoint.receiving(ws)",
        "made_by_the_app().tell(ws)", "pause().tell(ws)", "asyncio.iscoroutine(ws).tell(ws)",
    ],
)  # fmt: skip
def test_what_can_not_be_told_may_wait(expression: str) -> None:
    assert wait(expression) is Wait.MAYBE


def test_a_library_waits_only_if_it_is_given_the_socket(tmp_path: Path) -> None:
    file = tmp_path / "site-packages" / "library.py"
    file.parent.mkdir()
    file.write_text("async def ask(ws, question=''):\n    return await ws.receive_text()\n")
    node = parsed("await library.ask(ws)\nawait library.ask(1, ws.url)")
    found = environment(node, library=load(file))
    waits = [found.wait(child) for child in ast.walk(node) if isinstance(child, ast.Await)]

    assert waits == [Wait.SURELY, Wait.NEVER]


# What parameters are, by their annotations.


@pytest.mark.parametrize(
    "annotation",
    [
        "Chat", "'Chat'", "Annotated[Chat, Depends(open)]", "typing.Annotated[Chat, 1]", "'Annotated[\"Chat\", 1]'",
    ],
)  # fmt: skip
def test_an_annotation_tells_what_a_parameter_is(annotation: str) -> None:
    assert wait("x.tell(ws)", f"ws: WebSocket, x: {annotation}") is Wait.NEVER
    assert wait("x.ask(ws)", f"ws: WebSocket, x: {annotation}") is Wait.SURELY


def test_a_generic_annotation_tells_the_class() -> None:
    assert wait("x.get()", "*, x: Box[int]") is Wait.NEVER


@pytest.mark.parametrize(
    "annotation", ["Any", "Asking", "'not ('", "Missing", "number", "Chat | None", "5", "'Missing'"]
)
def test_an_annotation_that_tells_nothing_tells_nothing(annotation: str) -> None:
    assert wait("x.tell(ws)", f"ws: WebSocket, x: {annotation}") is Wait.MAYBE


def test_a_method_that_a_derived_class_replaces_may_wait() -> None:
    assert wait("x.overridden()", "x: Chat") is Wait.MAYBE
    assert wait("x.overridden()", "x: MoreDerived") is Wait.NEVER
    assert wait("x.on_receive(ws, 1)", "x: WebSocketEndpoint") is Wait.MAYBE
    assert wait("x.on_receive(ws, 1)", "x: Endpoint") is Wait.NEVER


def test_a_local_hides_what_is_global() -> None:
    node = parsed("ask = make\nawait ask(ws)")
    (_, statement) = node.body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Await)

    assert around(node).wait(statement.value) is Wait.MAYBE


def test_what_is_given_the_servers_receive_may_wait() -> None:
    assert wait("starlette(scope, receive, send)", "scope, receive, send") is Wait.MAYBE
    assert wait("super().__call__(scope, receive, send)", "scope, receive, send") is Wait.MAYBE
    assert wait("tell(receive)") is Wait.NEVER


def test_receive_is_the_servers_if_it_is_the_functions_own() -> None:
    assert wait("receive()", "scope, receive, send") is Wait.SURELY
    assert wait("receive()") is Wait.MAYBE


# Iteration.


@pytest.mark.parametrize(
    ("iterable", "expected"),
    [
        ("ws.iter_text()", Wait.SURELY),
        ("anything.iter_json()", Wait.SURELY),
        ("messages", Wait.MAYBE),
        ("unknown()", Wait.MAYBE),
        ("asyncio.as_completed([])", Wait.NEVER),
    ],
)
def test_an_async_for_waits_by_what_it_runs_over(iterable: str, expected: Wait) -> None:
    node = parsed(f"async for a in {iterable}: ...\n[b async for b in {iterable}]")
    loop, comprehension = node.body
    assert isinstance(loop, ast.AsyncFor)
    assert isinstance(comprehension, ast.Expr)
    assert isinstance(comprehension.value, ast.ListComp)

    assert around(node).wait(loop) is expected
    assert around(node).wait(comprehension.value.generators[0]) is expected


# Functions in functions.


def waits_last(body: str) -> Wait:
    node = parsed(body)
    statement = node.body[-1]
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Await)
    return around(node).wait(statement.value)


def test_a_nested_function_is_looked_into() -> None:
    assert waits_last("async def inner():\n    await ws.receive()\nawait inner()") is Wait.SURELY
    assert waits_last("async def inner():\n    await tell(ws)\nawait inner()") is Wait.NEVER


def test_a_nested_function_sees_what_is_around_it_and_hides_it() -> None:
    around_it = "async def other():\n    await ws.receive()\nasync def inner({}):\n    await other()\nawait inner(1)"

    assert waits_last(around_it.format("")) is Wait.SURELY
    assert waits_last(around_it.format("other")) is Wait.MAYBE


def test_a_nested_function_may_call_itself() -> None:
    assert waits_last("async def inner():\n    await inner()\nawait inner()") is Wait.MAYBE
    assert waits_last("async def inner():\n    await ws.receive()\n    await inner()\nawait inner()") is Wait.SURELY


@pytest.mark.parametrize(
    "body",
    [
        "@decorated\nasync def inner():\n    pass\nawait inner()",
        "async def inner():\n    pass\nasync def inner():\n    await ws.receive()\nawait inner()",
        "def inner():\n    pass\nawait inner()",
        "async def inner():\n    pass\ninner = make\nawait inner()",
    ],
)
def test_a_nested_function_of_which_it_is_not_sure_that_it_is_called_may_wait(body: str) -> None:
    assert waits_last(body) is Wait.MAYBE


# What is around a function.


def test_a_closure_tells_what_its_variables_hold() -> None:
    helper = tell
    if number == 0:
        late = ask

    async def route(ws: WebSocket) -> None:
        await helper(ws)
        await late(ws)

    found = environment_of(route, locate(route).node)  # type: ignore[arg-type]

    assert dict(found.meanings.closure) == {"helper": tell}
    assert found.known(ast.Name("helper", ast.Load())) == Known(tell)
    assert found.known(ast.Name("late", ast.Load())) is None


def test_in_a_method_self_is_the_class() -> None:
    found = environment_of(Chat.mine, locate(Chat.mine).node)  # type: ignore[arg-type]

    assert found.known(ast.Name("self", ast.Load())) == Known(Chat, instance=True)
    assert wait_of_function(Chat.mine) is Wait.SURELY  # type: ignore[arg-type]


def test_a_function_that_only_looks_like_a_method_has_no_class() -> None:
    async def stray(self: "Chat | None") -> None: ...

    stray.__qualname__ = "Chat.ask"
    found = environment_of(stray, locate(stray).node)  # type: ignore[arg-type]
    assert "self" not in found.types

    stray.__qualname__ = "number.ask"
    found = environment_of(stray, locate(stray).node)  # type: ignore[arg-type]
    assert "self" not in found.types


# What calling something runs.


def test_what_a_call_runs() -> None:
    assert unwrap(ask) is ask
    assert unwrap(functools.partial(functools.partial(ask, 1), 2)) is ask
    assert unwrap(chat.ask) is Chat.ask
    assert unwrap(call) is Called.__call__
    assert [unwrap(nothing) for nothing in (Chat, len, 5, object())] == [None] * 4


def test_whether_a_call_is_the_sockets_own_receive() -> None:
    def is_receive(expression: str, parameters: str = "ws: WebSocket") -> bool:
        node = parsed(expression, parameters)
        (statement,) = node.body
        assert isinstance(statement, ast.Expr)
        return around(node).is_receive(statement.value)

    assert is_receive("WebSocket.receive_json(ws)")
    assert not is_receive("ws.receive_text()")  # `Socket`, above, has its own
    assert not is_receive("x.receive_text()", "x: Socket")
    assert not is_receive("ws.receive_text")
    assert not is_receive("ask(ws)")


def test_code_without_source_may_wait() -> None:
    namespace: dict[str, Any] = {"__name__": "nowhere"}
    exec("async def f(): pass\nasync def g(): await f()", namespace)

    assert wait_of_function(namespace["g"]) is Wait.MAYBE


def test_a_function_that_calls_itself_may_wait() -> None:
    assert wait_of_function(recurse) is Wait.MAYBE  # type: ignore[arg-type]


def test_an_import_is_not_run_to_tell() -> None:
    assert Known(asyncio).attribute("sleep") == Known(asyncio.sleep)
    assert Known(asyncio).attribute("nothing") is None
    assert Known(chat, instance=False).attribute("answer") is None


_ = (Annotated, Depends)  # named in the annotations above
