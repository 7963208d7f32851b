"""How the record of other people's tests is read and compared; the tests themselves are `make test-foreign`."""

from dataclasses import replace

import pytest

from foreign.run import QUIRK, RECORD, Recorded, compare, read

TEXT = """
# Tests

## Starlette 1.2: 1 of 3, 2 with headers of refusals

| doesn't pass | with headers of refusals | because |
| --- | --- | --- |
| `tests/a.py::test_b[x]` | | of this |
| `tests/a.py::test_c` | passes | of that |

## FastAPI 0.1.0rc1: 4 of 4, 4 with headers of refusals
"""
STARLETTE = Recorded("starlette", "1.2", 1, 3, frozenset({"tests/a.py::test_b[x]", "tests/a.py::test_c"}))
WITH_HEADERS = Recorded("starlette", "1.2", 2, 3, frozenset({"tests/a.py::test_b[x]"}), QUIRK)
FASTAPI = Recorded("fastapi", "0.1.0rc1", 4, 4, frozenset())


def test_the_record_is_a_heading_and_a_table_for_each_package_and_tells_of_two_runs() -> None:
    assert list(read(TEXT)) == [STARLETTE, WITH_HEADERS, FASTAPI, replace(FASTAPI, quirk=QUIRK)]


def test_the_record_names_as_many_tests_as_it_counts() -> None:
    for recorded in read(RECORD.read_text()):
        assert recorded.total - recorded.passed == len(recorded.failing)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({}, []),
        (
            {"tests/a.py::test_a": "failed"},
            ["starlette: tests/a.py::test_a fails, which isn't recorded", "starlette: recorded are 1 of 3"],
        ),
        (
            {"tests/a.py::test_c": "passed"},
            [
                "starlette: tests/a.py::test_c is recorded as failing, and passes",
                "starlette: recorded are 1 of 3",
            ],
        ),
        ({"tests/a.py::test_d": "passed"}, ["starlette: recorded are 1 of 3"]),
    ],
)
def test_every_difference_from_the_record_is_named(changes: dict[str, str], problems: list[str]) -> None:
    outcomes = {"tests/a.py::test_a": "passed", "tests/a.py::test_b[x]": "failed", "tests/a.py::test_c": "skipped"}
    assert list(compare(STARLETTE, outcomes | changes)) == problems


def test_a_difference_says_which_run_it_is_of() -> None:
    outcomes = {"tests/a.py::test_a": "passed", "tests/a.py::test_b[x]": "failed", "tests/a.py::test_c": "failed"}
    problem = next(compare(WITH_HEADERS, outcomes))
    assert problem == "starlette with refusal_carries_headers=true: tests/a.py::test_c fails, which isn't recorded"


def test_a_recorded_test_that_is_gone_is_named() -> None:
    gone = compare(STARLETTE, {"tests/a.py::test_a": "passed", "tests/a.py::test_c": "failed"})
    assert next(gone) == "starlette: tests/a.py::test_b[x] is recorded as failing, and isn't there"
