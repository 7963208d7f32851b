"""Loops around a receive, as people write them."""

import itertools

from fastapi import WebSocket, WebSocketDisconnect, WebSocketException
from pydantic import BaseModel
from support.lives import Endpoints, fx

from gatesocket.messages import messages

endpoint = Endpoints()
app = endpoint.app


@endpoint("a", "b")
async def echo(websocket: WebSocket):
    await websocket.accept()
    while True:
        data = await websocket.receive_text()
        await websocket.send_text(f"Message text was: {data}")


@endpoint("a", "b", 1000)
async def echo_until_disconnect(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            data = await websocket.receive_text()
            await websocket.send_text(data)
    except WebSocketDisconnect as error:
        fx("left", error.code)


@endpoint("a", "b", "c")
async def counter(websocket: WebSocket):
    await websocket.accept()
    count = 0
    try:
        while True:
            await websocket.receive_text()
            count += 1
            await websocket.send_text(str(count))
    except WebSocketDisconnect:
        fx("total", count)


@endpoint("a", "quit", "never")
async def while_condition(websocket: WebSocket):
    await websocket.accept()
    text = ""
    while text != "quit":
        text = await websocket.receive_text()
        await websocket.send_text(text.upper())
    else:
        await websocket.send_text("else")
    await websocket.close()


@endpoint("a", "b", "quit")
async def walrus_condition(ws: WebSocket):
    await ws.accept()
    seen = []
    while (text := await ws.receive_text()) != "quit":
        seen.append(text)
    else:
        fx("else", seen)
    fx("after", text)


@endpoint("a", "stop", "b", "quit")
async def walrus_condition_broken(ws: WebSocket):
    await ws.accept()
    while (text := await ws.receive_text()) != "quit":
        if text == "stop":
            break
    else:
        fx("not reached")
    fx(await ws.receive_text())


@endpoint("1", "x", "2", "done")
async def continue_on_error(websocket: WebSocket):
    await websocket.accept()
    total = 0
    while True:
        text = await websocket.receive_text()
        if text == "done":
            break
        try:
            total += int(text)
        except ValueError as error:
            await websocket.send_json({"error": str(error)})
            continue
        await websocket.send_json({"total": total})
    await websocket.close(4000)


@endpoint("ann", "7", "blue")
async def for_over_questions(websocket: WebSocket):
    await websocket.accept()
    answers = {}
    for question in ["name", "number", "colour"]:
        await websocket.send_text(f"{question}?")
        answers[question] = await websocket.receive_text()
    await websocket.send_json(answers)


@endpoint("a", "b", "c", "d")
async def for_over_range(websocket: WebSocket):
    await websocket.accept()
    for i in range(1, 10, 3):
        text = await websocket.receive_text()
        await websocket.send_text(f"{i}{text}")
    else:
        await websocket.send_text("that was all")
    fx(await websocket.receive_text())


@endpoint("a", "b", "c")
async def for_over_enumerate(websocket: WebSocket):
    await websocket.accept()
    for number, (key, value) in enumerate({"x": 1, "y": 2, "z": 3}.items(), start=5):
        await websocket.send_text(f"{number} {key} {value} {await websocket.receive_text()}")


@endpoint("a", "b")
async def for_over_zip(websocket: WebSocket):
    await websocket.accept()
    for left, right in zip("ab", (1, 2), strict=True):
        fx(left, right, await websocket.receive_text())


@endpoint("a", "b", "c", "d")
async def for_over_nested(websocket: WebSocket):
    await websocket.accept()
    for x in (1, 2):
        for y in [10, 20]:
            await websocket.send_text(f"{x + y}{await websocket.receive_text()}")
        fx("inner done", x)


@endpoint("a", "b", "c")
async def for_over_reversed(websocket: WebSocket):
    await websocket.accept()
    for x in reversed([1, 2, 3]):
        fx(x, await websocket.receive_text())


@endpoint("a", "b", "c")
async def for_over_growing_list(websocket: WebSocket):
    await websocket.accept()
    todo = ["start"]
    for item in todo:
        text = await websocket.receive_text()
        todo.append(text)
        fx(item, list(todo))


@endpoint("a", "b", "c")
async def for_over_count(websocket: WebSocket):
    await websocket.accept()
    for n in itertools.count(3):
        fx(n, await websocket.receive_text())


@endpoint("a", "b")
async def for_over_set(websocket: WebSocket):
    await websocket.accept()
    for n in {1, 2}:
        fx(n, await websocket.receive_text())


@endpoint("a", "b", "c", "d")
async def for_with_break_and_else(websocket: WebSocket):
    await websocket.accept()
    for attempt in range(2):
        if await websocket.receive_text() == "secret":
            break
    else:
        await websocket.send_text("locked")
        fx(await websocket.receive_text())
    fx("attempt", attempt)
    fx(await websocket.receive_text())


@endpoint("x", "secret", "c")
async def for_with_break_taken(websocket: WebSocket):
    await websocket.accept()
    for attempt in range(3):
        if await websocket.receive_text() == "secret":
            await websocket.send_text("welcome")
            break
        await websocket.send_text("again")
    else:
        await websocket.send_text("locked")
    fx(attempt, await websocket.receive_text())


@endpoint("a", "b")
async def receive_in_for_else(websocket: WebSocket):
    await websocket.accept()
    for n in range(2):
        fx(n)
    else:
        fx(n, await websocket.receive_text())
    fx(n, await websocket.receive_text())


@endpoint("a", "b", "c")
async def receive_in_while_else(websocket: WebSocket):
    await websocket.accept()
    n = 1
    while n:
        n -= 1
        fx(await websocket.receive_text())
    else:
        fx("else", await websocket.receive_text())
    fx("after", await websocket.receive_text())


@endpoint("a", "b", "c")
async def iter_text(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text * 2)
    fx("client left")


@endpoint('{"a": 1}', "[2]")
async def iter_json(websocket: WebSocket):
    await websocket.accept()
    total = []
    async for data in websocket.iter_json():
        total.append(data)
        await websocket.send_json(total)
    fx(total)


@endpoint(b"ab", b"c")
async def iter_bytes(websocket: WebSocket):
    await websocket.accept()
    size = 0
    async for chunk in websocket.iter_bytes():
        size += len(chunk)
    fx(size)


@endpoint("a", "sub", "b", "c", "d")
async def iter_text_with_receive_inside(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        if text == "sub":
            fx("sub", await websocket.receive_text())
            continue
        fx(text)
    else:
        fx("else")


@endpoint("a", "stop", "b")
async def iter_text_broken(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        if text == "stop":
            break
    else:
        fx("not reached")
    fx("then", await websocket.receive_text())


@endpoint("2", "a", "b", "1", "c", "0")
async def nested_while(websocket: WebSocket):
    await websocket.accept()
    while n := int(await websocket.receive_text()):
        batch = []
        while len(batch) < n:
            batch.append(await websocket.receive_text())
        fx(n, batch)
    fx("end")


@endpoint("a", "b", "c")
async def three_in_a_row(websocket: WebSocket):
    await websocket.accept()
    first = await websocket.receive_text()
    second = await websocket.receive_text()
    third = await websocket.receive_text()
    await websocket.send_text(third + second + first)


@endpoint('{"op": "add", "n": 2}', '{"op": "get"}', '{"op": "bye"}')
async def commands_by_if(websocket: WebSocket):
    await websocket.accept()
    total, running = 0, True
    while running:
        message = await websocket.receive_json()
        if message["op"] == "add":
            total += message["n"]
        elif message["op"] == "get":
            await websocket.send_json({"total": total})
        else:
            running = False
    await websocket.close(code=1000, reason="bye")


@endpoint('{"op": "ask"}', "ann", '{"op": "sum", "of": [1, 2]}', "not json")
async def commands_by_match(websocket: WebSocket):
    await websocket.accept()
    while True:
        match await websocket.receive_json():
            case {"op": "ask", **rest}:
                await websocket.send_text("your name?")
                name = await websocket.receive_text()
                fx(name, rest)
            case {"op": "sum", "of": [*numbers]} if numbers:
                await websocket.send_json(sum(numbers))
            case _:
                await websocket.send_text("?")


@endpoint("a", "b", "c", "d")
async def match_with_several_receives(websocket: WebSocket):
    await websocket.accept()
    for kind in ("one", 2, [3, 4]):
        match kind:
            case str() as word:
                fx(word, await websocket.receive_text())
            case [first, *others]:
                fx(first, await websocket.receive_text(), others)
            case int(n):
                fx(n + 1, await websocket.receive_text())
    fx(await websocket.receive_text())


@endpoint("yes", "b", "c")
async def if_branches(websocket: WebSocket):
    await websocket.accept()
    if await websocket.receive_text() == "yes":
        answer = await websocket.receive_text()
    elif await websocket.receive_text() == "no":
        answer = None
    else:
        answer = await websocket.receive_text()
    fx(answer, await websocket.receive_text())


@endpoint("no", "no", "c")
async def elif_branches(websocket: WebSocket):
    await websocket.accept()
    if await websocket.receive_text() == "yes":
        answer = await websocket.receive_text()
    elif await websocket.receive_text() == "no":
        answer = None
    else:
        answer = await websocket.receive_text()
    fx(answer, await websocket.receive_text())


@endpoint("no", "maybe", "c", "d")
async def else_branches(websocket: WebSocket):
    await websocket.accept()
    if await websocket.receive_text() == "yes":
        answer = await websocket.receive_text()
    elif await websocket.receive_text() == "no":
        answer = None
    else:
        answer = await websocket.receive_text()
    fx(answer, await websocket.receive_text())


@endpoint("1", "2", "3", "4", "5")
async def pagination(websocket: WebSocket):
    await websocket.accept()
    items = [f"item {n}" for n in range(7)]
    page = 0
    while page * 3 < len(items):
        for item in items[page * 3 : page * 3 + 3]:
            await websocket.send_text(item)
        command = await websocket.receive_text()
        page = page + 1 if int(command) < 4 else 0
    await websocket.close()


class Add(BaseModel):
    numbers: list[int]


class Show(BaseModel):
    pass


class Shown(BaseModel):
    total: int
    bad: int


@endpoint(
    '{"type": "add", "data": {"numbers": [1, 2]}}',
    "no JSON",
    '{"type": "show", "id": "a", "ack": true}',
    '{"type": "add", "id": "b", "ack": true, "data": {"numbers": ["x"]}}',
    '{"type": "add", "id": "c", "ack": true, "data": {"numbers": [39]}}',
    '{"type": "show"}',
)
async def models(websocket: WebSocket):
    await websocket.accept()
    total = 0
    incoming = messages(websocket, Add | Show)
    async for message in incoming:
        fx(incoming.id, message)
        match message:
            case Add(numbers=numbers):
                total += sum(numbers)
            case Show():
                await incoming.reply(Shown(total=total, bad=0))
    fx("left", total)


@endpoint(*["no JSON"] * 3, '{"type": "show"}')
async def too_many_bad_models(websocket: WebSocket):
    await websocket.accept()
    async for message in messages(websocket, Show, max_errors=2):
        fx(message)
    fx("closed")


@endpoint("a", "b")
async def refused_by_the_framework_after_waking_in_a_loop(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        fx(text, websocket.application_state)
        if text == "b":
            raise WebSocketException(4001, "enough")


@endpoint(SHOW := '{"type": "show"}', SHOW)
async def refused_by_the_framework_after_waking_in_messages(websocket: WebSocket):
    await websocket.accept()
    count = 0
    async for _ in messages(websocket, Show):
        count += 1
        if count == 2:
            raise WebSocketException(4001, "enough")
