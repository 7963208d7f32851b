"""From the names that a developer gives on a command line to the objects that they name."""

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gatesocket.exceptions import ConfigurationError

__all__ = ["load_app", "place_of"]


def load_app(spec: str, directory: Path) -> Callable[..., Any]:
    """Import the ASGI app named *spec*, ``module:attribute``, from *directory*.

    Raises:
        ConfigurationError: *spec* has another form, the import fails, or there is no such callable.
    """
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute:
        raise ConfigurationError(f"an app is named module:attribute, as in chat.app:app; got {spec!r}")
    if not directory.is_dir():
        raise ConfigurationError(f"there is no directory {directory}; correct --app-dir")
    directory = directory.resolve()
    sys.path.insert(0, str(directory))
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        isnt_there = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")
        remedy = "If it is elsewhere, say where: --app-dir" if isnt_there else "Mend that first"
        raise ConfigurationError(
            f"{module_name} can't be imported from {directory}: {place_of(error, directory)}{type(error).__name__}: "
            f"{error}. {remedy}"
        ) from error
    for name in attribute.split("."):
        found = getattr(found, name, None)
    if not callable(found):
        raise ConfigurationError(f"{spec}: the module {module_name} has no callable {attribute!r}")
    return found  # type: ignore[no-any-return]


def place_of(error: BaseException, directory: Path) -> str:
    """Return ``file:line: `` of the last line in *directory* that *error* came through; nothing if there is none."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(directory):
            return f"{frame.filename}:{frame.lineno}: "
    return ""
