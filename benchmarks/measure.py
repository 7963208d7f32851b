"""What the benchmarks share: fair samples of CPU time, tables, and results as JSON.

CPU time and not the clock, because a laptop and a CI machine do other things besides. It is that of the whole process:
clients that block run in threads, and their work counts.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.console import Console
from rich.table import Table

__all__ = ["Options", "Results", "Subject", "calls", "cpu_microseconds", "options", "report", "rounds"]

RESULTS: Final = Path(__file__).parent / "results"

SAMPLE_MICROSECONDS: Final = 20_000
"""How long one sample is to be: long for the clock and the garbage collector, short for whatever disturbs."""

PACKAGES: Final = ("gatesocket", "boto3", "botocore", "fastapi", "mangum", "pydantic", "starlette")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    samples: int
    """How often each subject is measured."""
    seconds: float
    """After so long no further round of samples is begun."""
    results: Path
    """The directory that the JSON is written to."""
    quick: bool = False
    """Whether to leave out the cases that take longest."""


def options(description: str, *, samples: int, seconds: float, arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; *samples* and *seconds* are its defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--samples", type=int, default=samples, help="of each subject (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=seconds, help="after which no round of samples begins (default: %(default)s)"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="leave out the cases that take longest")
    chosen = parser.parse_args(arguments)
    if chosen.samples < 1:
        parser.error(f"a median needs at least 1 sample, but --samples is {chosen.samples}")
    return Options(chosen.samples, chosen.seconds, chosen.results, chosen.quick)


@dataclass(frozen=True, slots=True)
class Subject:
    """Something to measure."""

    name: str
    repeat: Callable[[int], None]
    """Does it so many times."""


def cpu_microseconds(subjects: Sequence[Subject], chosen: Options) -> dict[str, float]:
    """Return the CPU time that each of *subjects* takes, in microseconds: the median of its samples.

    The subjects take turns, so that a machine which gets slower in between makes all of them slower, and the ratios
    stay true. At least one sample of each is taken, however short the time.
    """
    sizes = {subject.name: _sample_size(subject) for subject in subjects}
    samples: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    for _ in rounds(chosen):
        for subject in subjects:
            samples[subject.name].append(_sample(subject, sizes[subject.name]))
    return {name: statistics.median(taken) for name, taken in samples.items()}


def calls(subject: Subject, *, times: int = 20) -> int:
    """Return how many functions *subject* calls in this thread, Python's and C's, each time.

    It is the same on every machine, however busy. It isn't time: a function may do much or little.
    """
    counted = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        subject.repeat(times)
    finally:
        sys.setprofile(None)
    return round(counted / times)


def rounds(chosen: Options) -> Iterator[int]:
    """Count the rounds of samples that there is time for; one at least."""
    end = time.monotonic() + chosen.seconds
    for number in range(chosen.samples):
        yield number
        if time.monotonic() > end:
            return


def _sample_size(subject: Subject) -> int:
    """Find out how many times make one sample; the subject is warm afterwards."""
    once = _sample(subject, 2)  # imports and caches
    once = _sample(subject, max(2, int(SAMPLE_MICROSECONDS / 10 / once)))
    return max(2, int(SAMPLE_MICROSECONDS / once))


def _sample(subject: Subject, times: int) -> float:
    begin = time.process_time_ns()
    subject.repeat(times)
    return (time.process_time_ns() - begin) / 1000 / times


@dataclass(frozen=True, slots=True)
class Results:
    """One table."""

    title: str
    rows: Sequence[Mapping[str, Any]]
    """All with the same keys, which are the columns."""


def report(name: str, tables: Sequence[Results], chosen: Options) -> None:
    """Print the tables, and write them to the file *name* as JSON."""
    # As wide as the tables need: what goes into a pipe isn't to be cut.
    console = Console(width=max(Console().width, 120))
    for results in tables:
        columns = list(results.rows[0])
        table = Table(title=results.title, title_justify="left", min_width=len(results.title))
        for column in columns:
            table.add_column(column, justify="left" if column == columns[0] else "right")
        for row in results.rows:
            table.add_row(*(_shown(row[column]) for column in columns))
        console.print(table)
    chosen.results.mkdir(parents=True, exist_ok=True)
    content = {"benchmark": name, "machine": asdict(_machine()), "tables": [asdict(results) for results in tables]}
    (chosen.results / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


@dataclass(frozen=True, slots=True)
class _Machine:
    date: str
    python: str
    platform: str
    cpus: int
    load: tuple[float, float, float]
    """The load averages: a busy machine explains odd figures."""
    versions: dict[str, str]


def _machine() -> _Machine:
    return _Machine(
        datetime.now(UTC).isoformat(timespec="seconds"),
        platform.python_version(),
        platform.platform(),
        os.cpu_count() or 0,
        os.getloadavg(),
        {package: version(package) for package in PACKAGES},
    )
