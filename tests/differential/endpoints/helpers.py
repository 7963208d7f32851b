"""A receive further down: in awaited functions, methods, closures, decorated and generic helpers."""

import functools
import json

from fastapi import WebSocket, WebSocketDisconnect
from support.lives import Endpoints, fx

endpoint = Endpoints()
app = endpoint.app


async def ask(websocket, question):
    await websocket.send_text(question)
    return await websocket.receive_text()


async def ask_number(websocket, question, *, attempts=3):
    for attempt in range(attempts):
        try:
            return int(await ask(websocket, question))
        except ValueError:
            fx("attempt", attempt)
    raise ValueError("no number")


@endpoint("ann", "x", "42", "z")
async def awaited_helper(websocket: WebSocket):
    await websocket.accept()
    name = await ask(websocket, "name?")
    age = await ask_number(websocket, "age?")
    fx(name, age, await websocket.receive_text())


@endpoint("x", "y", "z")
async def helper_that_fails(websocket: WebSocket):
    await websocket.accept()
    try:
        await ask_number(websocket, "n?", attempts=2)
    except ValueError as error:
        fx(str(error))
    fx(await websocket.receive_text())


@endpoint("a", "b", "c")
async def helper_in_an_expression(websocket: WebSocket):
    await websocket.accept()
    fx(f"{await ask(websocket, '1')}-{await ask(websocket, question='2')}", await ask(websocket, "3"))


async def countdown(websocket, n):
    if n:
        fx(n, await websocket.receive_text())
        await countdown(websocket, n - 1)
        fx("back", n)


@endpoint("a", "b", "c", "d")
async def recursive_helper(websocket: WebSocket):
    await websocket.accept()
    await countdown(websocket, 3)
    fx(await websocket.receive_text())


async def even(websocket, n):
    fx("even", n, await websocket.receive_text())
    if n:
        await odd(websocket, n - 1)


async def odd(websocket, n):
    fx("odd", n, await websocket.receive_text())
    if n:
        await even(websocket, n - 1)


@endpoint("a", "b", "c", "d")
async def mutually_recursive_helpers(websocket: WebSocket):
    await websocket.accept()
    await even(websocket, 2)


class Client:
    """What many apps have around their socket."""

    def __init__(self, websocket, name="?"):
        self.websocket = websocket
        self.name = name
        self.received = 0

    async def receive(self):
        text = await self.websocket.receive_text()
        self.received += 1
        return text

    async def send(self, **data):
        await self.websocket.send_text(json.dumps(data))

    async def talk(self):
        try:
            while (text := await self.receive()) != "quit":
                await self.send(name=self.name, text=text, n=self.received)
        finally:
            fx("talked", self.received)


@endpoint("a", "b", "quit", "c")
async def methods_of_an_object(websocket: WebSocket):
    await websocket.accept()
    client = Client(websocket, "ann")
    await client.talk()
    fx(client.received, await client.receive(), client.received)


@endpoint("a", "b")
async def object_that_holds_the_socket(websocket: WebSocket):
    await websocket.accept()
    client = Client(websocket)
    while True:
        fx(await client.receive())
        await client.websocket.send_text(str(client.received))


class Loud(Client):
    async def receive(self):
        return (await super().receive()).upper()


@endpoint("a", "quit", "b", "QUIT")
async def overridden_method(websocket: WebSocket):
    await websocket.accept()
    client: Client = Loud(websocket)
    fx(await client.receive())
    fx(await Client.receive(client))
    fx(await client.receive())


class Handlers:
    async def on_ask(self, ws, data):
        await ws.send_text("?")
        fx(data, await ws.receive_text())

    async def on_say(self, ws, data):
        fx("said", data)


@endpoint("ask a", "b", "say c", "ask d", "e")
async def dispatch_by_name(ws: WebSocket):
    await ws.accept()
    handlers = Handlers()
    while True:
        name, data = (await ws.receive_text()).split()
        await getattr(handlers, f"on_{name}")(ws, data)


async def on_add(ws, n):
    fx("add", n, await ws.receive_text())


async def on_drop(ws, n):
    fx("drop", n)


COMMANDS = {"add": on_add, "drop": on_drop}


@endpoint("add 1", "x", "drop 2", "add 3", "y")
async def dispatch_by_table(ws: WebSocket):
    await ws.accept()
    while True:
        command, n = (await ws.receive_text()).split()
        await COMMANDS[command](ws, int(n))


@endpoint("a", "b", "c")
async def nested_function(ws: WebSocket):
    await ws.accept()
    count = 0

    async def receive():
        nonlocal count
        text = await ws.receive_text()
        count += 1
        return f"{count}{text}"

    fx(await receive())
    fx(await receive(), count)
    fx(await receive())


@endpoint("a", "b", "c")
async def nested_function_that_is_kept(ws: WebSocket):
    await ws.accept()
    log = []
    prefix = "> "

    def note(text, times=[0]):
        times[0] += 1
        log.append(f"{prefix}{text}{times[0]}")

    while len(log) < 3:
        note(await ws.receive_text())
    fx(log)


