"""The benchmarks run, and write what they print; nothing here looks at how long anything takes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(name: str, results: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a benchmark, with one sample of everything unless *options* say otherwise."""
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--results", str(results), "--samples", "1", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)


def tables(name: str, results: Path, *options: str) -> list[list[dict[str, Any]]]:
    """Run a benchmark and return the rows of its tables."""
    done = run(name, results, *options)
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
        "Gatesocket, its AWS calls answered before they are sent",
        "Gatesocket, the same, and asleep before each answer",
        "Gatesocket",
        "boto3 by hand",
        "Mangum, HTTP",
    ]
    counted = [row["function calls"] for row in rows]
    assert 0 < counted[0] < counted[1] < counted[2] < counted[3] < counted[4], "boto3 calls most"


def test_a_cold_start_is_measured_in_processes_of_its_own(tmp_path: Path) -> None:
    (rows,) = tables("cold_start", tmp_path)

    assert all(row["ms"] > 0 and row["CPU, ms"] > 0 for row in rows)


def test_a_broadcast_is_measured_by_the_number_of_members_and_of_processes(tmp_path: Path) -> None:
    alone, fanned_out = tables("broadcast", tmp_path, "--quick")

    assert [row["members"] for row in alone] == [100, 1_000] * 2
    assert all(0 < row["first, ms"] <= row["last, ms"] for row in alone)
    assert [row["processes"] for row in fanned_out] == [1, 2, 4]


def test_costs_are_counted_call_by_call(tmp_path: Path) -> None:
    units, messages, idle, shards = tables("costs", tmp_path)

    calls = {row["event"]: row["calls"] for row in units}
    assert calls["CONNECT: Gatesocket"] == "PutItem, BatchWriteItem"
    assert calls["MESSAGE, broadcast: Gatesocket"] == "UpdateItem, Query, UpdateItem"
    assert calls["MESSAGE, broadcast: the sample"] == "Scan"
    written = {row["event"]: row["write units"] for row in units}
    # A record and three memberships of up to 1 KB each; the same once more and a lease taken.
    assert (written["CONNECT: Gatesocket"], written["DISCONNECT: Gatesocket"]) == (4, 5)
    assert [row["members"] for row in messages] == [10, 100, 1_000]
    assert idle[-1]["Gatesocket, $"] == sum(row["Gatesocket, $"] for row in idle[:-1])
    assert [row["0 members, units"] for row in shards] == [row["shards"] for row in shards]


def test_without_a_sample_there_is_no_median(tmp_path: Path) -> None:
    done = run("hibernation", tmp_path, "--samples", "0")

    assert done.returncode == 2
    assert "a median needs at least 1 sample, but --samples is 0" in done.stderr


def test_a_load_loses_nothing(tmp_path: Path) -> None:
    few = ("--idle", "20", "--senders", "4", "--rate", "100", "--seconds", "0.5")
    (rows,) = tables("load", tmp_path, *few)

    assert [(row["idle"], row["sent"], row["lost"]) for row in rows] == [(20, 50, 0)] * 2
    assert all(row["CPU/message, µs"] > 0 for row in rows)


def test_round_trips_are_compared_with_the_same_app_under_uvicorn(tmp_path: Path) -> None:
    """Without the peers, which it would install."""
    answering, posting = tables("round_trip", tmp_path, "--without-peers")

    assert [row["server"].partition(", ")[2].partition(",")[0] for row in (*answering, *posting)] == [
        "the route",
        "plain function",
        "the route",
        "FastAPI route that hibernates",
        "plain function that posts by boto3",
    ]
    assert (answering[0], answering[0]["of uvicorn"]) == (posting[0], "1.0")
    assert all(float(row["ms"]) > 0 for row in (*answering, *posting))
