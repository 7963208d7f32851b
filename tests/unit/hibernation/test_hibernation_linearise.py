"""First pass: every point comes into a statement of its own, and everything is evaluated once and in its order."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest

from gatesocket.hibernation import linearise as module
from gatesocket.hibernation import meanings
from support.passes import linearised, lines, shown


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests' classes, whose `receive_text` isn't the socket's own, are not there."""
    monkeypatch.setattr(meanings, "_subclasses", lambda cls: iter(()))


def after(body: str, *cells: str, **known: Any) -> str:
    return shown(linearised(body, *cells, **known).statements)


def test_the_example_of_the_module_is_true() -> None:
    assert module.__doc__ is not None
    _, written, becomes, *_ = re.split(r"::\n\n", module.__doc__)
    example = written.partition("\n\n")[0].strip()
    expected = [line.partition("#")[0].strip() for line in becomes.partition("\n\n")[0].splitlines()]

    assert after(example, "total").splitlines() == [line.replace('"', "'") for line in expected]


def test_what_has_no_point_stays_as_it_is() -> None:
    body = lines("""
        for a in b:
            with c as d:
                e += await ws.send_text([f async for f in g()])
    """)

    assert after(body, g=lambda: None) == body


EXPRESSIONS = """
an assignment of a point is a point:
    a = await ws.receive_text()
becomes:
    a = await ws.receive_text()

a point by itself is a point:
    await ws.receive()
becomes:
    await ws.receive()

an operand before a point is pinned, one after isn't:
    a = f() + await ws.receive_text() + g()
becomes:
    .t1 = f()
    .t2 = await ws.receive_text()
    a = .t1 + .t2 + g()

a constant is not pinned:
    a = 'x' + await ws.receive_text()
becomes:
    .t1 = await ws.receive_text()
    a = 'x' + .t1

a local is not pinned, because nothing else can assign it:
    b = 1
    a = b + await ws.receive_text()
becomes:
    b = 1
    .t1 = await ws.receive_text()
    a = b + .t1

a local that a walrus assigns is:
    b = '1'
    a = b + (b := await ws.receive_text())
becomes:
    b = '1'
    .t1 = b
    .t2 = await ws.receive_text()
    b = .t2
    a = .t1 + .t2

a global is:
    a = b + await ws.receive_text()
becomes:
    .t1 = b
    .t2 = await ws.receive_text()
    a = .t1 + .t2

the arguments of a point are ready before it, names and constants as they are:
    a = await ask(ws, f(), 'x', k=g(), n=1)
becomes:
    .t1 = f()
    .t2 = g()
    a = await ask(ws, .t1, 'x', k=.t2, n=1)

unpacked arguments are unpacked before it:
    a = await ask(*f(), **g())
becomes:
    .t1 = [*f()]
    .t2 = {**g()}
    a = await ask(*.t1, **.t2)

what a method is called on is evaluated before its arguments:
    a = await f().ask(g())
becomes:
    .t1 = f()
    .t2 = g()
    a = await .t1.ask(.t2)

so is a function that has to be looked for:
    a = await table[k](1)
becomes:
    .t1 = table[k]
    a = await .t1(1)

a method is called on what was there before a point in its arguments:
    f().put(await ws.receive_text())
becomes:
    .t1 = f()
    .t2 = await ws.receive_text()
    .t1.put(.t2)

and a function that was looked for:
    table[k](await ws.receive_text(), 1)
becomes:
    .t1 = table[k]
    .t2 = await ws.receive_text()
    .t1(.t2, 1)

a point may give the function that is called:
    a = (await ask())(1)
becomes:
    .t1 = await ask()
    a = .t1(1)

or what a method is called on:
    a = (await ask()).strip()
becomes:
    .t1 = await ask()
    a = .t1.strip()

what is awaited need not be a call:
    await future
becomes:
    await future

an awaited expression may itself contain a point:
    await (await ask())
becomes:
    .t1 = await ask()
    await .t1

a subscript:
    a = f()[await ws.receive_text()]
becomes:
    .t1 = f()
    .t2 = await ws.receive_text()
    a = .t1[.t2]

a slice:
    a = b[f():await ws.receive_json()]
becomes:
    .t1 = b
    .t2 = f()
    .t3 = await ws.receive_json()
    a = .t1[.t2:.t3]

a slice before a point:
    a = b[f():g(), await ws.receive_json()]
becomes:
    .t1 = b
    .t3 = f()
    .t4 = g()
    .t5 = await ws.receive_json()
    a = .t1[.t3:.t4, .t5]

a list with a starred item:
    a = [*f(), await ws.receive_text()]
becomes:
    .t1 = [*f()]
    .t2 = await ws.receive_text()
    a = [*.t1, .t2]

a dictionary:
    a = {f(): g(), **h(), k: await ws.receive_text()}
becomes:
    .t1 = f()
    .t2 = g()
    .t3 = {**h()}
    .t4 = k
    .t5 = await ws.receive_text()
    a = {.t1: .t2, **.t3, .t4: .t5}

a text is formatted before the next of its values is evaluated:
    a = f'{b!r:>{c}}{await ws.receive_text()}!'
becomes:
    .t1 = f'{b!r:>{c}}'
    .t2 = await ws.receive_text()
    a = f'{.t1}{.t2}!'

`and` evaluates the rest only if it is needed:
    a = f() and await ws.receive_text()
becomes:
    .t1 = f()
    if .t1:
        .t2 = await ws.receive_text()
        .t1 = .t2
    a = .t1

`or`, too, however many there are:
    a = f() or await ws.receive_text() or g()
becomes:
    .t1 = f()
    if not .t1:
        .t3 = await ws.receive_text()
        .t2 = .t3
        if not .t2:
            .t2 = g()
        .t1 = .t2
    a = .t1

a conditional expression:
    a = await ws.receive_text() if f() else g()
becomes:
    if f():
        .t2 = await ws.receive_text()
        .t1 = .t2
    else:
        .t1 = g()
    a = .t1

a comparison:
    a = f() < await ws.receive_json()
becomes:
    .t1 = f()
    .t2 = await ws.receive_json()
    a = .t1 < .t2

a chain of comparisons evaluates the middle once and the rest if it is needed:
    a = f() < g() < await ws.receive_json()
becomes:
    .t2 = g()
    .t1 = f() < .t2
    if .t1:
        .t3 = await ws.receive_json()
        .t1 = .t2 < .t3
    a = .t1

a list comprehension is a loop, whose variables are its own:
    a = [i + await ws.receive_text() for i in f(i) if i]
becomes:
    .t1 = []
    .i3 = .gatesocket.iter(f(i))
    for .v4 in .i3:
        .v2 = .v4
        if .v2:
            .t5 = await ws.receive_text()
            .t1.append(.v2 + .t5)
    a = .t1

a negated point:
    a = not await ws.receive_text()
becomes:
    .t1 = await ws.receive_text()
    a = not .t1
"""