@endpoint("a", "b", "c")
async def nested_function_with_its_own_loop(ws: WebSocket):
    await ws.accept()
    seen = []

    async def until(stop):
        while True:
            text = await ws.receive_text()
            seen.append(text)
            if text == stop:
                return len(seen)

    fx(await until("b"), seen)
    fx(await until("c"), seen)


@endpoint("a", "b")
async def recursive_nested_function(ws: WebSocket):
    await ws.accept()

    async def again(n):
        fx(n, await ws.receive_text())
        if n:
            await again(n - 1)

    await again(1)


@endpoint("a", "b", "c")
async def lambdas_that_are_kept(ws: WebSocket):
    await ws.accept()
    factor = 2
    scale = lambda text: text * factor
    fx(scale(await ws.receive_text()))
    factor = 3
    fx(scale(await ws.receive_text()))
    fx(sorted(["b", "a"], key=lambda text: (text != "b", factor)), await ws.receive_text())


def logged(function):
    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        fx("enter", function.__name__)
        try:
            return await function(*args, **kwargs)
        finally:
            fx("exit", function.__name__)

    return wrapper


@logged
async def greet(websocket, greeting="hello"):
    await websocket.send_text(greeting)
    return await websocket.receive_text()


@endpoint("ann", "b")
async def decorated_helper(websocket: WebSocket):
    await websocket.accept()
    fx(await greet(websocket))
    fx(await greet(websocket, greeting="hi"))


@endpoint("a", "b")
@logged
async def decorated_endpoint(websocket: WebSocket):
    await websocket.accept()
    while True:
        fx(await websocket.receive_text())


def retried(times):
    def decorate(function):
        async def wrapper(websocket):
            for attempt in range(times):
                try:
                    return await function(websocket)
                except ValueError:
                    fx("retry", attempt)
            return None

        return wrapper

    return decorate


@retried(2)
async def number(websocket):
    return int(await websocket.receive_text())


@endpoint("x", "7", "b")
async def decorated_with_arguments(websocket: WebSocket):
    await websocket.accept()
    fx(await number(websocket))
    fx(await websocket.receive_text())


@endpoint("a", "b")
async def partial_helper(websocket: WebSocket):
    await websocket.accept()
    question = functools.partial(ask, websocket)
    fx(await question("1?"))
    fx(await question("2?"))


async def configured(websocket: WebSocket, limit: int = 1):
    await websocket.accept()
    for n in range(limit):
        fx(n, await websocket.receive_text())


class _Named(functools.partial):
    __name__ = "partial_endpoint"


endpoint("a", "b")(_Named(configured, limit=2))


async def passed_a_callback(websocket, callback):
    while True:
        await callback(await websocket.receive_text())


@endpoint("a", "b", "c")
async def callback_that_receives(websocket: WebSocket):
    await websocket.accept()
    pairs = []

    async def on_text(text):
        pairs.append((text, await websocket.receive_text()))
        fx(pairs)

    try:
        await passed_a_callback(websocket, on_text)
    except WebSocketDisconnect:
        fx("left", pairs)


@endpoint("a", "b", "c")
async def awaited_later(websocket: WebSocket):
    await websocket.accept()
    first = ask(websocket, "1?")
    fx("made")
    fx(await first)
    fx(await websocket.receive_text())


class Messages:
    """An asynchronous iterator of the app's own."""

    def __init__(self, websocket, stop):
        self.websocket = websocket
        self.stop = stop
        self.count = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        text = await self.websocket.receive_text()
        self.count += 1
        if text == self.stop:
            raise StopAsyncIteration
        return text


@endpoint("a", "b", "end", "c")
async def own_iterator(websocket: WebSocket):
    await websocket.accept()
    messages = Messages(websocket, "end")
    async for text in messages:
        fx(text, messages.count)
    fx("ended", messages.count, await websocket.receive_text())


class Service:
    @staticmethod
    async def read(websocket):
        return await websocket.receive_text()

    @classmethod
    async def read_as(cls, websocket, convert):
        return cls.__name__, convert(await cls.read(websocket))

    async def __call__(self, websocket):
        return await websocket.receive_json()


service = Service()


@endpoint("a", "7", "[1]")
async def static_class_and_call(websocket: WebSocket):
    await websocket.accept()
    fx(await Service.read(websocket))
    fx(await Service.read_as(websocket, int))
    fx(await service(websocket))


async def with_many_parameters(first, websocket, /, third, *rest, key, **options):
    return first, await websocket.receive_text(), third, rest, key, options


@endpoint("a", "b")
async def parameters_of_every_kind(websocket: WebSocket):
    await websocket.accept()
    fx(*(value for value in await with_many_parameters(1, websocket, 3, 4, 5, key=6, x=7) if value is not websocket))
    fx(await websocket.receive_text())
