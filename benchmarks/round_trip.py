"""How long a message is under way, there and back: the same app under uvicorn, in the emulator, and what others offer.

One client sends, waits for the echo, and sends again. Its servers run in processes of their own and are asked in turn.
There are two ways back, and a table for each: the function's answer, by a route response, and a post to the Management
API, which is a second request to the emulator. serverless-offline, the emulator of the Serverless Framework, runs
functions of either kind, in JavaScript, for which it is made, and in Python; so does ours beside it. The first run
installs it, and the AWS SDK for JavaScript, by npm into ``.cache``; where that can't be done, it is left out. ::

    .venv/bin/python benchmarks/round_trip.py
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from load import CASES, Case, Emulator
from measure import Options, Results, options, report, rounds

HERE: Final = Path(__file__).parent
PEERS: Final = HERE.parent / ".cache" / "serverless-offline"
PACKAGES: Final = (
    "serverless-offline@13.9.0",
    "serverless@3.40.0",
    "@aws-sdk/client-apigatewaymanagementapi@3.1169.0",
)
"""The last release of the framework that runs without an account, and of the plug-in for it; and what functions use."""

ALONE: Final = "--without-peers"

TEXT: Final = "Good morning! Does anybody else see this?"
SAMPLE: Final = 100
"""Round trips in one sample."""

PATIENCE: Final = 60
"""Seconds that a server has to start."""

PLAIN, ROUTE = CASES
POSTING: Final = Case(
    "plain function that posts by boto3", "functions.posting_echo.handler", two_way=False, path="/prod"
)
UVICORN: Final = "uvicorn, the route"

SERVERLESS: Final = """
service: echo
frameworkVersion: "3"
plugins: [serverless-offline]
provider:
  name: aws
  runtime: {runtime}
  region: us-east-1
  environment: {{AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI: "http://127.0.0.1:{websocket}"}}
custom:
  serverless-offline:
    host: 127.0.0.1
    httpPort: {http}
    lambdaPort: {invocations}
    websocketPort: {websocket}
functions:
  echo:
    handler: {handler}
    events:
      - websocket: $connect
      - websocket: $disconnect
      - websocket: {default}
"""
ANSWERS: Final = "{route: $default, routeResponseSelectionExpression: $default}"
POSTS: Final = "$default"


@dataclass(frozen=True, slots=True)
class Function:
    """A function that serverless-offline runs."""

    name: str
    runtime: str
    """The last one of its language that this release knows."""
    file: str
    default: str
    """Its route for messages."""


NODE, PYTHON = "nodejs20.x", "python3.11"
ANSWERING: Final = (
    Function("plain function in JavaScript", NODE, "two_way_echo.js", ANSWERS),
    Function("plain function in Python", PYTHON, "two_way_echo.py", ANSWERS),
)
POSTING_OFFLINE: Final = (
    Function("plain function that posts by the AWS SDK, in JavaScript", NODE, "posting_echo.js", POSTS),
    Function("plain function that posts by boto3", PYTHON, "posting_echo.py", POSTS),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A server, and a connection to it."""

    name: str
    connection: ClientConnection

    async def sample(self) -> list[float]:
        """Return how many milliseconds each of some round trips took."""
        taken = []
        for _ in range(SAMPLE):
            begun = time.perf_counter()
            await self.connection.send(TEXT)
            echo = await asyncio.wait_for(self.connection.recv(), PATIENCE)
            taken.append((time.perf_counter() - begun) * 1000)
            if not str(echo).endswith(TEXT):
                raise RuntimeError(f"expected the echo of {self.name}, but got {echo!r}")
        return taken


def main(arguments: Sequence[str]) -> None:
    """Measure, and print."""
    given = [argument for argument in arguments if argument != ALONE]
    chosen = options("Round trips of one client.", samples=15, seconds=40, arguments=given)
    peers = None if ALONE in arguments else installed()
    report("round_trip", asyncio.run(measured(peers, chosen)), chosen)


async def measured(peers: Path | None, chosen: Options) -> list[Results]:
    """Start all servers, ask them in turn, and end them."""
    async with AsyncExitStack() as started:
        directory = Path(started.enter_context(TemporaryDirectory(prefix="gatesocket-round-trip-")))
        uvicorn = await started.enter_async_context(under_uvicorn())

        async def emulators(cases: Sequence[Case], functions: Sequence[Function]) -> list[Subject]:
            subjects = [await started.enter_async_context(emulated(case, directory)) for case in cases]
            if peers is None:
                return subjects
            for function in functions:
                try:
                    subject = await started.enter_async_context(offline(peers, function))
                    await subject.sample()
                except (OSError, ConnectionClosed) as error:  # a time that is over is an OSError, too
                    print(f"serverless-offline's {function.name} is skipped: it doesn't echo: {error!r}")
                else:
                    subjects.append(subject)
            return subjects

        answering, posting = await emulators([PLAIN], ANSWERING), await emulators([ROUTE, POSTING], POSTING_OFFLINE)
        subjects = [uvicorn, *answering, *posting]
        samples: dict[str, list[list[float]]] = {subject.name: [] for subject in subjects}
        for subject in subjects:
            await subject.sample()  # imports and caches
        for _ in rounds(chosen):
            for subject in subjects:
                samples[subject.name].append(await subject.sample())
    title = "A message and its echo, one client"
    return [
        table(f"{title}: the function's answer goes back", [uvicorn, *answering], samples),
        table(f"{title}: the function posts", [uvicorn, *posting], samples),
    ]


