"""Programs that nobody has written do the same in both lives."""

import os
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from gatesocket.hibernation import prepare
from support.lives import hibernating, load_source, long_lived
from support.programs import Program, programs

# `make test-nightly` asks for more.
THOUSANDS = int(os.environ.get("GENERATED_PROGRAMS", "2000"))

same = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


async def check(program: Program) -> None:
    image = partial(load_source, program.source)
    module = image()
    expected = without_lines(await long_lived(module, "/", program.frames))
    prepare(module.app)
    inert = without_lines(await long_lived(module, "/", program.frames))
    assert inert == expected, "transformed, but not hibernating"
    assert without_lines(await hibernating(image, "/", program.frames)) == expected


def without_lines(transcript: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Forget where errors came from: one that was kept while its handler waited is raised again at the ``try``."""
    return [event[:3] if event[0] == "error" else event for event in transcript]


@pytest.mark.timeout(300)  # it takes 10 s, but much longer on a busy machine with coverage
@settings(same, max_examples=80)
@given(program=programs())
async def test_both_lives_of_a_random_program_are_the_same(program: Program) -> None:
    await check(program)


@pytest.mark.slow
@pytest.mark.timeout(5 + 2 * THOUSANDS)
@settings(same, max_examples=THOUSANDS)
@given(program=programs())
async def test_both_lives_of_thousands_of_programs_are_the_same(program: Program) -> None:
    await check(program)
