"""Ahead of time: what a build writes for `cache`.

The passes run as they do when a handler is made, and what they found is kept, with the facts that it follows from. All
other coroutine functions of the modules that take part are transformed, too: a route may come to call one of them
without its source showing it, and then it is adopted in the middle of a client's first message. Only what a function
defines while it runs is left for then, as its variables have no meanings before.
"""

import inspect
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from gatesocket.hibernation import cache, meanings
from gatesocket.hibernation.blueprint import prepare
from gatesocket.hibernation.codes import NoSource
from gatesocket.hibernation.names import Index
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.units import Unit, adopt, adopted, kept

__all__ = ["precompile"]


def precompile(app: Any, directory: Path) -> dict[Path, int]:
    """Write what preparing *app* has made of the functions in *directory*, beside their byte code.

    What an earlier call has left in *directory* is removed first. Functions of modules elsewhere are left out: whoever
    put them there doesn't expect us to write.

    Args:
        app: the ASGI app. It is prepared, as by `prepare`.
        directory: where the app lies, such as the directory that becomes a Lambda package.

    Returns:
        The files that were written, each with the number of its functions.

    Raises:
        ConfigurationError: *app* is not an ASGI app.
        CannotHibernate: a route can't hibernate; nothing is written.
    """
    directory = directory.resolve()
    for left in directory.rglob(f"__pycache__/*{cache.SUFFIX}"):
        left.unlink()
    prepare(app)
    for function in _others():
        meanings.wait_of_function(function)
        with suppress(NoSource):
            if inspect.iscoroutinefunction(function):
                adopt(function)
    written = {}
    for source, entries in sorted(_entries().items()):
        if entries and Path(source).resolve().is_relative_to(directory):
            file = cache.file_of(source)
            _replace(file, cache.dump(Path(source).read_bytes(), entries))
            written[file] = len(entries)
    return written


def _others() -> Iterator[FunctionType]:
    """Iterate over the app's own functions in the modules that take part."""
    modules = dict.fromkeys(unit.module for unit in adopted())
    for _, function in list(Index(modules, {}).functions().values()):
        if origin(function.__code__.co_filename) is Origin.OWN:
            yield function


def _entries() -> dict[str, list[cache.Entry]]:
    """What is known of all functions, by the files of their source."""
    units = {(unit.module, unit.original): unit for unit in adopted()}
    found = defaultdict(list)
    for key in dict.fromkeys([*units, *meanings.grounds]):
        module, code = key
        entry = cache.Entry(module, code, _wait(key), _unit(units.get(key)))
        if entry.wait or entry.unit:
            found[code.co_filename].append(entry)
    return found


def _wait(key: tuple[str, CodeType]) -> tuple[int, cache.Facts] | None:
    facts = meanings.grounds.get(key)
    return None if facts is None else (int(meanings.waits[key]), facts)


def _unit(unit: Unit | None) -> tuple[Any, ...] | None:
    # What is refused stops a handler; how long that takes doesn't matter.
    return None if unit is None or unit.refusals else kept(unit)


def _replace(file: Path, data: bytes) -> None:
    """Write *file* so that nobody ever reads a part of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f"{cache.SUFFIX}.new")
    fresh.write_bytes(data)
    fresh.replace(file)
