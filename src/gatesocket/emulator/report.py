"""The line that Lambda writes at the end of each invocation.

Source: https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html, and for the status
https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
"""

import math
import re
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gatesocket.emulator.answers import Answer, Failed

__all__ = ["Report", "own_peak", "peak_of", "status_of"]

_MEGABYTE: Final = 1024 * 1024 if sys.platform == "darwin" else 1024
"""What of ``ru_maxrss`` is one megabyte: macOS counts bytes, Linux kilobytes."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an invocation took; `str` gives Lambda's line."""

    request_id: str
    milliseconds: float
    """How long the handler ran."""
    memory: int
    """Megabytes that the function is given."""
    used: int | None
    """Megabytes that its process has taken at the most; None where the system doesn't say."""
    init: float | None = None
    """Milliseconds that its process took to start, if this was its first invocation; else None."""
    status: str | None = None
    """``timeout``, ``error`` if the process ended, or None for an invocation that was not cut off."""

    def __str__(self) -> str:
        parts = [
            f"RequestId: {self.request_id}",
            f"Duration: {self.milliseconds:.2f} ms",
            # The start of a process is billed as well since August 2025.
            f"Billed Duration: {math.ceil(self.milliseconds + (self.init or 0))} ms",
            f"Memory Size: {self.memory} MB",
        ]
        if self.used is not None:
            parts.append(f"Max Memory Used: {self.used} MB")
        if self.init is not None:
            parts.append(f"Init Duration: {self.init:.2f} ms")
        if self.status is not None:
            parts.append(f"Status: {self.status}")
        return "REPORT " + "\t".join(parts)


def status_of(answer: Answer) -> str | None:
    """Return the status in the report of an invocation that ended with *answer*."""
    if isinstance(answer, Failed):
        return {"Sandbox.Timedout": "timeout", "Runtime.ExitError": "error"}.get(answer.error_type)
    return None


def own_peak() -> int:
    """Return the most megabytes that this process has taken."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _MEGABYTE


def peak_of(process: int, *, files: Path = Path("/proc")) -> int | None:
    """Return the most megabytes that another process has taken; None if it has ended, or the system doesn't say."""
    try:
        status = (files / str(process) / "status").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) // 1024 if found else None