def table(title: str, subjects: Sequence[Subject], samples: Mapping[str, Sequence[Sequence[float]]]) -> Results:
    """Make the rows of *subjects*."""
    medians = {subject.name: statistics.median(map(statistics.median, samples[subject.name])) for subject in subjects}
    rows = [
        {
            "server": name,
            "ms": f"{median:.2f}",
            "99 %, ms": f"{statistics.quantiles(chain.from_iterable(samples[name]), n=100)[98]:.2f}",
            "of uvicorn": f"{median / medians[UVICORN]:.1f}",
        }
        for name, median in medians.items()
    ]
    return Results(title, rows)


@asynccontextmanager
async def under_uvicorn() -> AsyncIterator[Subject]:
    """Serve the app by uvicorn."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "--port", str(port), "--log-level", "warning"]
    with running([*command, "functions.echo_app:app"], HERE):
        async with connected(UVICORN, f"ws://127.0.0.1:{port}/ws/lobby") as subject:
            yield subject


@asynccontextmanager
async def emulated(case: Case, directory: Path) -> AsyncIterator[Subject]:
    """Serve one of the load's stacks by the emulator."""
    async with Emulator(case, directory) as emulator:
        url = f"ws://127.0.0.1:{emulator.port}{case.path}"
        async with connected(f"Gatesocket's emulator, {case.name}", url) as subject:
            yield subject


@asynccontextmanager
async def offline(peers: Path, function: Function) -> AsyncIterator[Subject]:
    """Serve a function by serverless-offline, from a directory beside its packages."""
    stem, _, language = function.file.partition(".")
    directory = peers / f"{stem}-{language}"
    directory.mkdir(exist_ok=True)
    shutil.copy(HERE / "functions" / function.file, directory)
    http, invocations, websocket = free_ports(3)
    settings = SERVERLESS.format(
        runtime=function.runtime,
        http=http,
        invocations=invocations,
        websocket=websocket,
        handler=f"{stem}.handler",
        default=function.default,
    )
    (directory / "serverless.yml").write_text(settings, encoding="utf-8")
    command = ["node", str(peers / "node_modules" / "serverless" / "bin" / "serverless.js"), "offline"]
    with running(command, directory):
        async with connected(f"serverless-offline, {function.name}", f"ws://127.0.0.1:{websocket}") as subject:
            yield subject


@contextmanager
def running(command: Sequence[str], directory: Path) -> Iterator[None]:
    """Run a server, and end it with all that it has started."""
    quiet = {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off", "SLS_INTERACTIVE_SETUP_ENABLE": "0"}
    # Where serverless-offline finds the Python that has boto3, and what posts are signed with.
    own = {"VIRTUAL_ENV": sys.prefix, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    server = subprocess.Popen(
        command,
        cwd=directory,
        env={**os.environ, **quiet, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)


@asynccontextmanager
async def connected(name: str, url: str) -> AsyncIterator[Subject]:
    """Connect as soon as the server is there."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            connection = await connect(url, proxy=None, compression=None, ping_interval=None)
        except OSError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.1)
        else:
            break
    async with connection:
        yield Subject(name, connection)


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on."""
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in listening]
    for each in listening:
        each.close()
    return ports


def installed() -> Path | None:
    """Return the directory of serverless-offline; None, with a word, if it can't be had."""
    ready, wanted = PEERS / "ready", "\n".join(PACKAGES)
    if ready.exists() and ready.read_text(encoding="utf-8") == wanted:
        return PEERS
    try:
        PEERS.mkdir(parents=True, exist_ok=True)
        (PEERS / "package.json").write_text(json.dumps({"private": True}), encoding="utf-8")
        install = ["npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES]
        subprocess.run(install, cwd=PEERS, check=True, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"serverless-offline is skipped: npm can't install it: {getattr(error, 'stderr', None) or error}")
        return None
    ready.write_text(wanted, encoding="utf-8")
    return PEERS


if __name__ == "__main__":
    main(sys.argv[1:])
