"""Hibernation: a route is left at its receive, stored, and continued elsewhere.

It works like a small compiler with a runtime. A route's functions go through three passes, from their own source:

============  =======================================================================================
`linearise`   every await that may wait for the client into a statement of its own
`liveness`    which locals are still needed there
`transform`   a function that can start in its middle, with those locals
============  =======================================================================================

`points` decides which awaits are meant, `source` finds and compiles the source, `units` swaps the code in, `discover`
finds the functions of an app. The transformed functions meet the runtime through `entry`; `runtime` runs an app until
it hibernates, `codec` writes the values, `snapshot` the bytes.
"""

from gatesocket.hibernation.blueprint import Blueprint, PointPlan, RoutePlan, prepare
from gatesocket.hibernation.check import Report, check
from gatesocket.hibernation.instances import register_saver
from gatesocket.hibernation.runtime import run

__all__ = ["Blueprint", "PointPlan", "Report", "RoutePlan", "check", "prepare", "register_saver", "run"]
