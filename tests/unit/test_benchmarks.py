"""The benchmarks run, and write what they print; nothing here looks at how long anything takes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(name: str, results: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a benchmark, with one sample of everything unless *options* say otherwise."""
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--results", str(results), "--samples", "1", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=55)


def tables(name: str, results: Path) -> list[list[dict[str, Any]]]:
    """Run a benchmark and return the rows of its tables."""
    done = run(name, results)
    assert done.returncode == 0, done.stderr
    written = json.loads((results / f"{name}.json").read_text())
    assert written["machine"]["versions"]["gatesocket"]
    for table in written["tables"]:
        assert table["title"] in done.stdout
    return [table["rows"] for table in written["tables"]]


def test_hibernation_compares_both_lives_of_each_endpoint(tmp_path: Path) -> None:
    costs, preparing, chat = tables("hibernation", tmp_path)

    assert "FastAPI, 10 plain locals" in [row["endpoint"] for row in costs]
    assert all(row["long-lived, µs"] > 0 and row["hibernating, µs"] > 0 for row in costs)
    assert all(row["routes"] > 1 for row in preparing)
    assert all(0 < row["snapshot, bytes"] < 400 for row in chat)


def test_the_handler_stands_beside_what_is_written_by_hand(tmp_path: Path) -> None:
    (rows,) = tables("handler", tmp_path)

    assert [row[""].partition(":")[0] for row in rows] == [
        "Gatesocket, without its AWS calls",
        "Gatesocket",
        "boto3 by hand",
        "Mangum, HTTP",
    ]


def test_a_cold_start_is_measured_in_processes_of_its_own(tmp_path: Path) -> None:
    (rows,) = tables("cold_start", tmp_path)

    assert all(row["ms"] > 0 and row["CPU, ms"] > 0 for row in rows)


def test_without_a_sample_there_is_no_median(tmp_path: Path) -> None:
    done = run("hibernation", tmp_path, "--samples", "0")

    assert done.returncode == 2
    assert "a median needs at least 1 sample, but --samples is 0" in done.stderr
