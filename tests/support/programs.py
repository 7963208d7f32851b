"""Random endpoints: every statement that can hold a receive, in any nesting.

What a program does is visible in its side effects. It ends: its loops are bounded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

__all__ = ["Program", "programs"]

HEAD = """\
from contextlib import nullcontext, suppress

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from support.lives import fx


def noted(value):
    fx("noted", value)
    return value


class Box:
    def __init__(self, value):
        self.value = value
        self.items = {"a": 1, "b": 2}

    async def ask(self, ws, extra=0):
        fx("asked", self.value)
        self.value += number(await ws.receive_text()) + extra
        return self.value


def number(text):
    return int(text) if text.isdigit() else len(text)


async def helper(ws, depth):
    fx("helper", depth)
    try:
        got = await ws.receive_text()
        if depth and got != "x":
            return got + await helper(ws, depth - 1)
        return got
    finally:
        fx("helped", depth)

"""
TAIL = """
app = Starlette(routes=[WebSocketRoute("/", endpoint)])
"""
NAMES = ("a", "b", "c")
FRAMES = ("0", "1", "2", "3", "x", "yz", "é")


@dataclass(frozen=True)
class Program:
    """A module with one endpoint, and what its client sends."""

    source: str
    frames: tuple[str, ...]

    def __repr__(self) -> str:
        return f"{self.source}\n# {self.frames}"


class Writer:
    """Draws a program, line by line."""

    def __init__(self, choose: Callable[[Sequence[str]], str]) -> None:
        self._choose = choose
        self.lines: list[str] = []
        self.serial = 0
        self.budget = 14
        self.in_loop = 0

    def pick(self, *options: str) -> str:
        return self._choose(options)

    def flip(self) -> bool:
        return self.pick("no", "yes") == "yes"

    def line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def fresh(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}{self.serial}"

    # Expressions are numbers, unless their name says otherwise.

    def receive(self) -> str:
        return self.pick(
            "number(await ws.receive_text())",
            "len(await helper(ws, 0))",
            "len(await helper(ws, 1))",
            "await box.ask(ws)",
            "await box.ask(ws, noted(2))",
            "await local(ws)",
        )

    def expression(self, depth: int = 2) -> str:
        if depth == 0:
            return self.pick(*NAMES, "1", "2", "box.value", "noted(3)")
        inner = self.expression(depth - 1)
        return self.pick(
            self.receive(),
            inner,
            f"({self.expression(depth - 1)} + {self.receive()})",
            f"({inner} * {self.expression(depth - 1)})",
            f"({inner} if {self.test(depth - 1)} else {self.expression(depth - 1)})",
            f"({inner} and {self.receive()})",
            f"({inner} or {self.expression(depth - 1)})",
            f"len([{inner}, *[{self.expression(depth - 1)}]])",
            f"sum(({inner}, {self.receive()}))",
            f"len(f'{{{self.expression(0)}}}{{{self.receive()}:>3}}')",
            f"(walrus := {inner})",
            f"sum([{self.receive()} + q for q in range(2)])",
            f"{{'k': {inner}, **box.items}}['k']",
            f"max(noted({inner}), {self.expression(depth - 1)}, key=lambda v: (v % 3, a))",
        )

    def test(self, depth: int = 1) -> str:
        inner = self.expression(depth)
        return self.pick(
            f"{inner} % 2",
            f"{inner} > {self.expression(0)}",
            f"0 < {inner} < 9",
            f"not {inner}",
            f"{inner} % 2 and {self.expression(0)} > 1",
        )

    # Statements.

    def block(self, depth: int, *, loop: bool | None = None) -> None:
        before, self.in_loop = self.in_loop, self.in_loop if loop is None else int(loop)
        size = 1 if self.budget <= 0 else int(self.pick("1", "1", "2", "3"))
        for _ in range(size):
            self.statement(depth)
        self.in_loop = before

    def statement(self, depth: int) -> None:
        self.budget -= 1
        simple = ["effect", "assign", "augment", "item", "unpack"]
        compound = ["if_", "while_", "for_", "try_", "with_", "match_", "iterate"]
        leaving = ["return_", "raise_", *(["leave_loop"] if self.in_loop else [])]
        kinds = simple * 2 + ([*compound, *compound, *leaving] if depth < 5 and self.budget > 0 else [])
        getattr(self, self.pick(*kinds))(depth)

    def effect(self, depth: int) -> None:
        self.line(depth, f"fx({self.expression()}, {self.pick(*NAMES)})")

    def assign(self, depth: int) -> None:
        self.line(depth, f"{self.pick(*NAMES)} = {self.expression()}")

    def augment(self, depth: int) -> None:
        target = self.pick(*NAMES, "box.value", "box.items[noted('a')]")
        self.line(depth, f"{target} {self.pick('+=', '-=', '*=')} {self.expression()}")

    def item(self, depth: int) -> None:
        self.line(depth, f"box.items[{self.expression(1)} % 3] = {self.expression(1)}")

    def unpack(self, depth: int) -> None:
        self.line(depth, f"a, (b, *rest) = {self.expression(1)}, [{self.expression(1)}, c]")

    def if_(self, depth: int) -> None:
        self.line(depth, f"if {self.test()}:")
        self.block(depth + 1)
        if self.flip():
            self.line(depth, f"elif {self.test()}:")
            self.block(depth + 1)
        if self.flip():
            self.line(depth, "else:")
            self.block(depth + 1)

    def while_(self, depth: int) -> None:
        count = self.fresh("n")
        self.line(depth, f"{count} = 0")
        self.line(depth, f"while ({count} := {count} + 1) < 4 and {self.test()}:")
        self.block(depth + 1, loop=True)
        self.otherwise(depth)

    def for_(self, depth: int) -> None:
        over = self.pick("range(3)", "[a, 5, b]", "(1, 2)", "dict(x=1, y=2).values()", f"[{self.expression(1)}, 7]")
        if self.flip():
            self.line(depth, f"for i, a in enumerate({over}):")
        else:
            self.line(depth, f"for {self.pick('a', 'b')} in {over}:")
        self.block(depth + 1, loop=True)
        self.otherwise(depth)

    def iterate(self, depth: int) -> None:
        text = self.fresh("text")
        self.line(depth, f"async for {text} in ws.iter_text():")
        self.line(depth + 1, f"fx('iterated', {text})")
        self.line(depth + 1, f"if {text} == '0':")
        self.line(depth + 2, "break")
        self.block(depth + 1, loop=True)
        self.otherwise(depth)

    def otherwise(self, depth: int) -> None:
        if self.flip():
            self.line(depth, "else:")
            self.block(depth + 1)

    def try_(self, depth: int) -> None:
        self.line(depth, "try:")
        self.block(depth + 1)
        handlers = int(self.pick("0", "1", "2"))
        for kind in ("(ValueError, ZeroDivisionError)", "Exception")[:handlers]:
            name = self.fresh("error") if self.flip() else None
            self.line(depth, f"except {kind}{f' as {name}' if name else ''}:")
            if name:
                self.line(depth + 1, f"fx(type({name}).__name__, str({name}))")
            self.block(depth + 1)
            if self.flip():
                self.line(depth + 1, "raise")
        if handlers:
            self.otherwise(depth)
        if not handlers or self.flip():
            self.line(depth, "finally:")
            self.line(depth + 1, f"fx('finally', {self.pick(*NAMES)})")

    def with_(self, depth: int) -> None:
        self.line(depth, self.pick("with suppress(ValueError):", "with nullcontext([a]) as held:"))
        self.block(depth + 1)

    def match_(self, depth: int) -> None:
        self.line(depth, f"match {self.expression(1)}:")
        self.line(depth + 1, "case 0 | 1:")
        self.block(depth + 2)
        self.line(depth + 1, "case int(c) if c % 2:")
        self.block(depth + 2)
        if self.flip():
            self.line(depth + 1, "case b:")
            self.block(depth + 2)

    def return_(self, depth: int) -> None:
        self.line(depth, f"return fx({self.expression(1)})")

    def raise_(self, depth: int) -> None:
        self.line(depth, self.pick(f"raise ValueError({self.expression(1)})", f"c = {self.expression(1)} // (a % 2)"))

    def leave_loop(self, depth: int) -> None:
        self.line(depth, self.pick("break", "continue"))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Draw a module with an endpoint, and the texts that its client sends."""
    source = write(lambda options: draw(st.sampled_from(options)))
    return Program(source, tuple(draw(st.lists(st.sampled_from(FRAMES), max_size=12))))


def write(choose: Callable[[Sequence[str]], str]) -> str:
    """Write a module with an endpoint."""
    writer = Writer(choose)
    for line in (
        "async def endpoint(ws):",
        "    await ws.accept()",
        "    a, b, c, rest, walrus, held, i = 1, 2, 3, [], 0, [], 0",
        "    box = Box(1)",
        "",
        "    async def local(ws):",
        "        nonlocal c",
        "        c += 1",
        "        return number(await ws.receive_text()) + a",
        "",
    ):
        writer.line(0, line)
    for _ in range(int(writer.pick("1", "2", "3", "4"))):
        writer.statement(1)
    writer.line(1, "fx('end', a, b, c, rest, walrus, held, i, box.value, box.items)")
    return HEAD + "\n".join(writer.lines) + "\n" + TAIL
