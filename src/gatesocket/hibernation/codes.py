"""Code objects: which was made of which, and what is in them."""

from collections.abc import Iterator
from types import CodeType, FunctionType

__all__ = ["NoSource", "module_of", "nested_codes", "original", "originals"]

originals: dict[CodeType, CodeType] = {}
"""The code that each transformed code was made of."""


class NoSource(Exception):
    """The source of a function can't be had, or isn't what runs; the text says which."""


def original(code: CodeType) -> CodeType:
    """The code that *code* was made of: itself if it isn't transformed."""
    return originals.get(code, code)


def module_of(function: FunctionType) -> str:
    """The name of the module whose globals *function* has; ``__module__`` is another's under `functools.wraps`."""
    return str(function.__globals__.get("__name__", ""))


def nested_codes(code: CodeType) -> Iterator[CodeType]:
    """Iterate over the code objects of the functions defined directly in *code*."""
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))
