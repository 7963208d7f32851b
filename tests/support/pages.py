"""The pages of the documentation, and what their code blocks make when they are run.

The Python blocks of a page run one after the other, as one file. A block that begins with a comment like ``# app.py``
is in that file; one that says no file is in the file of the page's first block. What a page takes for granted, such as
the ``app`` that its routes are added to, is in ``tests/docs/given/<page>.py``.

A block that can't run says why, in a comment before it: ``<!-- not run: it needs an AWS account -->``.
"""

import ast
import asyncio
import inspect
import re
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
from starlette.types import Message
from starlette.websockets import WebSocket

from gatesocket.jobs import drain

__all__ = ["PAGES", "Block", "Shown", "blocks", "name_of", "silent_socket"]

ROOT: Final = Path(__file__).parents[2]
GIVEN: Final = ROOT / "tests" / "docs" / "given"
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE: Final = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+) -->\n+)?^```(?P<language>[\w-]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_FILE: Final = re.compile(r"# (?P<file>[\w/]+\.(?:py|yaml))$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    """Of its first line, in the page."""
    reason: str | None
    """Why it isn't run; None if it is."""

    @property
    def file(self) -> str | None:
        """The file that it says to be a part of."""
        found = _FILE.match(self.text)
        return found["file"] if found else None


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the blocks of *page* in *languages*, in their order."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(each["language"], each["text"], text.count("\n", 0, each.start("text")) + 1, each["reason"])
        for each in _FENCE.finditer(text)
    ]
    return [block for block in found if block.language in languages]


def name_of(page: Path) -> str:
    """Return a page's name, as the ids of tests have it."""
    return str(page.relative_to(ROOT))


class Shown:
    """The modules that the Python blocks of one page make.

    Lines of the files are those of the page, so that a traceback names the line that a reader sees.
    """

    def __init__(self, page: Path, directory: Path, patch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
        self._page = page
        self.directory = directory
        """Where its files are, those of other languages too."""
        self._patch = patch
        self._blocks = [block for block in blocks(page, "python") if block.reason is None]
        named = self._blocks[0].file if self._blocks else None
        self.file = named or f"shown_{re.sub(r'[^a-z]', '_', page.stem.lower())}.py"
        """The file of the blocks that name none."""
        patch.syspath_prepend(directory)
        self._write()
        vars(self.module()).update(given)
        takes = GIVEN / f"{page.stem.lower().replace('-', '_')}.py"
        if takes.exists():
            self._execute(takes.read_text(encoding="utf-8"), takes, self.module())
        for block in self._blocks:
            file = block.file or self.file
            if Path(file).name.startswith("test_"):
                continue  # pytest's
            self._execute("\n" * (block.line - 1) + block.text, directory / file, self.module(file))

    def __getitem__(self, name: str) -> Any:
        return vars(self.module())[name]

    def module(self, file: str | None = None) -> ModuleType:
        """Return the module that *file* is; None for that of the blocks that name none."""
        name = (file or self.file).removesuffix(".py").replace("/", ".")
        if name not in sys.modules or not hasattr(sys.modules[name], "__shown__"):
            made = ModuleType(name)
            made.__file__ = str(self.directory / (file or self.file))
            vars(made)["__shown__"] = True
            self._patch.setitem(sys.modules, name, made)
        return sys.modules[name]

    @property
    def test_files(self) -> list[str]:
        """The files of tests that the page shows, from `directory`."""
        files = {block.file for block in self._blocks if block.file}
        return sorted(file for file in files if Path(file).name.startswith("test_"))

    def tests(self) -> list[Any]:
        """Return the tests that the page shows beside the code that they are for."""
        names = dict(vars(self.module()))
        return [value for name, value in names.items() if name.startswith("test_") and callable(value)]

    def _write(self) -> None:
        """Write the files, because a route hibernates by its source."""
        texts: dict[str, str] = {}
        for block in self._blocks:
            before = texts.get(file := block.file or self.file, "")
            texts[file] = before + "\n" * (block.line - 1 - before.count("\n")) + block.text
        texts |= {block.file: block.text for block in blocks(self._page, "yaml") if block.file}
        for file, text in texts.items():
            path = self.directory / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _execute(self, text: str, path: Path, module: ModuleType) -> None:
        # An `await` outside of any function stands for a place in one.
        code = compile(text, path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.get_event_loop().run_until_complete(_finished(eval(code, vars(module))))
        else:
            exec(code, vars(module))


def silent_socket() -> WebSocket:
    """Return the socket of a client that only connects, for pages that send without a route."""

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        pass

    return WebSocket({"type": "websocket", "headers": []}, receive, send)


async def _finished(running: Coroutine[Any, Any, None]) -> None:
    await running
    await drain()  # what was enqueued runs in the background of this event loop, and ends with it
