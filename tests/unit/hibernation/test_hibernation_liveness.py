"""Second pass: which locals are still needed at each point."""

import pytest

from gatesocket.hibernation import liveness as module
from gatesocket.hibernation.liveness import liveness
from gatesocket.hibernation.units import Live
from support.passes import linearised

GLOBAL = {
    "render",
    "announce",
    "set",
    "ask",
    "f",
    "g",
    "manager",
    "open",
    "int",
    "WebSocket",
    "ValueError",
    ".gatesocket",
}


async def announce() -> None:
    """Wait for nobody."""


def live(body: str) -> list[Live]:
    """What is live at each point of *body*, but for what is global."""
    found = liveness(linearised(body, announce=announce).statements)
    return [Live(found[number].after - GLOBAL, found[number].again - GLOBAL) for number in sorted(found)]


def again(body: str) -> list[set[str]]:
    return [set(each.again) for each in live(body)]


def test_the_example_of_the_module_is_true() -> None:
    assert module.__doc__ is not None
    example = module.__doc__.split("::\n")[1].split("\n\nThe analysis")[0]
    body = example.partition("\n    async def chat(ws, room):\n")[2]

    assert again(body) == [{"ws", "room", "seen"}]


def test_what_only_the_call_reads_is_needed_to_make_it_again_and_not_to_go_on() -> None:
    (point,) = live("a = f()\nb = f()\nc = await ask(a)\ng(b, c)")

    assert point == Live(after=frozenset({"b"}), again=frozenset({"a", "b"}))


