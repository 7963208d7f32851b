"""One app in two lives: as a coroutine that waits for each message, and hibernating between every two.

What happens is written into a transcript, and the transcripts of both lives have to be equal.
"""

import asyncio
import linecache
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from fastapi import FastAPI

from gatesocket.hibernation import Blueprint, prepare, run
from gatesocket.hibernation.runtime import Hibernated

Frame = str | bytes | int
"""A text or binary message; the close code of a client that leaves."""

transcript: list[tuple[Any, ...]] = []
"""What has happened so far in the life that is lived now."""


def fx(*what: Any) -> None:
    """Note a side effect of a route."""
    transcript.append(("fx", *map(repr, what)))  # a list may change later


class Endpoints:
    """The endpoints of one module, each with the messages of its client."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.frames: dict[str, tuple[Frame, ...]] = {}
        self.paths: dict[str, str] = {}

    def __call__(self, *frames: Frame, path: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Serve the endpoint below at its own name, to a client that sends *frames* and leaves.

        *path* is what follows the name in the route's path, then what follows it in the client's: ``/{n}|/5?q=1``.
        """
        pattern, _, rest = (path or "").partition("|")

        def add(endpoint: Any) -> Any:
            name = getattr(endpoint, "__name__", None) or endpoint.func.__name__
            self.client(name, *frames, path=f"/{name}{rest}")
            if _wanted in {None, name}:
                self.app.websocket(f"/{name}{pattern}", **options)(endpoint)
            return endpoint

        return add

    def client(self, name: str, *frames: Frame, path: str | None = None) -> None:
        """Have a client of the route *path*, ``/name`` if none is given, however that is made."""
        assert name not in self.frames, f"two endpoints are called {name}"
        self.frames[name] = frames
        self.paths[name] = path or f"/{name}"


_wanted: str | None = None


def load(path: Path, only: str | None = None) -> ModuleType:
    """Make a new image of a module, as a new process would: nothing of an earlier one is in it.

    With *only*, just that one of its endpoints is served, which saves time.
    """
    global _wanted  # noqa: PLW0603 - the module asks when it is executed
    _wanted = only
    return execute(_compiled(path), path.stem, str(path))


def load_source(source: str) -> ModuleType:
    """Make a new image of the module that *source* is, which lies in no file."""
    file = f"<generated {hash(source):x}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    return execute(compile(source, file, "exec"), "generated", file)


def execute(code: CodeType, name: str, file: str) -> ModuleType:
    """Execute *code* as the module *name*, in the place of an earlier one of that name."""
    module = ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module
    exec(code, vars(module))
    return module


@lru_cache
def _compiled(path: Path) -> CodeType:
    return compile(path.read_text("utf-8"), path, "exec")


def messages(frames: Iterable[Frame]) -> list[dict[str, Any]]:
    """The ASGI messages of a client that sends *frames*, and leaves with 1001 if it doesn't say otherwise."""
    found: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    for frame in frames:
        if isinstance(frame, int):
            found.append({"type": "websocket.disconnect", "code": frame, "reason": ""})
        elif isinstance(frame, str):
            found.append({"type": "websocket.receive", "text": frame})
        else:
            found.append({"type": "websocket.receive", "bytes": frame})
    if found[-1]["type"] != "websocket.disconnect":
        found.append({"type": "websocket.disconnect", "code": 1001, "reason": ""})
    return found


def scope(path: str) -> dict[str, Any]:
    """The ASGI scope of a connection to *path*, which may have a query."""
    path, _, query = path.partition("?")
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"testserver"), (b"x-token", b"secret")],
        "client": ("192.0.2.1", 50000),
        "server": ("testserver", 80),
        "subprotocols": ["chat"],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


async def send(message: Any) -> None:
    """What the app sends with."""
    transcript.append(("send", dict(message)))


async def ending(life: Awaitable[Any], file: str) -> Any:
    """Note how a life ends; an error with the lines of *file* that it came through."""
    try:
        return await life
    except Exception as error:
        lines = [
            (frame.name, frame.lineno)
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == file and frame.name[0] != "<"  # Python 3.12 has no frame for a comprehension
        ]
        transcript.append(("error", type(error).__name__, str(error), lines))
        return None


async def long_lived(module: ModuleType, path: str, frames: Iterable[Frame]) -> list[tuple[Any, ...]]:
    """Live as under uvicorn: one coroutine, from the handshake to the end."""
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    for message in messages(frames):
        queue.put_nowait(message)
    transcript.clear()
    await ending(module.app(scope(path), queue.get, send), str(module.__file__))
    return list(transcript)


async def one_run(
    app: Any,
    scope: dict[str, Any],
    messages: Iterable[dict[str, Any]],
    send: Callable[[Any], Awaitable[None]],
    blueprint: Blueprint,
    snapshot: bytes | None,
) -> Hibernated | None:
    """Run *app* from *snapshot* until it has taken *messages*."""
    waiting = list(messages)
    return await run(
        app, scope, lambda: waiting.pop(0) if waiting else None, send, blueprint=blueprint, snapshot=snapshot
    )


async def hibernating(image: Callable[[], ModuleType], path: str, frames: Iterable[Frame]) -> list[tuple[Any, ...]]:
    """Live as in the cloud: each message finds a new image of the module, and the bytes that the last one left."""
    transcript.clear()
    snapshot: bytes | None = None
    for message in messages(frames):
        module = image()
        life = one_run(module.app, scope(path), [message], send, prepare(module.app), snapshot)
        hibernated = await ending(life, str(module.__file__))
        if hibernated is None:
            break
        snapshot = hibernated.snapshot
    return list(transcript)
