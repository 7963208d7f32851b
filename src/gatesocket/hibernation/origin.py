"""Whose code is it? The answer decides what becomes of a coroutine on the way to a receive.

========= ==================================== ============================================================
origin    what it is                           when the route wakes
========= ==================================== ============================================================
framework Starlette, FastAPI, asyncio, anyio,  is called again from the top with the stored scope; it keeps
          contextlib, Gatesocket itself        nothing between two messages that the scope doesn't hold
library   installed distributions, the         is transformed only if it is given the socket; its coroutines
          standard library, what of Gatesocket otherwise never wait for the client
          stands in a route's place
own       everything else                      is transformed, and continued where it waited
========= ==================================== ============================================================
"""

import asyncio
import contextlib
import enum
import sysconfig
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["Origin", "origin"]


class Origin(enum.Enum):
    """Whose code a file holds."""

    FRAMEWORK = "framework"
    LIBRARY = "library"
    OWN = "own"


@lru_cache(maxsize=1024)
def origin(file: str) -> Origin:
    """Tell whose code *file* holds, by its place."""
    if file == _IN_A_ROUTES_PLACE:
        return Origin.LIBRARY
    if file.startswith(_framework()):
        return Origin.FRAMEWORK
    if file.startswith("<frozen ") or "site-packages" in file or "dist-packages" in file:
        return Origin.LIBRARY
    if file.startswith(_STANDARD_LIBRARY):
        return Origin.LIBRARY
    return Origin.LIBRARY if _is_installed(Path(file)) else Origin.OWN


_IN_A_ROUTES_PLACE = str(Path(__file__).parents[1] / "first_message.py")
_STANDARD_LIBRARY = (sysconfig.get_path("stdlib") + "/", sysconfig.get_path("platstdlib") + "/")


@lru_cache(maxsize=1)
def _framework() -> tuple[str, ...]:
    places = [str(Path(asyncio.__file__).parent), str(Path(__file__).parents[1])]
    for package in ("anyio", "fastapi", "starlette"):
        spec = find_spec(package)
        places.extend(spec.submodule_search_locations or () if spec else ())
    return (contextlib.__file__, *(f"{place}/" for place in places))


def _is_installed(file: Path) -> bool:
    """Whether *file* belongs to a distribution that was installed into some directory above it.

    A Lambda package holds the app and its dependencies in one directory, so that the place alone doesn't tell them
    apart; the dependencies' ``RECORD`` files do.
    """
    for root in file.parents:
        if names := _installed_into(root):
            return file.relative_to(root).parts[0] in names
    return False


@lru_cache(maxsize=256)
def _installed_into(root: Path) -> frozenset[str]:
    """The modules and packages, by the names of their files, that distributions have in *root*."""
    names: set[str] = set()
    for record in root.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines()
        names.update(line.partition(",")[0].partition("/")[0] for line in lines)
    return frozenset(name for name in names if name != ".." and not name.endswith(".dist-info"))
