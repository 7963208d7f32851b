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
from types import FunctionType
from typing import Any

from gatesocket.hibernation import cache, meanings
from gatesocket.hibernation.blueprint import prepare
from gatesocket.hibernation.codes import NoSource
from gatesocket.hibernation.names import Index
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.units import adopt, adopted, kept

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
        path = Path(source)
        if path.is_file() and path.resolve().is_relative_to(directory):
            file = cache.file_of(source)
            _replace(file, cache.dump(path.read_bytes(), entries))
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
    found = defaultdict(list)
    waits = {key: (int(meanings.waits[key]), facts) for key, facts in meanings.grounds.items()}
    units = {(unit.module, unit.original) for unit in adopted()}
    for unit in adopted():
        # What is refused stops a handler; how long that takes doesn't matter.
        of_unit = None if unit.refusals else kept(unit)
        wait = waits.get((unit.module, unit.original))
        found[unit.file].append(cache.Entry(unit.module, unit.original, wait, of_unit))
    for (module, code), wait in waits.items():
        if (module, code) not in units:
            found[code.co_filename].append(cache.Entry(module, code, wait, None))
    return found


def _replace(file: Path, data: bytes) -> None:
    """Write *file* so that nobody ever reads a part of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f"{cache.SUFFIX}.new")
    fresh.write_bytes(data)
    fresh.replace(file)
