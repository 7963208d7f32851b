"""Docstrings as Markdown.

They are written for readers of the source: an example after ``::`` is indented, as in reStructuredText. Markdown takes
the indented lines for code as well, and the colons for text.
"""

import re
from textwrap import dedent
from typing import Any, Final

from griffe import Extension, Object

__all__ = ["Docstrings", "markdown"]

_LITERAL: Final = re.compile(r"^(?P<before>.*?)::\n\n(?P<block>(?:(?: {4}.*)?\n)*(?: {4}.*\S.*)(?:\n|$))", re.MULTILINE)
_PYTHON: Final = re.compile(r"^(?:async def|class|def|from|import|@|\w+ = )", re.MULTILINE)


class Docstrings(Extension):
    """Rewrites each docstring once it is read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(docstring: str) -> str:
    """Return *docstring* with its examples in fences."""

    def fence(found: re.Match[str]) -> str:
        before = f"{found['before']}:\n\n" if found["before"].strip() else ""
        block = dedent(found["block"]).strip("\n")
        return f"{before}```{'python' if _PYTHON.search(block) else 'text'}\n{block}\n```\n"

    return _LITERAL.sub(fence, docstring)
