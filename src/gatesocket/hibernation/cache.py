"""What a build keeps of the passes' work, so that a cold start needn't do it again.

Beside the byte code of a module lies what `gatesocket compile` has made of its functions::

    chat/app.py
    chat/__pycache__/app.cpython-313.pyc
    chat/__pycache__/app.cpython-313.gatesocket

What the passes make of a function follows from its source, from what its names mean in the process, from the library
and from Python. So that nothing stale can be used, all of it is looked at before an entry is:

* the *first line* of the file tells Gatesocket's version, Python's, the version of its byte code, and how far it
  optimises;
* the *source* is the one that the entry was made of, by its SHA-256, and the function's own *code* equals the one that
  it was made of: byte code may be older than its source;
* the *facts* are true in this process. They are every question that the passes asked about names, with the answers:
  see `meanings`.

If anything of it differs, the function is transformed from its source, as it is without a cache: the result is the
same, and takes longer. A debug record says why.

Nobody but the build writes these files (`precompile`). Two builds of the same write the same bytes: there is no time in
them, no path, and nothing of what else the process held. They are trusted as the byte code is that lies beside them,
which is executed, too: whoever can write the one can write the other. But damaged byte code can crash an interpreter,
so that a hash of it is looked at first::

    gatesocket 1.2.0 cpython-313 f30d0d0a 0     the first line
    32 bytes                                    SHA-256 of what follows
    …                                           marshal: the source's SHA-256, and the entries
"""

import logging
import marshal
import sys
from collections.abc import Iterable
from hashlib import sha256
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from types import CodeType
from typing import Any, Final

from gatesocket.hibernation.snapshot import LIBRARY
from gatesocket.values import frozen

__all__ = ["SUFFIX", "Entry", "Facts", "Question", "dump", "file_of", "find", "holds", "moved"]

Question = tuple[str, ...]
"""The name of a question to `meanings`, and what it is about."""
Facts = tuple[tuple[Question, Any], ...]
"""Questions, with their answers."""

SUFFIX: Final = ".gatesocket"

_NAME: Final = b"gatesocket "
_HEAD: Final = b"%b%b %b %b %d\n" % (
    _NAME,
    LIBRARY.encode(),
    str(sys.implementation.cache_tag).encode(),
    MAGIC_NUMBER.hex().encode(),
    sys.flags.optimize,
)
_DIGEST_SIZE: Final = 32
_WITHOUT_REFERENCES: Final = 2
"""The version of marshal's format. Later ones refer back to what came before, or don't, by what else the process
holds."""

logger = logging.getLogger("gatesocket")


@frozen
class Entry:
    """What is kept of one function."""

    module: str
    code: CodeType
    """The function's own, before anything was changed."""
    wait: tuple[int, Facts] | None
    """How sure it is that a call of it waits for the client, and what that follows from; None if nobody asked."""
    unit: tuple[Any, ...] | None
    """What `units` has written of its unit; None if it was not adopted."""


def file_of(source: str) -> Path:
    """The file of what is kept of the module *source*.

    Raises:
        NotImplementedError: this Python has no name for such files.
    """
    return Path(cache_from_source(source)).with_suffix(SUFFIX)


def find(module: str, code: CodeType) -> Entry | None:
    """Find what is kept of the function in *module* whose own code is *code*; None if nothing is that fits.

    Whether its facts are true is still to be asked.
    """
    entries = _loaded.get(code.co_filename)
    if entries is None:
        entries = _loaded[code.co_filename] = _load(code.co_filename)
    entry = entries.get((module, code.co_qualname, code.co_firstlineno))
    if entry is None:
        return None
    if entry.code != code:
        logger.debug("%s of %s isn't taken from the cache: other code runs", code.co_qualname, code.co_filename)
        return None
    return entry


_loaded: dict[str, dict[tuple[str, str, int], Entry]] = {}
"""By the source file; then by module, qualified name and first line."""


def holds(code: CodeType, untrue: Question | None) -> bool:
    """Whether no fact of an entry for *code* is untrue; what *untrue* asks is, if it is there."""
    if untrue is None:
        return True
    name, *about = untrue
    logger.debug(
        "%s of %s isn't taken from the cache: here, another answer is true of %s(%s)",
        code.co_qualname,
        code.co_filename,
        name,
        ", ".join(about),
    )
    return False


def _load(source: str) -> dict[tuple[str, str, int], Entry]:
    try:
        data = file_of(source).read_bytes()
        text = Path(source).read_bytes()
    except (NotImplementedError, OSError):
        return {}
    if not data.startswith(_HEAD):
        head, line, _ = data.partition(b"\n")
        if line and head.startswith(_NAME):
            logger.debug("%s isn't used: it was written for another version, %r", file_of(source), head)
            return {}
        return _damaged(source)
    digest, payload = data[len(_HEAD) :][:_DIGEST_SIZE], data[len(_HEAD) + _DIGEST_SIZE :]
    if sha256(payload).digest() != digest:
        return _damaged(source)
    written_for, entries = marshal.loads(payload)  # noqa: S302 (as trustworthy as byte code, and undamaged)
    if written_for != sha256(text).digest():
        logger.debug("%s isn't used: %s was edited since", file_of(source), source)
        return {}
    found = (Entry(*entry) for entry in entries)
    return {(entry.module, entry.code.co_qualname, entry.code.co_firstlineno): entry for entry in found}


def _damaged(source: str) -> dict[tuple[str, str, int], Entry]:
    logger.warning(
        "%s is damaged, or was written by something else: the routes of %s are prepared from their source instead, "
        "which takes longer. Remove the file, or build again",
        file_of(source),
        source,
    )
    return {}


def dump(source: bytes, entries: Iterable[Entry]) -> bytes:
    """Write *entries* of functions of one module, whose text is *source*."""
    ordered = sorted(entries, key=lambda entry: (entry.code.co_firstlineno, entry.code.co_qualname))
    written = [(entry.module, moved(entry.code, ""), entry.wait, entry.unit) for entry in ordered]
    payload = marshal.dumps((sha256(source).digest(), written), _WITHOUT_REFERENCES)
    return _HEAD + sha256(payload).digest() + payload


def moved(code: CodeType, file: str) -> CodeType:
    """Copy *code*, and all codes in it, as those of another *file*."""
    constants = tuple(moved(each, file) if isinstance(each, CodeType) else each for each in code.co_consts)
    return code.replace(co_filename=file, co_consts=constants)
