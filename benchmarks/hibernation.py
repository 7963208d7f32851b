"""What hibernation costs: waking a route for a message and storing it again, against a coroutine that never left.

Both lives of each endpoint get the same messages, in turn and in one process. The long-lived one is driven by hand,
without an event loop's work in between, so that nothing flatters hibernation. Part of what is more is the
framework's: a coroutine goes its way down to the endpoint once, a woken route for each message. ::

    .venv/bin/python benchmarks/hibernation.py
"""

import asyncio
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Generator, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import coroutine
from typing import Any, Final

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp

from gatesocket import WebSocketHandler, hibernation
from gatesocket.clock import milliseconds
from gatesocket.gateway.fake import FakeGateway
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.settings import Settings
from gatesocket.waker import MemoryWaker
from measure import Options, Results, Subject, cpu_microseconds, options, report, rounds
from sample_events import CONNECTION, Context, connect, message

HANDLERS: Final = Path(__file__).parents[1] / "handlers"

PLAIN: Final = ("7", "'lobby'", "2.5", "True", "None")

HEAD: Final = """\
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from fastapi import FastAPI, WebSocket


@dataclass
class User:
    name: str
    age: int
"""

ENDPOINT: Final = """

async def {name}(websocket: WebSocket) -> None:
    await websocket.accept()
    number = 0
    {assignments}
    while True:
        text = await websocket.receive_text()
        number += 1
        kept = ({uses})
        await websocket.send_text(text)
"""

