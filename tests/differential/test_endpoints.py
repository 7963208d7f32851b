"""Every endpoint of ``endpoints/`` does the same hibernating as it does as one long-lived coroutine."""

from functools import partial
from pathlib import Path

import pytest

from gatesocket.hibernation import prepare
from support.lives import hibernating, load, long_lived

MODULES = sorted((Path(__file__).parent / "endpoints").glob("*.py"))
CASES = [pytest.param(path, name, id=f"{path.stem}-{name}") for path in MODULES for name in load(path).endpoint.frames]


@pytest.mark.parametrize(("path", "name"), CASES)
async def test_both_lives_are_the_same(path: Path, name: str) -> None:
    image = partial(load, path, only=name)
    module = image()
    frames, url = module.endpoint.frames[name], module.endpoint.paths[name]
    expected = await long_lived(module, url, frames)
    assert expected, "nothing happened that could differ"

    prepare(module.app)
    assert await long_lived(module, url, frames) == expected, "transformed, but not hibernating"

    assert await hibernating(image, url, frames) == expected


def test_there_are_enough_endpoints() -> None:
    assert len(CASES) >= 150
