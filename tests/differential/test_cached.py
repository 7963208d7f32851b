"""What a build keeps of the passes' work is what they would do again: for every endpoint of ``endpoints/``."""

import gc
import sys
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from differential.test_endpoints import CASES, MODULES
from gatesocket.hibernation import meanings, prepare, units
from gatesocket.hibernation.meanings import Meanings, Wait
from gatesocket.hibernation.precompile import precompile
from gatesocket.hibernation.transform import transform
from support.ahead import forget, parts, transformed
from support.lives import hibernating, load, long_lived

TESTS = Path(__file__).parents[1]
Adopted = dict[tuple[str, Any], Any]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a build has put what it keeps."""
    directory = tmp_path_factory.mktemp("kept")
    gc.collect()  # classes that other tests have derived from the socket's, which has a meaning
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "pycache_prefix", str(directory))
        forget(patch)
        for path in MODULES:
            precompile(load(path).app, TESTS)
    return directory


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    """What was read of it."""
    return {}


@pytest.fixture
def fresh(kept: Path, loaded: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A process that finds what the build has kept; the functions that it transforms nevertheless."""
    monkeypatch.setattr(sys, "pycache_prefix", str(kept))
    forget(monkeypatch, loaded)
    return transformed(monkeypatch)


# That the units are the same is tested for all of them, below; what this adds takes its time.
EIGHTH = [
    pytest.param(*case.values, id=case.id, marks=[pytest.mark.slow] if number % 8 else [])
    for number, case in enumerate(CASES)
]


@pytest.mark.parametrize(("path", "name"), EIGHTH)
async def test_a_route_from_the_cache_does_as_one_long_life(fresh: list[str], path: Path, name: str) -> None:
    module = load(path, only=name)
    frames, url = module.endpoint.frames[name], module.endpoint.paths[name]
    expected = await long_lived(module, url, frames)

    assert await hibernating(partial(load, path, only=name), url, frames) == expected
    # What a function defines when it runs has no meanings before.
    assert [each for each in fresh if "<locals>" not in each] == []


def adopted(path: Path) -> Adopted:
    prepare(load(path).app)
    return {(unit.module, unit.original): parts(unit) for unit in units.adopted()}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_what_comes_from_the_cache_is_what_the_passes_make(
    fresh: list[str], monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    from_cache = adopted(path)
    assert fresh == []

    monkeypatch.setattr(sys, "pycache_prefix", str(path.parent / "nothing is here"))
    forget(monkeypatch)
    assert adopted(path) == from_cache
    assert fresh != []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_passes_learn_no_more_of_the_process_than_the_facts(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """They are given the answers of another process, and nothing else: it has to be enough."""
    forget(monkeypatch)
    monkeypatch.setattr(sys, "pycache_prefix", str(path.parent / "nothing is here"))
    functions: list[FunctionType] = []
    make = units._transformed

    def noting(function: FunctionType) -> Any:
        functions.append(function)
        return make(function)

    monkeypatch.setattr(units, "_transformed", noting)
    prepare(load(path).app)

    assert functions
    for function in functions:
        unit = next(unit for unit in units.adopted() if function.__code__ in {unit.code, unit.original})
        with monkeypatch.context() as patch:
            patch.setattr(meanings.Meanings, "of", partial(_Told, unit.facts))
            assert parts(transform(function)) == parts(unit)


class _Told(Meanings):
    """Knows nothing but the answers."""

    def __init__(self, facts: Any, function: FunctionType) -> None:
        super().__init__({})
        for question, answer in facts:
            self.facts[question] = Wait(answer) if question[0] == "wait" and answer is not None else answer

    def find(self, path: str) -> Any:
        raise AssertionError(f"nobody has told what {path} is")
