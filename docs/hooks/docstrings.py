"""Docstrings as Markdown.

They are written for readers of the source: an example after ``::`` is indented, as in reStructuredText. Markdown takes
the indented lines for code as well, and the colons for text. And they name pages of docs/, which are pages of the site.
"""

import re
from textwrap import dedent
from typing import Any, Final

from griffe import Attribute, Extension, Object

__all__ = ["Docstrings", "markdown"]

_LITERAL: Final = re.compile(r"^(?P<before>.*?)::\n\n(?P<block>(?:(?: {4}.*)?\n)*(?: {4}.*\S.*)(?:\n|$))", re.MULTILINE)
_PAGE: Final = re.compile(r"\bdocs/(?P<name>[\w-]+)\.md\b")
_FACTS: Final = "[facts sheet](../api-gateway-facts.md)"
_PYTHON: Final = re.compile(r"^(?:async def|class|def|from|import|@|\w+ = )", re.MULTILINE)


class Docstrings(Extension):
    """Rewrites each docstring once it is read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if isinstance(obj, Attribute) and str(obj.value) == obj.name:
            obj.value = None  # `self.size = size` says nothing
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(docstring: str) -> str:
    """Return *docstring* with its examples in fences, and links to pages."""

    def fence(found: re.Match[str]) -> str:
        before = f"{found['before']}:\n\n" if found["before"].strip() else ""
        block = dedent(found["block"]).strip("\n")
        return f"{before}```{'python' if _PYTHON.search(block) else 'text'}\n{block}\n```\n"

    return _PAGE.sub(r"[\g<0>](../\g<name>.md)", _LITERAL.sub(fence, docstring)).replace("facts sheet", _FACTS)
