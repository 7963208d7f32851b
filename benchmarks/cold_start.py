"""How long a fresh process takes to import a function and to serve its first event.

Each function runs in a process of its own, which ends itself after the event. Python's start is in it, and so are the
connections to the stand-in for AWS. Byte code and the files' pages are there, as nearly as a warm machine has them;
Lambda's own start is not. Of one function, a build has kept what its route is transformed to. ::

    .venv/bin/python benchmarks/cold_start.py
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from typing import Any, Final

from canned import record_of
from canned_aws import canned_aws, environment
from functions.echo_app import app
from gatesocket.clock import milliseconds
from gatesocket.registry.items import encode
from measure import Options, Results, options, report, rounds
from sample_events import REGION, connect, http, message

HERE: Final = Path(__file__).parent

# `os._exit`, because Lambda doesn't wait for an interpreter's end either.
RUN: Final = """
import json, os, sys
from importlib import import_module
event = json.loads(sys.argv[2])
answer = import_module(sys.argv[1]).handler(event, None)
os._exit(0 if answer["statusCode"] == 200 else 1)
"""


@dataclass(frozen=True, slots=True)
class Function:
    """One function, and its first event."""

    title: str
    module: str
    event: dict[str, Any]
    variables: dict[str, str]


def main() -> None:
    """Measure, and print."""
    chosen = options("Import and first event in a fresh process.", samples=11, seconds=45)
    text = "Good morning!"
    with canned_aws(encode(record_of(app, "/ws/lobby", text))) as address, TemporaryDirectory() as directory:
        now = milliseconds()
        plain = {"PYTHONPYCACHEPREFIX": str(Path(directory, "plain"))}
        kept = {"PYTHONPYCACHEPREFIX": str(Path(directory, "kept"))}
        deployed, in_memory = {**environment(address), **plain}, {"AWS_REGION": REGION, **plain}
        request = http("/echo/lobby", "text=Good%20morning")
        handshake, said = connect("/ws/lobby", now=now), message(text, now=now)
        functions = [
            Function("FastAPI + Mangum, HTTP", "functions.mangum_echo", request, deployed),
            Function("boto3 by hand", "functions.boto3_echo", said, deployed),
            Function("FastAPI + boto3 by hand", "functions.fastapi_boto3_echo", said, deployed),
            Function("Gatesocket, in memory", "functions.gatesocket_echo", handshake, in_memory),
            Function("Gatesocket, deployed", "functions.gatesocket_echo", said, deployed),
            Function("Gatesocket, deployed, its route kept", "functions.gatesocket_echo", said, {**deployed, **kept}),
        ]
        compile_app = ("-m", "gatesocket", "compile", "functions.echo_app:app", "--app-dir", str(HERE))
        subprocess.run(
            [sys.executable, *compile_app], env={**_inherited(), **kept}, check=True, timeout=60, stdout=DEVNULL
        )
        report("cold_start", [_measured(functions, chosen)], chosen)


def _measured(functions: list[Function], chosen: Options) -> Results:
    samples: dict[str, list[tuple[float, float]]] = {function.title: [] for function in functions}
    for function in functions:
        _start(function)  # so that byte code is there
    for _ in rounds(chosen):
        for function in functions:
            samples[function.title].append(_start(function))
    wall = {title: statistics.median(each for each, _ in taken) for title, taken in samples.items()}
    cpu = {title: statistics.median(each for _, each in taken) for title, taken in samples.items()}
    base = functions[0].title
    rows = [
        {
            "function": function.title,
            "ms": wall[function.title],
            "CPU, ms": cpu[function.title],
            f"CPU over {base}, ms": cpu[function.title] - cpu[base],
        }
        for function in functions
    ]
    return Results("Cold start: a fresh process, its imports, its first event", rows)


def _start(function: Function) -> tuple[float, float]:
    """Run a function once; return milliseconds by the clock, and of CPU time."""
    variables = {**_inherited(), **function.variables, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-c", RUN, function.module, json.dumps(function.event)]
    spent, begin = _children_cpu(), time.perf_counter()
    subprocess.run(command, env=variables, check=True, timeout=60)
    return (time.perf_counter() - begin) * 1000, (_children_cpu() - spent) * 1000


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
