"""Values on their way into a snapshot and out of it, without an app around them."""

import json
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation import bound, functions, instances, kinds  # noqa: F401 - they register their kinds
from gatesocket.hibernation.codec import Decoder, Encoder, unreadable
from gatesocket.hibernation.home import Home
from support.lives import scope


def home(
    *,
    modules: Iterable[str] = (),
    imports: Iterable[str] = (),
    state: Mapping[str, Any] | None = None,
    **app_state: Any,
) -> Home:
    """What belongs to a run, for values that are written without one."""
    members = dict(state or {})
    app = SimpleNamespace(state=SimpleNamespace(_state=app_state))

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing is received here")

    async def send(message: Any) -> None:
        raise AssertionError("nothing is sent here")

    return Home(
        {**scope("/"), "app": app, "state": members},
        receive,
        send,
        members,
        modules,
        imports=frozenset(imports),
    )


def written(value: Any, at: Home | None = None) -> Any:
    """What a snapshot holds of *value*."""
    return json.loads(json.dumps(Encoder(at or home()).encode(value)))


def read(data: Any, at: Home | None = None) -> Any:
    """What waking makes of *data*."""
    try:
        return Decoder(at or home()).decode(data)
    except SnapshotError:
        raise
    except Exception as error:
        raise unreadable("the value", error) from error


def through(value: Any, at: Home | None = None) -> Any:
    """*value* after it was written and read, by runs that have the same things around them."""
    return read(written(value, at), at)


def other(at: Home, **changes: Any) -> Home:
    """A later run than *at*, with a scope, a receive and a send of its own."""
    later = home(imports=at.imports)
    later.scope.update({"app": at.scope["app"], **changes})
    return later


def moved(value: Any, at: Home, later: Home | None = None) -> Any:
    """*value*, written by one run and read by the next."""
    return read(written(value, at), later or other(at))
