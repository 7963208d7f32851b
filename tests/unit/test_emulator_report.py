"""The line that Lambda writes at the end of each invocation."""

import os
from pathlib import Path

import pytest

from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.report import Report, own_peak, peak_of, status_of


def test_a_report_is_lambdas_line() -> None:
    report = Report("r1", 12.345, 256, 71)
    assert str(report) == (
        "REPORT RequestId: r1\tDuration: 12.35 ms\tBilled Duration: 13 ms\tMemory Size: 256 MB\tMax Memory Used: 71 MB"
    )


def test_the_start_of_a_process_is_named_and_billed() -> None:
    report = Report("r1", 2.0, 128, None, init=130.5, status="timeout")
    assert str(report) == (
        "REPORT RequestId: r1\tDuration: 2.00 ms\tBilled Duration: 133 ms\tMemory Size: 128 MB\t"
        "Init Duration: 130.50 ms\tStatus: timeout"
    )


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Returned(1), None),
        (Failed("ValueError", "boom"), None),
        (Failed("Sandbox.Timedout", ""), "timeout"),
        (Failed("Runtime.ExitError", ""), "error"),
    ],
)
def test_only_an_invocation_that_was_cut_off_has_a_status(answer: Answer, status: str | None) -> None:
    assert status_of(answer) == status


def test_memory_is_told_in_megabytes() -> None:
    assert 10 < own_peak() < 100_000


def test_memory_of_another_process_is_looked_up_where_the_system_says(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("Name:\tpython\nVmPeak:\t  9999 kB\nVmHWM:\t   71680 kB\n")
    (tmp_path / "8").mkdir()
    (tmp_path / "8" / "status").write_text("Name:\tpython\nState:\tZ (zombie)\n")
    assert peak_of(7, files=tmp_path) == 70
    assert peak_of(8, files=tmp_path) is None
    assert peak_of(9, files=tmp_path) is None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")
def test_memory_of_a_process_is_near_what_it_says_of_itself() -> None:
    assert peak_of(os.getpid()) == pytest.approx(own_peak(), rel=0.2)
