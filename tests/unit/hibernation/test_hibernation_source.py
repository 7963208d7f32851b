"""From a function to the syntax tree that it was compiled from, and back."""

import ast
import importlib.util
import linecache
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from gatesocket.hibernation.codes import NoSource, nested_codes
from gatesocket.hibernation.source import locate

Write = Callable[[str], ModuleType]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Write a module and import it."""
    file = tmp_path / "written_module.py"

    def write(text: str) -> ModuleType:
        file.write_text(text)
        spec = importlib.util.spec_from_file_location("written_module", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["written_module"] = module
        spec.loader.exec_module(module)
        linecache.checkcache(str(file))
        return module

    yield write
    sys.modules.pop("written_module", None)


def function(value: Any) -> FunctionType:
    assert isinstance(value, FunctionType)
    return value


# The way there and back: what is compiled in a function's place is what runs.

PLACES = {
    "a function": ("async def f(a, /, b=1, *c, d, **e):\n    return await a(b, c, d, e)\n", "module.f"),
    "one with imports that the compiler knows of": (
        "import json\nfrom os import path\ndef f(x):\n    return json.loads(path.join(x))\n",
        "module.f",
    ),
    "a method": ("class A:\n    def f(self):\n        return super().f() + self.__hidden\n", "module.A.f"),
    "a method of a class in a class": (
        "class A:\n    class B:\n        def f(self):\n            self.__x = 1\n",
        "module.A.B.f",
    ),
    "a closure": (
        "def outer(a):\n    b = 2\n    def f(c):\n        nonlocal b\n        b = a + c\n    return f\n",
        "module.outer(1)",
    ),
    "a closure in a method that knows its class": (
        "class A:\n    def m(self, a):\n        def f():\n            return __class__, self, a\n        return f\n",
        "module.A().m(1)",
    ),
    "a function under decorators": (
        "def same(f):\n    return f\n\n@same\n@(\n    same\n)\ndef f(x: 'int' = 1) -> int:\n    return x\n",
        "module.f",
    ),
    "a function whose decorator has one of its own": (
        "@(lambda f: f)\ndef f():\n    return 1\n",
        "module.f",
    ),
    "one of two with the same name": ("if True:\n    def f(): return 1\nelse:\n    def f(): return 2\n", "module.f"),
    "one that has others in it": (
        "def f():\n    g = lambda: [i for i in (j for j in range(3))]\n    class C:\n        x = 1\n    return g, C\n",
        "module.f",
    ),
    "one with deferred annotations": (
        "from __future__ import annotations\ndef f():\n    def g(x: Unknown) -> Unknown: ...\n    return g\n",
        "module.f",
    ),
}
if sys.version_info >= (3, 12):
    PLACES["one with type parameters"] = (
        "class A[T]:\n    def m[U](self, a):\n        def f(x: T) -> U:\n            return a, x\n        return f\n",
        "module.A().m(1)",
    )


@pytest.mark.parametrize(("text", "expression"), PLACES.values(), ids=PLACES)
def test_compiling_a_function_again_in_its_place_gives_what_runs(write: Write, text: str, expression: str) -> None:
    found = function(eval(expression, {"module": write(text)}))

    source = locate(found)

    assert source.node.name == found.__name__
    assert source.file == found.__code__.co_filename
    assert source.code is found.__code__
    assert source.compile(source.node) == found.__code__


def test_a_changed_function_fits_where_the_old_one_was(write: Write) -> None:
    module = write("def outer(a):\n    def f(b):\n        return a + b\n    return f\n")
    found = function(module.outer(1))
    source = locate(found)

    result = ast.parse("a * 10 + b", mode="eval").body
    changed = ast.copy_location(
        ast.FunctionDef(
            **{name: getattr(source.node, name) for name in source.node._fields if name != "body"},
            body=[ast.copy_location(ast.Return(result), source.node.body[0])],
        ),
        source.node,
    )
    found.__code__ = source.compile(ast.fix_missing_locations(changed))

    assert found(2) == 12


def test_compiling_executes_nothing_of_the_module(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    module = write("print('executed')\ndef f(): return 1\n")
    capsys.readouterr()

    locate(module.f).compile(locate(module.f).node)

    assert capsys.readouterr().out == ""


# The digest.


def test_formatting_and_comments_do_not_change_a_digest(write: Write) -> None:
    first = locate(write("def f(a,b):\n    return a+b\n").f).digest
    second = locate(
        write("# moved\n\n\n@staticmethod\ndef f(a, b):  # adds\n\n    return (a +\n        b)\n").f.__func__
    ).digest

    assert first == second


@pytest.mark.parametrize("text", ["def f(a, b):\n    return a - b\n", "def f(a, b=1):\n    return a + b\n"])
def test_other_code_or_other_parameters_do(write: Write, text: str) -> None:
    first = locate(write("def f(a, b):\n    return a + b\n").f).digest

    assert locate(write(text).f).digest != first


def test_a_text_that_is_no_unicode_can_be_hashed(write: Write) -> None:
    assert len(locate(write("def f():\n    return '\\ud800'\n").f).digest) == 12


# What can't be had.


def test_a_file_that_is_not_there_is_no_source(write: Write) -> None:
    module = write("def f(): ...\n")
    Path(str(module.__file__)).unlink()
    linecache.checkcache()

    with pytest.raises(NoSource, match=r"the source file .*written_module\.py can't be read"):
        locate(module.f)


def test_a_file_that_was_edited_since_is_not_what_runs(write: Write) -> None:
    module = write("def f():\n    return 1\n")
    Path(str(module.__file__)).write_text("def f():\n    return 10\n")
    linecache.checkcache()

    with pytest.raises(NoSource, match=r"written_module\.py is not what runs: it was edited, or rewritten at import"):
        locate(module.f)


def test_a_file_in_which_the_function_has_moved_has_no_such_function(write: Write) -> None:
    module = write("def f():\n    return 1\n")
    Path(str(module.__file__)).write_text("\n\ndef f():\n    return 1\n")
    linecache.checkcache()

    with pytest.raises(NoSource, match=r"no `def f` begins at line 1 of .*written_module\.py"):
        locate(module.f)


def test_a_file_that_no_longer_compiles_was_edited(write: Write) -> None:
    module = write("def f():\n    return 1\n")
    Path(str(module.__file__)).write_text("def f(:\n")
    linecache.checkcache()

    with pytest.raises(NoSource, match="has been edited and no longer compiles"):
        locate(module.f)


def test_a_lambda_has_no_def() -> None:
    with pytest.raises(NoSource, match="no `def <lambda>` begins at line"):
        locate(function(lambda: 1))


def test_a_function_made_by_exec_has_no_source() -> None:
    namespace: dict[str, Any] = {}
    exec("def f(): ...", namespace)

    with pytest.raises(NoSource, match="the source file <string> can't be read"):
        locate(namespace["f"])


def test_nested_codes_are_those_of_the_functions_directly_in_it() -> None:
    def outer() -> Any:
        def inner() -> Any:
            return lambda: 1

        return inner

    assert [code.co_name for code in nested_codes(outer.__code__)] == ["inner"]