# (a body whose only point is its receive, the locals that are needed there)
CASES = {
    "what is assigned before it is read is dead": ("a = 1\nawait ws.receive()\na = 2\ng(a)", {"ws"}),
    "what an annotated assignment sets is dead": ("await ws.receive()\na: int = 2\ng(a)", {"ws"}),
    "an annotation alone sets nothing": ("await ws.receive()\na: int\ng(a)", {"ws", "a"}),
    "what is deleted has to be there": ("await ws.receive()\ndel a", {"ws", "a"}),
    "an augmented assignment reads": ("await ws.receive()\na += 1", {"ws", "a"}),
    "only a name is set by an assignment, not what is assigned into": (
        "await ws.receive()\na[b].c = 1",
        {"ws", "a", "b"},
    ),
    "unpacking sets all of its names": ("await ws.receive()\n(a, [b, *c]) = f()\ng(a, b, c)", {"ws"}),
    "a definition sets its name": (
        "await ws.receive()\ndef a(): ...\nasync def b(): ...\nclass c: ...\ng(a, b, c)",
        {"ws"},
    ),
    "an import sets its name": ("await ws.receive()\nimport a.x, b as c\nfrom d import e\ng(a, c, e, b)", {"ws", "b"}),
    "what a nested function reads is needed": (
        "await ws.receive()\ndef h(x, y=d):\n    z = a\n    return x, z, b",
        {"ws", "a", "b", "d"},
    ),
    "what it assigns as `nonlocal` is needed, too": (
        "await ws.receive()\n@e\nasync def h():\n    nonlocal a\n    a = 1",
        {"ws", "a", "e"},
    ),
    "a lambda reads all but its parameters": ("await ws.receive()\ng(lambda x, *y: x + y + a)", {"ws", "a"}),
    "a comprehension reads all but its variables": (
        "await ws.receive()\ng([x + a for x in b if c], {y: y for y in x}, {z for z in z}, (w for w in v))",
        {"ws", "a", "b", "c", "x", "z", "v"},
    ),
    "either branch of an `if` may be taken": (
        "await ws.receive()\nif a:\n    g(b)\nelse:\n    g(c)\ng(d)",
        {"ws", "a", "b", "c", "d"},
    ),
    "a loop may go on": ("while a:\n    await ws.receive()\n    g(b)\n    b = 1\ng(c)", {"ws", "a", "b", "c"}),
    "or be left": (
        "while True:\n    await ws.receive()\n    if a:\n        break\n    return\nelse:\n    g(b)\ng(c)",
        {"ws", "a", "c"},
    ),
    "or be continued": (
        "while a:\n    g(b)\n    b = 1\n    await ws.receive()\n    continue\n    g(c)",
        {"ws", "a", "b"},
    ),
    "its `else` may run": ("while a:\n    await ws.receive()\nelse:\n    g(b)", {"ws", "a", "b"}),
    "a `for` keeps its iterator": ("for a in f():\n    await ws.receive()\n    g(b)", {"ws", ".i1", "b"}),
    "and the item that it has, if that is read": (
        "for a in f():\n    await ws.receive()\n    g(a)",
        {"ws", ".i1", "a"},
    ),
    "after a `return` nothing is needed": ("await ws.receive()\nreturn a\ng(b)", {"ws", "a"}),
    "after a `raise` nothing but the handler's": ("await ws.receive()\nraise a from b\ng(c)", {"ws", "a", "b"}),
    "what a handler reads is needed throughout the `try`": (
        "try:\n    await ws.receive()\n    a = 1\nexcept c as e:\n    g(a, e)\nelse:\n    g(b)",
        {"ws", "a", "b", "c"},
    ),
    "a `finally` runs however the `try` is left": (
        "try:\n    await ws.receive()\n    return\nfinally:\n    g(a)\ng(b)",
        {"ws", "a", "b"},
    ),
    "and when a loop is left through it": (
        "while True:\n    try:\n        await ws.receive()\n        break\n    finally:\n        g(a)\ng(b)",
        {"ws", "a", "b"},
    ),
    "an exception is raised again to come back into its handler": (
        "try:\n    g(a)\nexcept c:\n    await ws.receive()",
        {"ws", "c", ".x1"},
    ),
    "entering a `with` again needs its manager": (
        "with manager(a) as b, c:\n    await ws.receive()\n    g(b)",
        {"ws", "a", "b", "c"},
    ),
    "a `with` may swallow what happens in it": (
        "with c:\n    await ws.receive()\n    d = 1\ng(d)",
        {"ws", "c", "d"},
    ),
    "a `with` without a point reads its manager and sets its name": (
        "await ws.receive()\nwith a as b, c:\n    g(b)",
        {"ws", "a", "c"},
    ),
    "a `for` and an `async for` without a point set their names": (
        "await ws.receive()\nfor a in b:\n    g(a)\nasync for c, d in e:\n    g(c, d)",
        {"ws", "b", "e"},
    ),
    "so does a `match`": (
        "await ws.receive()\nmatch a:\n    case [b, *c] | {1: b, **c} if d:\n        g(b, c)\n    case e.f: h()",
        {"ws", "a", "d", "e", "h"},
    ),
    "a `match` may choose nothing": (
        "await ws.receive()\nmatch a:\n    case 1:\n        b = 1\ng(b)",
        {"ws", "a", "b"},
    ),
    "`except*` handles, too": (
        "await ws.receive()\ntry:\n    g(a)\nexcept* b as c:\n    g(c, d)",
        {"ws", "a", "b", "d"},
    ),
}


@pytest.mark.parametrize(("body", "needed"), CASES.values(), ids=CASES)
def test_what_is_needed_after_a_receive(body: str, needed: set[str]) -> None:
    assert again(body)[0] == needed


def test_each_point_needs_its_own() -> None:
    body = """
        a = await ws.receive_text()
        b = await ws.receive_text()
        g(a)
        await ws.receive_text()
        g(b)
    """

    assert again(body) == [{"ws"}, {"ws", "a"}, {"ws", "b"}]


def test_a_point_in_nested_loops_needs_both_iterators_and_nothing_that_is_set_before_it_is_read() -> None:
    body = """
        for a in f():
            g(b)
            for c in f():
                await ws.receive_text()
            b = 1
    """

    assert again(body) == [{"ws", ".i1", ".i3"}]
