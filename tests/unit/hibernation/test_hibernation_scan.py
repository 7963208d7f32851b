"""Where a function may wait for the client, and where that is refused."""

import ast
import asyncio

import anyio
import pytest

from gatesocket.hibernation.scan import Scan, scan
from gatesocket.hibernation.units import Refusal
from support.passes import environment, parsed


async def own(ws: object) -> None:
    """Wait for nobody."""


def scanned(body: str) -> Scan:
    node = parsed(body)
    return scan(node, environment(node, own=own, asyncio=asyncio, anyio=anyio))


def waits(body: str) -> list[str]:
    """The source of what waits in *body*, in its order."""
    found = [node for node in scanned(body).waits if isinstance(node, ast.expr | ast.stmt)]
    return [
        ast.unparse(node).splitlines()[0] for node in sorted(found, key=lambda node: (node.lineno, node.col_offset))
    ]


def test_a_receive_and_what_may_lead_to_one_are_points_and_a_send_is_none() -> None:
    body = """
        await ws.accept()
        await ws.receive_text()
        await unknown(ws)
        await own(ws)
        await future
        async for text in ws.iter_text():
            pass
    """

    assert waits(body) == [
        "await ws.receive_text()",
        "await unknown(ws)",
        "await future",
        "async for text in ws.iter_text():",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "try:\n    await ws.receive()\nexcept OSError:\n    await ws.receive()\nelse:\n    await ws.receive()",
        "if await ws.receive():\n    await ws.receive()\nelse:\n    await ws.receive()",
        "match await ws.receive():\n    case 1:\n        await ws.receive()\n    case _:\n        await ws.receive()",
        "a = [await ws.receive() for _ in await ws.receive()] + [await ws.receive()]",
        "a = (x for x in await ws.receive()), await ws.receive(), await ws.receive()",
    ],
)
def test_a_route_may_wait_wherever_it_can_be_continued(body: str) -> None:
    found = scanned(body)

    assert len(found.waits) == 3
    assert found.refusals == []


def test_an_asynchronous_comprehension_over_the_socket_is_a_point() -> None:
    (found,) = scanned("a = [x async for x in ws.iter_text()]").waits

    assert isinstance(found, ast.comprehension)


# (a body, the line that is refused in it, why); the `def` is line 1.
BARRED = [
    ("try:\n    pass\nfinally:\n    await ws.receive()", 5, "in a `finally`"),
    ("try:\n    pass\nexcept* OSError:\n    await ws.receive()", 5, "in a `try` with `except*`"),
    ("try:\n    await ws.receive()\nexcept* OSError:\n    pass", 3, "in a `try` with `except*`"),
    ("match a:\n    case 1 if await ws.receive():\n        pass", 3, "in the guard of a `case`"),
    ("def f(a=await ws.receive()): ...", 2, "in the decorators or defaults of a nested function"),
    ("@f(await ws.receive())\nasync def g(): ...", 2, "in the decorators or defaults of a nested function"),
    ("@f(await ws.receive())\nclass A: ...", 2, "in the decorators or bases of a class"),
    ("class A(f(await ws.receive())): ...", 2, "in the decorators or bases of a class"),
    ("class A(b=await ws.receive()): ...", 2, "in the decorators or bases of a class"),
    ("a = (await ws.receive() for _ in b)", 2, "in a generator expression"),
    ("a = (x for x in b if await ws.receive())", 2, "in a generator expression"),
    ("a = (x for _ in b for x in await ws.receive())", 2, "in a generator expression"),
    ("a = (x async for x in ws.iter_text())", 2, "in a generator expression"),
    ("a = [(lambda: i, await ws.receive()) for i in b]", 2, "in a comprehension with a lambda or a generator in it"),
    ("a = {sum(j for j in i): await ws.receive() for i in b}", 2, "in a comprehension with a lambda"),
    ("try:\n    pass\nfinally:\n    class A(await ws.receive()): ...", 5, "in a `finally`"),
]


@pytest.mark.parametrize(("body", "line", "why"), BARRED)
def test_a_receive_where_a_route_can_not_be_continued_is_refused_with_its_line(body: str, line: int, why: str) -> None:
    found = scanned(body)

    (refusal,) = found.refusals
    assert refusal.line == line
    assert refusal.what.startswith(f"the route can't wait for the client {why}")
    assert refusal.remedy == "Receive before it, and keep what came in a local variable"
    assert found.waits == set()


