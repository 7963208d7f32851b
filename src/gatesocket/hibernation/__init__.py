"""Hibernation: a route is left at its receive, stored, and continued elsewhere.

It works like a small compiler with a runtime. A route's functions go through three passes, from their own source:

1. `linearise`: every await that may wait for the client becomes a statement of its own.
2. `liveness`: which locals are still needed there.
3. `transform`: a function that can start in its middle, with those locals.

`source` finds the syntax tree of a function and compiles a changed one in its place; `points` and `scan` decide which
awaits are meant, and which can't be, `bindings` what a function's own names are, `meanings` what all others mean.
`expressions` is the half of the first pass that takes expressions apart, `syntax` makes the trees. `discover` finds the
functions of an app, `units` swaps their code.

A build can keep what the passes found: `precompile` writes it, `cache` says when it may be used. Then a cold start
imports none of the passes.

The transformed functions meet the runtime through `entry`. `runtime` runs an app until no message is there. Then
`stack` finds the functions that wait, `saving` decides what of them is kept, `codec` and its kinds (`kinds`,
`instances`, `functions`, `bound`) write the values, `home` says what these refer to by name, `snapshot` writes the
bytes; `waking` gives back what was read of them. `dependencies` and `reentry` keep FastAPI from resolving twice,
`blocks` leaves and enters ``with``, `timers` knows sleeps and the deadlines of blocks, `tasks` watches what the route
spawns. `report` tells a developer of all of it.
"""

from typing import TYPE_CHECKING, Any

from gatesocket.hibernation.blueprint import Blueprint, PointPlan, RoutePlan, prepare
from gatesocket.hibernation.instances import register_saver
from gatesocket.hibernation.runtime import Hibernated, run
from gatesocket.hibernation.timers import TIMER_THRESHOLD

if TYPE_CHECKING:
    from gatesocket.hibernation.report import Report, check

__all__ = [
    "TIMER_THRESHOLD",
    "Blueprint",
    "Hibernated",
    "PointPlan",
    "Report",
    "RoutePlan",
    "check",
    "prepare",
    "register_saver",
    "run",
]


def __getattr__(name: str) -> Any:
    # On first use (PEP 562): a function that serves needs neither the report nor the passes.
    if name not in {"Report", "check"}:
        raise AttributeError(f"module 'gatesocket.hibernation' has no attribute {name!r}")
    from gatesocket.hibernation import report  # noqa: PLC0415

    return getattr(report, name)