STATEMENTS = """
an augmented assignment reads first what it changes:
    global total
    total += await ws.receive_json()
becomes:
    global total
    .t1 = total
    .t2 = await ws.receive_json()
    .t1 += .t2
    total = .t1

a local that is the function's own needs no reading:
    total = 0
    total += await ws.receive_json()
becomes:
    total = 0
    .t1 = await ws.receive_json()
    total += .t1

an augmented assignment evaluates the place once:
    f()[g()] += await ws.receive_json()
becomes:
    .t1 = f()
    .t2 = g()
    .t3 = .t1[.t2]
    .t4 = await ws.receive_json()
    .t3 += .t4
    .t1[.t2] = .t3

an attribute, too:
    f().n += await ws.receive_json()
becomes:
    .t1 = f()
    .t2 = .t1.n
    .t3 = await ws.receive_json()
    .t2 += .t3
    .t1.n = .t2

a point in what is assigned to comes after the value:
    a[await ws.receive_text()] = b = f()
becomes:
    .t1 = f()
    .t2 = a
    .t3 = await ws.receive_text()
    .t2[.t3] = .t1
    b = .t1

an annotated assignment:
    a: str = await ws.receive_text()
becomes:
    a = await ws.receive_text()

several targets:
    a, b = await ws.receive_json()
becomes:
    .t1 = await ws.receive_json()
    a, b = .t1

a return:
    return await ws.receive_text()
becomes:
    .t1 = await ws.receive_text()
    return .t1

a raise:
    raise f() from await ws.receive_json()
becomes:
    .t1 = f()
    .t2 = await ws.receive_json()
    raise .t1 from .t2

a deletion:
    del a[await ws.receive_text()], b
becomes:
    .t1 = a
    .t2 = await ws.receive_text()
    del .t1[.t2]
    del b

an assertion is what the language reference says it is:
    assert await ws.receive_text(), 'no'
becomes:
    if __debug__:
        .t1 = await ws.receive_text()
        if not .t1:
            raise .gatesocket.AssertionError('no')

an assertion without a message:
    assert await ws.receive_text()
becomes:
    if __debug__:
        .t1 = await ws.receive_text()
        if not .t1:
            raise .gatesocket.AssertionError

an if:
    if await ws.receive_text():
        a()
    else:
        await ws.receive()
becomes:
    .t1 = await ws.receive_text()
    if .t1:
        a()
    else:
        await ws.receive()

a while that waits in its body:
    while a:
        await ws.receive()
    else:
        b()
becomes:
    while a:
        await ws.receive()
    else:
        b()

a while that waits in its test:
    while (a := await ws.receive_text()):
        b(a)
becomes:
    while True:
        .t1 = await ws.receive_text()
        a = .t1
        if not .t1:
            break
        b(a)

a while that waits in its test and has an else:
    while await ws.receive_text():
        b()
    else:
        c()
becomes:
    while True:
        .e2 = False
        .t1 = await ws.receive_text()
        if not .t1:
            .e2 = True
            break
        b()
    if .e2:
        c()

a for runs over an iterator of its own:
    for a in b:
        await ws.receive()
    else:
        c()
becomes:
    .i1 = .gatesocket.iter(b)
    for .v2 in .i1:
        a = .v2
        await ws.receive()
    else:
        c()

a for that waits only for what it runs over:
    for a in await ws.receive_json():
        b(a)
becomes:
    .t1 = await ws.receive_json()
    for a in .t1:
        b(a)

an async for is a loop around its next step:
    async for a in ws.iter_text():
        b(a)
becomes:
    .i1 = .gatesocket.aiter(ws.iter_text())
    while True:
        try:
            .v2 = await .gatesocket.step(.i1)()
        except .gatesocket.StopAsyncIteration:
            break
        a = .v2
        b(a)

an async for with an else:
    async for a in ws.iter_text():
        b(a)
    else:
        c()
becomes:
    .e3 = False
    .i1 = .gatesocket.aiter(ws.iter_text())
    while True:
        try:
            .v2 = await .gatesocket.step(.i1)()
        except .gatesocket.StopAsyncIteration:
            .e3 = True
            break
        a = .v2
        b(a)
    if .e3:
        c()

an async for that doesn't wait itself, but in its body:
    async for a in known():
        await ws.receive()
becomes:
    .i1 = .gatesocket.aiter(known())
    while True:
        try:
            .v2 = await .gatesocket.step(.i1)()
        except .gatesocket.StopAsyncIteration:
            break
        a = .v2
        await ws.receive()

a with has one manager and one name:
    with a as b, c() as (d, e), f:
        await ws.receive()
becomes:
    with a as .w1:
        b = .w1
        with c() as .w2:
            d, e = .w2
            with f as .w3:
                await ws.receive()

a with that waits only for its manager:
    with await ask() as a, b:
        c()
becomes:
    .t1 = await ask()
    with .t1 as a:
        with b:
            c()

a handler that waits has a name for its exception:
    try:
        a()
    except ValueError:
        await ws.receive()
    except OSError:
        b()
    finally:
        c()
becomes:
    try:
        a()
    except ValueError as .x1:
        await ws.receive()
    except OSError:
        b()
    finally:
        c()

a handler's own name goes away at its end:
    try:
        a()
    except ValueError as e:
        await ws.receive()
becomes:
    try:
        a()
    except ValueError as .x1:
        e = .x1
        try:
            await ws.receive()
        finally:
            e = None
            del e

a bare handler catches every exception:
    try:
        a()
    except:
        await ws.receive()
becomes:
    try:
        a()
    except .gatesocket.BaseException as .x1:
        await ws.receive()

a match chooses first and runs then:
    match a:
        case [b] if b:
            await ws.receive()
        case _:
            c()
becomes:
    .c1 = 0
    match a:
        case [b] if b:
            .c1 = 1
        case _:
            .c1 = 2
    if .c1 == 1:
        await ws.receive()
    elif .c1 == 2:
        c()

a wait with a limit:
    await asyncio.wait_for(ws.receive_text(), 5)
becomes:
    async with .gatesocket.limit(5) as .w2:
        .t1 = await ws.receive_text()
    .t1

a wait with a limit, whose operands are evaluated before it:
    a = b() + await asyncio.wait_for(ask(c(), d), timeout=e() + 1)
becomes:
    .t1 = b()
    .t2 = c()
    .t3 = e() + 1
    async with .gatesocket.limit(.t3) as .w5:
        .t4 = await ask(.t2, d)
    a = .t1 + .t4

a match that waits only for its subject:
    match await ws.receive_text():
        case 'a':
            b()
becomes:
    .t1 = await ws.receive_text()
    match .t1:
        case 'a':
            b()
"""


