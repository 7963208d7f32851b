"""A receive in the middle of an expression: what stands before it is evaluated before it, and once."""

from fastapi import WebSocket
from support.lives import Endpoints, fx

endpoint = Endpoints()
app = endpoint.app
LEVEL = 5


def noted(value):
    """Note that *value* was evaluated."""
    fx("evaluated", value)
    return value


class Box:
    def __init__(self, value):
        self.value = value
        self.items = {}

    def __repr__(self):
        return f"Box({self.value})"

    def add(self, value):
        fx("add", value)
        self.value += value
        return self


@endpoint("a", "b", "c", "d")
async def arguments(ws: WebSocket):
    await ws.accept()
    fx(noted(1), await ws.receive_text(), noted(2), await ws.receive_text())
    print_like = fx
    print_like(*[noted(3), await ws.receive_text()], *(await ws.receive_text(),))


@endpoint("a", "b")
async def keywords(ws: WebSocket):
    await ws.accept()
    fx(sorted(dict(x=noted(1), **{"y": noted(2)}, z=await ws.receive_text(), w=noted(3)).items()))
    fx(dict([(noted("k"), await ws.receive_text())]))


@endpoint("1", "2", "3", "4")
async def arithmetic(ws: WebSocket):
    await ws.accept()
    fx(noted(10) + int(await ws.receive_text()) * noted(3))
    fx(-(int(await ws.receive_text()) ** noted(2)))
    fx((noted(7) // int(await ws.receive_text())) % noted(2))
    fx(LEVEL + int(await ws.receive_text()))


@endpoint("a", "b", "", "d", "e")
async def and_or(ws: WebSocket):
    await ws.accept()
    fx(noted("") or await ws.receive_text())
    fx(noted("x") and await ws.receive_text())
    fx(noted("") and await ws.receive_text() or noted("z"))
    fx(await ws.receive_text() or await ws.receive_text() or noted("never"))
    fx(not await ws.receive_text())


@endpoint("b", "yes", "c")
async def conditional(ws: WebSocket):
    await ws.accept()
    fx(await ws.receive_text() if noted(True) else noted("never"))
    fx(noted("one") if await ws.receive_text() == "yes" else noted("two"))
    fx(noted("x") if noted(False) else await ws.receive_text())


@endpoint("3", "5", "1")
async def comparisons(ws: WebSocket):
    await ws.accept()
    fx(noted(1) < int(await ws.receive_text()) < noted(4))
    fx(noted(1) < int(await ws.receive_text()) < noted(4) < noted(9))
    fx(noted(2) < int(await ws.receive_text()) < noted(4) < noted(9))


@endpoint("a", "b", "c", "d")
async def displays(ws: WebSocket):
    await ws.accept()
    fx([noted(1), await ws.receive_text(), *noted([2])])
    fx((noted(1), await ws.receive_text()))
    fx(sorted({noted("z"), await ws.receive_text()}))
    fx({noted("k"): noted(1), await ws.receive_text(): noted(2), **{"m": noted(3)}})


@endpoint("a", "3.14159", "c")
async def f_strings(ws: WebSocket):
    await ws.accept()
    fx(f"{noted(1)!r:>3}|{await ws.receive_text()!r}|{noted(2)}")
    fx(f"{float(await ws.receive_text()):.{noted(2)}f}")
    fx(f"{await ws.receive_text():{noted('>5')}}")


@endpoint("1", "k", "0")
async def subscripts(ws: WebSocket):
    await ws.accept()
    items = ["x", "y", "z"]
    fx(noted(items)[int(await ws.receive_text())])
    table = {}
    table[noted("a") + await ws.receive_text()] = noted(1)
    fx(table)
    fx(items[int(await ws.receive_text()) : noted(2)])


@endpoint("k", "1", "v")
async def assignment_targets(ws: WebSocket):
    await ws.accept()
    box = Box(1)
    box.items[await ws.receive_text()] = noted("value")
    box.items[noted("x")], second = int(await ws.receive_text()), noted(3)
    fx(box.items, second)
    a = b = await ws.receive_text()
    fx(a, b)


@endpoint("1", "2", "3", "4")
async def augmented(ws: WebSocket):
    await ws.accept()
    total = 10
    total += int(await ws.receive_text())
    box = Box(5)
    box.value += int(await ws.receive_text())
    box.items["n"] = 7
    noted(box).items[noted("n")] -= int(await ws.receive_text())
    fx(total, box.value, box.items)
    values = [1]
    alias = values
    values += [int(await ws.receive_text())]
    fx(alias, alias is values)


@endpoint("a", "b", "c")
async def walrus(ws: WebSocket):
    await ws.accept()
    if (text := await ws.receive_text()) and len(text) == 1:
        fx(text)
    fx(text, (text := await ws.receive_text()), text)
    fx([last := await ws.receive_text(), last + "!"])


@endpoint("1", "2")
async def method_chains(ws: WebSocket):
    await ws.accept()
    box = Box(1)
    fx(box.add(noted(2)).add(int(await ws.receive_text())).add(int(await ws.receive_text())).value)


@endpoint("a b c", "x,y")
async def attribute_of_the_text(ws: WebSocket):
    await ws.accept()
    first, *rest = (await ws.receive_text()).split()
    fx(first, rest)
    fx([part.upper() for part in (await ws.receive_text()).split(",")])


@endpoint("a", "b", "c", "d")
async def comprehensions(ws: WebSocket):
    await ws.accept()
    n = "outer"
    fx([f"{n}{await ws.receive_text()}" for n in range(3) if n != 1])
    fx(n)
    fx({key: await ws.receive_text() for key in "x"})
    fx({await ws.receive_text() for _ in range(1)})


@endpoint("a", "b", "c", "d")
async def nested_comprehensions(ws: WebSocket):
    await ws.accept()
    fx([[await ws.receive_text() for _ in range(2)] for _ in range(2)])


@endpoint("a", "b", "", "d")
async def async_comprehension(ws: WebSocket):
    await ws.accept()
    fx([text.upper() async for text in ws.iter_text() if text])


@endpoint("a,b")
async def generator_over_a_message(ws: WebSocket):
    await ws.accept()
    fx(sum(len(part) for part in (await ws.receive_text()).split(",")))


@endpoint("a", "b")
async def returned_and_raised(ws: WebSocket):
    await ws.accept()
    if await ws.receive_text() == "a":
        raise ValueError(f"{noted(1)}: {await ws.receive_text()}")


@endpoint("a", "b")
async def deleted(ws: WebSocket):
    await ws.accept()
    table = {"a": 1, "b": 2, "c": 3}
    del table[await ws.receive_text()], table[noted("c")]
    fx(table, await ws.receive_text())


@endpoint("a", "b")
async def annotated(ws: WebSocket):
    await ws.accept()
    text: str = await ws.receive_text()
    size: int = len(await ws.receive_text()) + noted(1)
    fx(text, size)


@endpoint("a", "b")
async def several_on_one_line(ws: WebSocket):
    await ws.accept(); fx(await ws.receive_text()); fx(await ws.receive_text())  # fmt: skip


@endpoint("a", "b")
async def called_is_what_it_was_before_the_await(websocket: WebSocket):
    await websocket.accept()
    names = ["first"]
    before = names

    async def renamed():
        nonlocal names
        names = ["second"]
        return await websocket.receive_text()

    names.append(await renamed())
    fx(names, before)
    before.extend([before := [], await websocket.receive_text()])
    fx(names, before)
