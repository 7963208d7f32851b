"""What a snapshot may refer to by name: what is the app's own, or the route's."""

import functools
import json
import logging
import os
import types
from collections.abc import Callable
from typing import Any

import pytest
from starlette.datastructures import Headers

from gatesocket.exceptions import SnapshotError
from support.values import home, read, through, written

HERE = __name__
ROOMS: dict[str, list[str]] = {"lobby": []}


class Room:
    def enter(self) -> None: ...


def polite(greet: Callable[[], str]) -> Callable[[], str]:
    @functools.wraps(greet)
    def politely() -> str:
        return f"{greet()}, please"

    return politely


@polite
def greet() -> str:
    return "Hello"


def test_what_the_app_has_by_a_name_is_found_by_it() -> None:
    at = home(modules=[HERE])

    for value in (ROOMS, Room, polite, Room.enter, greet, greet.__wrapped__, list):  # type: ignore[attr-defined]
        assert through([value], at)[0] is value


@pytest.mark.parametrize("value", [json.dumps, logging.getLogger, os.getcwd, Headers])
def test_a_librarys_function_is_named_only_if_the_route_uses_it(value: Any) -> None:
    name = value.__name__
    at = home(imports=[name])

    assert through([value], at)[0] is value
    with pytest.raises(SnapshotError, match="the route has no business with"):
        read(written(value, at), home())


@pytest.mark.parametrize("name", ["os:system", "builtins:eval", "builtins:exec", "subprocess:Popen", "posix:system"])
def test_what_the_route_does_not_use_can_not_be_planted(name: str) -> None:
    with pytest.raises(SnapshotError, match=f"the route has no business with '{name}'"):
        read({"$": "name", "v": name}, home(imports=["json", "logging"]))


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(SnapshotError, match="can't be read"):
        read({"$": "name", "v": 5})


def test_members_of_the_states_are_named() -> None:
    pool, lobby = [1], [2]
    at = home(state={"pool": pool}, lobby=lobby)
    at.index._members["app.state"] = {"lobby": lobby}
    at.scope["app"] = types.SimpleNamespace(state=types.SimpleNamespace(_state={"lobby": lobby}))

    assert through([pool, lobby], at) == [pool, lobby]
    assert through(pool, at) is pool
    assert through(lobby, at) is lobby
