"""Selection expressions, by which a message chooses its route and the model that it has to fit."""

import json
import re
from typing import Any, Final

from gatesocket.exceptions import ConfigurationError

__all__ = ["DEFAULT", "check", "select"]

DEFAULT: Final = "$default"

_TERM: Final = re.compile(
    r"\$\{request\.body\.(?P<braced>[^{}]+)\}"  # ${request.body.action}
    r"|\$request\.body\.(?P<bare>[\w.\[\]-]+)"  # $request.body.action
    r"|\\(?P<escaped>\$)"  # \$default, a constant
    r"|(?P<unknown>\$)"
)
_STEP: Final = re.compile(r"\[(?P<index>\d+)\]|(?P<name>[^.\[\]]+)")


def check(expression: str, what: str) -> None:
    """Refuse an expression that reads something else than the message's body; *what* it is says the message.

    Raises:
        ConfigurationError: it does.
    """
    if any(term["unknown"] for term in _TERM.finditer(expression)):
        raise ConfigurationError(
            f"{what} {expression!r} can't be evaluated: of a WebSocket message only $request.body.<name> can be read. "
            r"Write a constant as \$default"
        )


def select(expression: str, text: str) -> str:
    """Evaluate *expression* for the message *text*; one that isn't JSON gives `$default` where it would be read."""
    if not any(term["braced"] or term["bare"] for term in _TERM.finditer(expression)):
        return _TERM.sub("$", expression)
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return DEFAULT

    def value(term: re.Match[str]) -> str:
        return "$" if term["escaped"] else _read(body, term["braced"] or term["bare"])

    return _TERM.sub(value, expression)


def _read(body: Any, path: str) -> str:
    """Return what stands at *path* as a string; an empty one if nothing does."""
    for step in _STEP.finditer(path):
        try:
            body = body[int(step["index"]) if step["index"] else step["name"]]
        except (LookupError, TypeError):
            return ""
    return body if isinstance(body, str) else json.dumps(body)
