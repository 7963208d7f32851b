"""The files of ``files/``, filled in.

They read as what becomes of them, whatever their language::

    {{ name }}     a value; a line that holds several values is written once for each
    #: if name     what follows is left out unless the value is set
    #: end
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

__all__ = ["FILES", "Values", "fill"]

FILES: Final = Path(__file__).parent / "files"

Values = Mapping[str, str | tuple[str, ...] | bool]
"""Name -> what stands in its place, or whether what depends on it is there."""

_IF: Final = re.compile(r"\s*#: if (\w+)$")
_END: Final = re.compile(r"\s*#: end$")
_PLACE: Final = re.compile(r"{{ (\w+) }}")


def fill(name: str, values: Values) -> str:
    """Return the text of the file *name* of `FILES` with *values* in it."""
    lines = (FILES / f"{name}.in").read_text(encoding="utf-8").splitlines()
    return "\n".join(_filled(lines, values)).strip("\n") + "\n"


def _filled(lines: list[str], values: Values) -> Iterator[str]:
    kept = [True]
    for line in lines:
        if condition := _IF.match(line):
            kept.append(kept[-1] and bool(values[condition[1]]))
        elif _END.match(line):
            kept.pop()
        elif kept[-1]:
            yield from _written(line, values)


def _written(line: str, values: Values) -> Iterator[str]:
    found = {name: values[name] for name in _PLACE.findall(line)}
    several = [value for value in found.values() if isinstance(value, tuple)]
    for index in range(len(several[0]) if several else 1):
        text = line
        for name, value in found.items():
            text = text.replace(f"{{{{ {name} }}}}", value[index] if isinstance(value, tuple) else str(value))
        yield text