@pytest.mark.parametrize(("body", "line", "why"), [case for case in BARRED if "iter_text" not in case[0]])
def test_what_only_may_wait_there_is_refused_when_it_does(body: str, line: int, why: str) -> None:
    found = scanned(body.replace("ws.receive()", "unknown(ws)"))

    assert found.refusals == []
    assert [maybe.line for maybe in found.maybes] == [line]


def test_the_bodies_of_nested_functions_are_not_looked_into() -> None:
    found = scanned("async def f():\n    await ws.receive()\nb = lambda: ws.receive()")

    assert found == Scan()


# Clocks and tasks.

TIMEOUT = (
    "Import asyncio at the top of the module, and await `asyncio.wait_for(call(), seconds)` itself, or use "
    "`async with asyncio.timeout(seconds)`"
)
WAIT_FOR = "`wait_for` around a receive can only hibernate if it is asyncio's, and awaited where it is called"
OUTSIDE = [
    (
        "a = await clock.wait_for(ws.receive_text(), 5)",
        Refusal(2, WAIT_FOR, TIMEOUT),
    ),
    (
        "a = asyncio.wait_for(ws.receive_text(), 5)",
        Refusal(2, WAIT_FOR, TIMEOUT),
    ),
    (
        "async with clock.timeout(5):\n    await ws.receive_text()",
        Refusal(2, "`timeout` around a receive can only hibernate if it is asyncio's or anyio's", TIMEOUT),
    ),
    (
        "with clock.move_on_after(5):\n    async for a in ws.iter_text():\n        pass",
        Refusal(2, "`move_on_after` around a receive can only hibernate if it is asyncio's or anyio's", TIMEOUT),
    ),
    (
        "async with asyncio.TaskGroup() as group:\n    await ws.receive_text()",
        Refusal(
            2,
            "a task group can't stay open while the route hibernates",
            "Close it before the receive, and open it again after",
        ),
    ),
    (
        "a = asyncio.create_task(\n    ws.receive_text())",
        Refusal(
            3,
            "a task can't wait for the client: only the route itself can hibernate",
            "Receive in the route, and hand what came to the task",
        ),
    ),
    (
        "await asyncio.wait([1, ws.receive_text()])",
        Refusal(
            2,
            "a task can't wait for the client: only the route itself can hibernate",
            "Receive in the route, and hand what came to the task",
        ),
    ),
]


@pytest.mark.parametrize(("body", "refusal"), OUTSIDE)
def test_a_receive_against_a_clock_or_in_a_task_is_refused(body: str, refusal: Refusal) -> None:
    assert scanned(body).refusals == [refusal]


@pytest.mark.parametrize(
    "body",
    [
        "a = await clock.wait_for(own(ws), 5)",
        "async with clock.timeout(5):\n    await own(ws)\nawait ws.receive()",
        "async with locks['a'](), lock:\n    await ws.receive()",
        "a = asyncio.create_task(own(ws))",
        "a = tasks[0](ws.receive_text())",
        "log(ws.receive_text())",
    ],
)
def test_what_does_not_wait_for_the_client_may_have_a_clock_and_be_a_task(body: str) -> None:
    assert scanned(body).refusals == []


@pytest.mark.parametrize(
    "body",
    [
        "await asyncio.wait_for(ws.receive_text(), 5)",
        "await asyncio.wait_for(ws.receive_text(), timeout=5)",
        "async with asyncio.timeout(5):\n    await ws.receive_text()",
        "async with asyncio.timeout_at(5):\n    await ws.receive_text()",
        "with anyio.fail_after(5):\n    await ws.receive_text()",
        "with anyio.move_on_after(5):\n    await ws.receive_text()",
    ],
)
def test_a_route_may_wait_against_a_clock_of_asyncio_or_anyio(body: str) -> None:
    found = scanned(body)

    assert (len(found.waits), found.refusals) == (1, [])


def test_a_sleep_is_a_point_where_the_route_can_be_continued_and_just_sleeps_elsewhere() -> None:
    body = """
        await asyncio.sleep(5)
        try:
            await anyio.sleep(5)
        finally:
            await asyncio.sleep(5)
    """

    assert waits(body) == ["await asyncio.sleep(5)", "await anyio.sleep(5)"]
    assert (scanned(body).refusals, scanned(body).maybes) == ([], [])


@pytest.mark.parametrize("body", ["yield await ws.receive()", "await ws.receive()\nyield 1"])
def test_a_generator_that_waits_for_the_client_is_refused(body: str) -> None:
    (refusal,) = scanned(body).refusals

    assert "async generator can't hibernate half-way" in refusal.what
    assert refusal.remedy == "Receive in a plain `async def`, and return what came"


def test_a_generator_that_does_not_is_not() -> None:
    assert scanned("yield await own(ws)").refusals == []
