"""Processes that find what a build has kept of the passes' work."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from gatesocket.hibernation import cache, meanings, units
from gatesocket.hibernation import transform as passes
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.units import Unit

__all__ = ["alone", "flipped", "forget", "parts", "transformed", "written"]


def forget(monkeypatch: pytest.MonkeyPatch, loaded: dict[str, Any] | None = None) -> None:
    """Make this process one in which nothing was adopted yet; *loaded* is what it has read of the cache."""
    for name in ("_by_code", "_by_key", "_running", "_seen"):
        monkeypatch.setattr(units, name, {})
    for name in ("waits", "grounds"):
        monkeypatch.setattr(meanings, name, {})
    monkeypatch.setattr(cache, "_loaded", {} if loaded is None else loaded)


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no class that other tests have derived from the socket's: such a one has a meaning until it is collected."""
    monkeypatch.setattr(meanings, "_subclasses", lambda cls: iter(()))


def transformed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the functions that from now on go through the passes, or are looked into; not those of libraries."""
    names: list[str] = []

    def spy(module: Any, name: str) -> None:
        made_by = getattr(module, name)

        def noted(function: Any) -> Any:
            if origin(function.__code__.co_filename) is Origin.OWN:
                names.append(function.__qualname__)
            return made_by(function)

        monkeypatch.setattr(module, name, noted)

    spy(passes, "transform")
    spy(meanings, "_wait_by_source")
    return names


def parts(unit: Unit) -> dict[str, Any]:
    """What a unit consists of, to be compared, with the files of its code."""
    return {field.name: getattr(unit, field.name) for field in fields(unit)} | {"files": _files(unit.code)}


def _files(code: Any) -> set[str]:
    return {code.co_filename}.union(*(_files(each) for each in code.co_consts if hasattr(each, "co_filename")))


def flipped(data: bytes, place: int) -> bytes:
    """*data* with one bit that is another."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def written(directory: Path) -> dict[str, bytes]:
    """What a build has kept in *directory*."""
    return {path.name: path.read_bytes() for path in directory.rglob(f"*{cache.SUFFIX}")}