def cases(text: str) -> Iterator[Any]:
    """The cases of a table: what is written, and what it becomes."""
    for case in text.strip().split("\n\n"):
        name, written, expected = re.fullmatch(r"(.+?):\n(.+)\nbecomes:\n(.+)", case, re.DOTALL).groups()  # type: ignore[union-attr]
        yield pytest.param(lines(written), lines(expected), id=name)


@pytest.mark.parametrize(("written", "expected"), [*cases(EXPRESSIONS), *cases(STATEMENTS)])
def test_a_point_comes_into_a_statement_of_its_own(written: str, expected: str) -> None:
    async def known() -> Any: ...

    assert after(written, known=known, asyncio=asyncio) == expected


def test_a_variable_that_may_be_set_meanwhile_is_read_before_as_the_function_that_is_called() -> None:
    call = "total = f()\ntotal.sum.add(await ws.receive_text())"

    assert after(call, "total") == lines("""
        total = f()
        .t1 = total.sum
        .t2 = await ws.receive_text()
        .t1.add(.t2)
    """)
    assert after(call) == lines("""
        total = f()
        .t1 = await ws.receive_text()
        total.sum.add(.t1)
    """)
    assert after("total = f()\ntotal.add((total := await ws.receive_text()))") == lines("""
        total = f()
        .t1 = total
        .t2 = await ws.receive_text()
        total = .t2
        .t1.add(.t2)
    """)
    assert after("g.add(await ws.receive_text())") == ".t1 = await ws.receive_text()\ng.add(.t1)"