APP: Final = """

async def nothing(websocket: WebSocket) -> None:
    await websocket.accept()


app = FastAPI()
for endpoint in ({endpoints}):
    app.websocket("/" + endpoint.__name__)(endpoint)
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """What an endpoint keeps across its receive, besides the socket and a count."""

    title: str
    name: str
    values: tuple[str, ...]
    """The expressions that its locals are set to."""

    @property
    def source(self) -> str:
        """The endpoint."""
        names = [f"value_{index}" for index in range(len(self.values))]
        assignments = "\n    ".join(f"{name} = {value}" for name, value in zip(names, self.values, strict=True))
        return ENDPOINT.format(name=self.name, assignments=assignments, uses="".join(f"{name}, " for name in names))


SHAPES: Final = (
    Shape("no locals", "none", ()),
    Shape("1 plain local", "one", PLAIN[:1]),
    Shape("10 plain locals", "ten", PLAIN * 2),
    Shape("100 plain locals", "hundred", PLAIN * 20),
    Shape("a text of 1 kB", "text_1k", ("'Good morning! ' * 72",)),
    Shape("a text of 100 kB", "text_100k", ("'Good morning! ' * 7200",)),
    Shape("a list of 1000 numbers", "numbers", ("list(range(1000))",)),
    Shape("a dict of 100 dicts", "people", ("{str(i): {'name': 'Ada', 'age': i} for i in range(100)}",)),
    Shape(
        "10 locals of 10 other types",
        "others",
        (
            "datetime.now(UTC)",
            "Decimal('2.50')",
            "UUID(int=7)",
            "{1, 2, 3}",
            "('Ada', 36)",
            "b'bytes'",
            "deque([1, 2], maxlen=5)",
            "Counter('lobby')",
            "User('Ada', 36)",
            "[User('Grace', 85)]",
        ),
    ),
)


def main() -> None:
    """Measure, and print."""
    chosen = options("What hibernation costs.", samples=11, seconds=30)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "benchmark_endpoints.py"
        path.write_text(_source(), encoding="utf-8")
        tables = [
            _costs(_load(path), chosen),
            _transforms(
                {"the chat": (HANDLERS, "chat.app:app"), "those above": (path.parent, f"{path.stem}:app")}, chosen
            ),
            _chat(),
        ]
    report("hibernation", tables, chosen)


# Waking and storing.


def _costs(module: Any, chosen: Options) -> Results:
    lives = {f"FastAPI, {shape.title}": _fastapi(getattr(module, shape.name)) for shape in SHAPES}
    lives["Starlette, 10 plain locals"] = _starlette(module.ten)
    subjects, sizes, rows = [], {}, []
    with asyncio.Runner() as runner:
        for title, app in lives.items():
            # The long-lived one runs the same code, as a prepared app does behind uvicorn.
            hibernating = Hibernating(app, runner)
            sizes[title] = len(hibernating.snapshot)
            subjects += [
                Subject(f"{title}: long-lived", LongLived(app, runner).repeat),
                Subject(f"{title}: hibernating", hibernating.repeat),
            ]
        for title, app in {"FastAPI": _fastapi(module.nothing), "Starlette": _starlette(module.nothing)}.items():
            subjects.append(Subject(title, _passing(app, runner)))
        taken = cpu_microseconds(subjects, chosen)
    for title in lives:
        stays, hibernates = taken[f"{title}: long-lived"], taken[f"{title}: hibernating"]
        rows.append(
            {
                "endpoint": title,
                "long-lived, µs": stays,
                "hibernating, µs": hibernates,
                "more, µs": hibernates - stays,
                "framework's, µs": taken[title.partition(",")[0]],
                "bytes": sizes[title],
            }
        )
    return Results("CPU time per message: wake, receive, send, store", rows)


def _fastapi(endpoint: Any) -> ASGIApp:
    app = FastAPI()
    app.websocket("/")(endpoint)
    return app


def _starlette(endpoint: Any) -> ASGIApp:
    return Starlette(routes=[WebSocketRoute("/", endpoint)])


class LongLived:
    """A connection whose coroutine waits for each message."""

    def __init__(self, app: ASGIApp, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._life: Coroutine[Any, Any, None] = self._live(app)
        runner.run(self._begin())

    async def _live(self, app: ASGIApp) -> None:
        await app(_scope(), self._receive, _send)

    async def _begin(self) -> None:
        self._life.send(None)
        self._life.send({"type": "websocket.connect"})

    async def _receive(self) -> Any:
        return await _hand_over()

    def repeat(self, times: int) -> None:
        """Say something so many times."""
        self._runner.run(self._say(times))

    async def _say(self, times: int) -> None:
        for _ in range(times):
            self._life.send({"type": "websocket.receive", "text": "Good morning!"})


class Hibernating:
    """A connection whose route is woken for each message."""

    def __init__(self, app: ASGIApp, runner: asyncio.Runner) -> None:
        self._app = app
        self._scope = _scope()
        self._blueprint = hibernation.prepare(app)
        self._runner = runner
        self._snapshot: bytes | None = None
        runner.run(self._hear({"type": "websocket.connect"}))

    @property
    def snapshot(self) -> bytes:
        """What is stored between two messages."""
        if self._snapshot is None:
            raise RuntimeError("the route has ended, so that there is nothing to wake")
        return self._snapshot

    def repeat(self, times: int) -> None:
        """Say something so many times."""
        self._runner.run(self._say(times))

    async def _say(self, times: int) -> None:
        for _ in range(times):
            await self._hear({"type": "websocket.receive", "text": "Good morning!"})

    async def _hear(self, event: dict[str, Any]) -> None:
        waiting = [event]
        hibernated = await hibernation.run(
            self._app,
            self._scope,
            lambda: waiting.pop() if waiting else None,
            _send,
            blueprint=self._blueprint,
            snapshot=self._snapshot,
        )
        self._snapshot = hibernated and hibernated.snapshot


def _passing(app: ASGIApp, runner: asyncio.Runner) -> Callable[[int], None]:
    """Call a route that accepts and ends: the way to an endpoint and back, without hibernation."""
    scope = _scope()

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def call(times: int) -> None:
        for _ in range(times):
            await app(dict(scope), receive, _send)

    return lambda times: runner.run(call(times))


@coroutine
def _hand_over() -> Generator[None, Any, Any]:
    """Wait for what the driver of the coroutine sends into it."""
    return (yield)


async def _send(message: MutableMapping[str, Any]) -> None:
    """Take what the route sends."""


def _scope() -> dict[str, Any]:
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"chat.example"), (b"sec-websocket-version", b"13")],
        "client": ("192.0.2.1", 0),
        "server": ("chat.example", 443),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


def _source() -> str:
    endpoints = ", ".join(shape.name for shape in SHAPES)
    return HEAD + "".join(shape.source for shape in SHAPES) + APP.format(endpoints=endpoints)


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Preparing.

# The first argument is where the app lies, the second its name; a third has the transforms kept, as by a build.
PREPARE: Final = """
import json, sys, time
from importlib import import_module
from gatesocket import hibernation
sys.path.insert(0, sys.argv[1])
module, _, name = sys.argv[2].partition(":")
app = getattr(import_module(module), name)
if len(sys.argv) > 3:
    from pathlib import Path
    from gatesocket.hibernation.precompile import precompile
    precompile(app, Path(sys.argv[1]))
    sys.exit()
