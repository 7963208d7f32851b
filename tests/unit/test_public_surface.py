"""What `import gatesocket` gives, and what it costs."""

import ast
import gc
import importlib
import pkgutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

import gatesocket
from gatesocket.delivery import Delivery

MODULES = [
    module.name
    for module in pkgutil.walk_packages(gatesocket.__path__, "gatesocket.")
    if not module.name.endswith("__main__")
]


def imported_by(statement: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after *statement*."""
    script = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-Ic", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_everything_that_is_offered_can_be_imported() -> None:
    for name in gatesocket.__all__:
        assert getattr(gatesocket, name).__name__ == name


def test_a_name_that_is_not_offered_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gatesocket' has no attribute 'Handler'"):
        gatesocket.Handler  # noqa: B018  # the access is the test


@pytest.mark.parametrize(
    "statement", ["import gatesocket", "import gatesocket.pytest_plugin"], ids=["library", "pytest plugin"]
)
def test_importing_costs_nothing_of_what_is_not_used(statement: str) -> None:
    heavy = {
        "boto3",
        "botocore",
        "fastapi",
        "starlette",
        "pydantic",
        "uvicorn",
        "moto",
        "samtranslator",
        "rich",
        "typer",
    }

    assert not imported_by(statement) & heavy


def test_the_handler_and_the_manager_need_neither_boto3_nor_the_emulator() -> None:
    loaded = imported_by(
        "import sys\nfrom gatesocket import ConnectionManager, WebSocketHandler\n"
        "assert not any(name.startswith('gatesocket.emulator') for name in sys.modules)"
    )

    assert not loaded & {"boto3", "botocore", "fastapi", "uvicorn", "moto", "samtranslator", "rich", "typer"}


@pytest.mark.parametrize("collects", [True, False])
@pytest.mark.parametrize("found", [True, False])
def test_what_is_imported_on_first_use_is_not_looked_through_by_the_collector(
    monkeypatch: pytest.MonkeyPatch, *, collects: bool, found: bool
) -> None:
    """A full collection in the middle of a cold start would go through all that FastAPI has made."""
    during: list[bool] = []

    def imported(name: str) -> object:
        during.append(gc.isenabled())
        if not found:
            raise ImportError(name)
        return SimpleNamespace(Delivery=Delivery)

    monkeypatch.setattr(gatesocket, "import_module", imported)
    monkeypatch.delitem(vars(gatesocket), "Delivery", raising=False)
    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        with nullcontext() if found else pytest.raises(ImportError, match=r"gatesocket\.delivery"):
            assert gatesocket.Delivery is Delivery
        after = gc.isenabled()
    finally:
        (gc.enable if before else gc.disable)()
        vars(gatesocket).pop("Delivery", None)

    assert (during, after) == ([False], collects)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_and_lists_only_what_it_has(name: str) -> None:
    module = importlib.import_module(name)

    assert module.__doc__
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), public


def test_the_library_imports_nothing_of_the_directories_that_use_it() -> None:
    source = Path(gatesocket.__path__[0])
    forbidden = {"chat", "handlers", "infra", "local", "tests", "benchmarks"}

    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            assert not {name.partition(".")[0] for name in names} & forbidden, path