def test_functions_and_classes_in_the_body_are_not_looked_into() -> None:
    body = lines("""
        async def helper():
            return 1 + await ws.receive_text()

        class Helper:
            x = [1]
        a = lambda: helper()
        b = await ws.receive_text()
    """)

    assert after(body) == body


@pytest.mark.parametrize("inner", ["lambda: i", "sum(i for i in j)"])
def test_a_comprehension_with_a_point_and_a_scope_of_its_own_in_it_is_refused(inner: str) -> None:
    body = linearised(f"a = 1\nb = [({inner}, await ws.receive_text()) for i in c]")

    (refusal,) = body.refusals
    assert refusal.line == 3  # the `def` is in the first
    assert refusal.what == "the route can't wait for the client in a comprehension with a lambda or a generator in it"
    assert refusal.remedy == "Receive before it, and keep what came in a local variable"


def test_points_are_numbered_in_their_order_and_know_their_source() -> None:
    body = linearised("a = await ask(ws, 1)\nasync for b in ws.iter_text():\n    await ws.receive_text()")

    assert [(point.number, point.text, point.call) for point in body.points] == [
        (1, "ask(ws, 1)", True),
        (2, "ws.iter_text()", False),
        (3, "ws.receive_text()", False),
    ]


def test_each_statement_has_the_line_that_it_came_from() -> None:
    body = linearised("a = (f() +\n    await ws.receive_text())\nb = 1")

    assert [(shown([node]), node.lineno) for node in body.statements] == [
        (".t1 = f()", 2),
        (".t2 = await ws.receive_text()", 3),
        ("a = .t1 + .t2", 2),
        ("b = 1", 4),
    ]


def test_a_with_notes_the_local_that_it_gives_its_value_to() -> None:
    body = linearised("with a as b, c as d.e, f:\n    await ws.receive()")

    assert body.entered == {1: "b"}
