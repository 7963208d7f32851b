"""FastAPI's dependencies, which are resolved once and not again for every message."""

import threading
from typing import Any

import pytest
from fastapi import Depends, FastAPI, WebSocket

from gatesocket.exceptions import CannotHibernate
from gatesocket.hibernation import prepare
from gatesocket.hibernation.dependencies import Overrides, install_overrides
from support.hibernation import Connection


async def ask(websocket: WebSocket | None) -> str:
    return "" if websocket is None else await websocket.receive_text()


async def login(websocket: WebSocket) -> str:
    await websocket.accept()
    return await ask(websocket)


async def session(websocket: WebSocket) -> Any:
    await websocket.accept()
    return [await ask(websocket), threading.Lock()]


async def test_a_dependency_may_wait_for_the_client_and_waits_once() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, user: str = Depends(login)) -> None:
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(f"{user}: {text}")

    connection = Connection(app)
    await connection.connect()
    for text in ("ann", "one", "two"):
        await connection.say(text)

    assert connection.texts == ["ann: one", "ann: two"]


async def test_a_dependency_that_has_waited_and_can_not_be_saved_is_refused_before_it_takes_the_next_message() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, session: Any = Depends(session)) -> None:  # noqa: B008 - FastAPI's form
        await websocket.receive_text()
        with session[1]:
            await websocket.send_text(session[0])

    connection = Connection(app)
    await connection.connect()
    with pytest.raises(CannotHibernate) as refused:
        await connection.say("ann")

    assert str(refused.value) == (
        f"{__file__}:{session.__code__.co_firstlineno}: session waits for the client, but what it gives holds a "
        "_thread.lock, which can't be saved (_thread.lock belongs to the standard library, which keeps more than "
        "shows): the dependency would have to wait for the client again. "
        "Return what came from the client, and make the rest in a dependency on this one"
    )


async def test_its_remedy_works() -> None:
    async def lock(user: str = Depends(login)) -> Any:
        return [user, threading.Lock()]

    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, session: Any = Depends(lock)) -> None:  # noqa: B008 - FastAPI's form
        await websocket.receive_text()
        with session[1]:
            await websocket.send_text(session[0])

    connection = Connection(app)
    await connection.connect()
    await connection.say("ann")
    await connection.say("go")

    assert connection.texts == ["ann"]


async def test_a_dependency_that_is_resolved_again_may_use_what_the_route_uses() -> None:
    helpers: dict[str, Any] = {"ask": ask}

    async def lock() -> Any:
        await helpers["ask"](None)
        return threading.Lock()

    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, lock: Any = Depends(lock)) -> None:  # noqa: B008 - FastAPI's form
        await websocket.accept()
        text = await ask(websocket)
        with lock:
            await websocket.send_text(text)

    connection = Connection(app)
    await connection.connect()
    await connection.say("hello")

    assert connection.texts == ["hello"]


# The overrides of tests.


def test_overrides_work_as_the_dictionary_that_they_stand_for() -> None:
    app = FastAPI()
    prepare(app)
    overrides: Any = app.dependency_overrides

    overrides[login] = ask

    assert isinstance(overrides, Overrides)
    assert (dict(overrides), len(overrides), bool(overrides)) == ({login: ask}, 1, True)
    assert overrides.get(ask, ask) is ask
    del overrides[login]
    assert not overrides
    with pytest.raises(KeyError):
        overrides[login]


def test_overrides_are_installed_once_and_only_where_there_are_any() -> None:
    app = FastAPI()
    install_overrides(app)
    installed = app.dependency_overrides

    install_overrides(app)
    install_overrides(object())

    assert app.dependency_overrides is installed