begin = time.process_time_ns()
routes = len(hibernation.prepare(app).routes)
print(json.dumps([(time.process_time_ns() - begin) / 1e6, routes]))
"""


def _transforms(apps: dict[str, tuple[Path, str]], chosen: Options) -> Results:
    """Prepare each app in processes of its own: what one has compiled, the next one of the process would find.

    In one of two directories for byte code, a build has kept the transforms.
    """
    taken: dict[tuple[str, bool], list[float]] = {(title, kept): [] for title in apps for kept in (False, True)}
    routes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as directory:
        byte_code = {kept: Path(directory, str(kept)) for kept in (False, True)}
        for where, app in apps.values():
            _prepared(byte_code[False], where, app)  # so that byte code is there
            _prepared(byte_code[True], where, app, "kept")
        for _ in rounds(Options(min(chosen.samples, 7), chosen.seconds / 3, chosen.results)):
            for (title, kept), samples in taken.items():
                milliseconds_taken, routes[title] = json.loads(_prepared(byte_code[kept], *apps[title]))
                samples.append(milliseconds_taken)
    rows = []
    for title in apps:
        median, from_cache = (statistics.median(taken[title, kept]) for kept in (False, True))
        number = routes[title]
        rows.append(
            {
                "app": title,
                "routes": number,
                "ms": median,
                "ms per route": median / number,
                "kept by a build, ms": from_cache,
                "kept, ms per route": from_cache / number,
            }
        )
    return Results("CPU time of preparing an app, once per cold start", rows)


def _prepared(byte_code: Path, directory: Path, *arguments: str) -> str:
    """Run `PREPARE`, and return what it has printed."""
    command = [sys.executable, "-c", PREPARE, str(directory), *arguments]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    variables["PYTHONPYCACHEPREFIX"] = str(byte_code)
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=60).stdout


# The chat.


def _chat() -> Results:
    """Have somebody talk in the example, and look at what is stored."""
    with _on_path(HANDLERS):
        from chat.app import app  # noqa: PLC0415
    registry, gateway = MemoryRegistry(), FakeGateway()
    wakes: list[dict[str, Any]] = []

    async def on_wake(event: dict[str, Any], delay: float) -> None:
        wakes.append(event)

    handler = WebSocketHandler(
        app, registry=registry, gateway=gateway, waker=MemoryWaker(on_wake), settings=Settings(table=None)
    )
    rows = []

    async def talk() -> None:
        now = milliseconds()
        said = json.dumps({"type": "say", "data": {"text": "Good morning!"}})
        steps: list[tuple[str, Callable[[], dict[str, Any]]]] = [
            ("the handshake", lambda: connect("/ws/lobby", now=now)),
            ("its welcome was delivered", lambda: wakes.pop(0)),
            ("1 message", lambda: message(said, now=now)),
            ("2 messages", lambda: message(said, now=now)),
        ]
        for title, event in steps:
            await handler.invoke(event(), Context())
            gateway.open(CONNECTION)
            record = await registry.get(CONNECTION, now=now)
            if record is None or record.snapshot is None:
                raise RuntimeError(f"the chat has ended after {title}")
            rows.append({"after": title, "snapshot, bytes": len(record.snapshot), "scope, bytes": len(record.scope)})
        await handler.shutdown()

    asyncio.run(talk())
    return Results("What is stored of a connection to the chat", rows)


@contextmanager
def _on_path(directory: Path) -> Iterator[None]:
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        sys.path.remove(str(directory))


if __name__ == "__main__":
    main()
