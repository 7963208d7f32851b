"""What is stored of a hibernated route, as bytes.

::

    offset  bytes
    0       2      "G" and the number of this format
    2       1      "j" for JSON, "z" for JSON that zlib made smaller
    3       4      CRC-32 of what follows: a damaged snapshot is told from one that was written so
    7       …      UTF-8 JSON

The JSON is an object with ``py`` (the Python version whose syntax trees the digests are of), ``lib`` (Gatesocket's),
``f`` (the frames, outermost first), and where there is something to say ``s`` (members of ``scope["state"]``), ``c``
(context variables), ``d`` (dependencies), ``t`` (the deadlines of open blocks) and ``u`` (when a sleep ends). Readers
ignore keys that they don't know, so that later releases can add some.
"""

import json
import sys
import zlib
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from pydantic_core import from_json, to_json

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation.timers import earliest

__all__ = ["LIBRARY", "Frame", "Snapshot", "name_of"]

_MAGIC = b"G1"
_HEADER = len(_MAGIC) + 5
_LARGEST = 16 * 1024 * 1024
"""Bytes of JSON: far above what an item of the table holds, far below what would hurt."""
_SMALL = 512
"""Bytes of JSON that aren't compressed: it would take as long as all the rest, and save next to nothing."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY = version("gatesocket")
"""The version of this library."""


# Neither of the two is frozen, and neither is ever changed: freezing them would take as long as writing them.


@dataclass(slots=True)
class Frame:
    """One function of the route, where it waits."""

    key: str
    """`Unit.key`."""
    point: int
    direct: bool
    """Whether it awaits the next frame itself; else it makes its call again."""
    locals: dict[str, Any]
    """Encoded."""
    cells: tuple[list[Any], list[Any]] | str | None = None
    """The encoded variables that it shares with functions around it, or the name of the function that has them; None if
    it shares none, or its caller makes it anew."""

    @property
    def name(self) -> str:
        """The function's module and qualified name."""
        return name_of(self.key)


def name_of(key: str) -> str:
    """The module and qualified name in a unit's key."""
    return key.partition("#")[0]


@dataclass(slots=True)
class Snapshot:
    """A hibernated route."""

    frames: tuple[Frame, ...]
    state: dict[str, Any] = field(default_factory=dict)
    context: list[tuple[str, Any]] = field(default_factory=list)
    dependencies: Any = None
    """What `dependencies.Solved` wrote; None if FastAPI has resolved none."""
    deadlines: dict[tuple[int, int], int | None] = field(default_factory=dict)
    """When the blocks with a deadline run out, in milliseconds since the epoch, by the numbers of the frame and of the
    block; None for one whose deadline was taken away."""
    until: int | None = None
    """When the sleep ends that the route waits in, in milliseconds since the epoch; None if it waits for a message."""

    @property
    def due(self) -> int | None:
        """When to wake the route if nothing else does, in milliseconds since the epoch; None for never."""
        if not self.deadlines:
            return self.until
        return earliest((self.until, *self.deadlines.values()))

    def dump(self) -> bytes:
        """Write the snapshot."""
        frames: list[list[Any]] = []
        for frame in self.frames:
            frames.append([frame.key, frame.point, int(frame.direct), frame.locals])
            if frame.cells:
                frames[-1].append(frame.cells)
        content: dict[str, Any] = {"py": _PYTHON, "lib": LIBRARY, "f": frames}
        if self.state:
            content["s"] = self.state
        if self.context:
            content["c"] = self.context
        if self.dependencies is not None:
            content["d"] = self.dependencies
        if self.deadlines:
            content["t"] = [[*place, time] for place, time in self.deadlines.items()]
        if self.until is not None:
            content["u"] = self.until
        kind, body = b"j", _json(content)
        if len(body) > _SMALL:
            compressed = zlib.compress(body)
            kind, body = min((b"z", compressed), (kind, body), key=lambda each: len(each[1]))
        return _MAGIC + kind + zlib.crc32(kind + body).to_bytes(4, "big") + body

    @classmethod
    def load(cls, data: bytes) -> "Snapshot":
        """Read what `dump` wrote.

        Raises:
            SnapshotError: it is damaged, or was written by another version of Python.
        """
        if data[:2] != _MAGIC:
            raise SnapshotError("the snapshot is damaged, or was written by another version of Gatesocket")
        kind, body = data[2:3], data[_HEADER:]
        if zlib.crc32(kind + body).to_bytes(4, "big") != data[3:_HEADER]:
            raise SnapshotError("the snapshot is damaged: its checksum is wrong")
        try:
            if kind == b"z":
                reader = zlib.decompressobj()
                body = reader.decompress(body, _LARGEST)
                if not reader.eof:
                    raise SnapshotError(f"the snapshot is damaged: it is cut off, or longer than {_LARGEST} bytes")
            content = _content(body)
            if content["py"] != _PYTHON:
                raise SnapshotError(f"the route hibernated under Python {content['py']} and can't wake under {_PYTHON}")
            frames = tuple([_frame(*frame) for frame in content["f"]])
            state = content.get("s", {})
            if not frames or not isinstance(state, dict):
                raise SnapshotError("the snapshot is damaged: nothing is in it")
            context = [(name, value) for name, value in content["c"]] if "c" in content else []
            timed = content.get("t", ())
            deadlines = {(frame, block): _time(time) for frame, block, time in timed} if timed else {}
            return cls(frames, state, context, content.get("d"), deadlines, _time(content.get("u")))
        except (LookupError, RecursionError, TypeError, ValueError, zlib.error) as error:
            raise SnapshotError(f"the snapshot is damaged: {error}") from error


def _json(content: Any) -> bytes:
    try:
        return to_json(content)
    except ValueError:
        # Python's own takes twice as long, and lone surrogates and deep nesting too.
        return _ENCODER.encode(content).encode("utf-8", "surrogatepass")


def _content(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:  # what `_json` left to Python's own, or damage
        return json.loads(body.decode("utf-8", "surrogatepass"))


def _time(value: Any) -> int | None:
    if value is not None and type(value) is not int:
        raise TypeError(f"{value!r} is no time")
    return value


def _frame(key: Any, point: Any, direct: Any, members: Any, cells: Any = None) -> Frame:
    if type(key) is not str or type(point) is not int or not isinstance(members, dict):
        raise TypeError(f"{key!r} is no frame")
    if isinstance(cells, list):
        places, contents = cells
        cells = (places, contents)
    return Frame(key, point, bool(direct), members, cells)
