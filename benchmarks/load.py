"""What the emulator bears: thousands of idle connections, and a steady stream of messages beside them.

The stack runs as `gatesocket emulate` runs it, in a process of its own: functions in it, connections in its memory, and
nothing logged. The clients are real ones, of the websockets package, in this process. Every message is echoed, and
counted by its client: what doesn't come back is lost. ::

    .venv/bin/python benchmarks/load.py
"""

import argparse
import asyncio
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect

from gatesocket.emulator.activity import Activity
from gatesocket.emulator.dev import bind
from gatesocket.emulator.server import Application, Server
from gatesocket.emulator.stack import Stack
from gatesocket.emulator.template import load
from gatesocket.emulator.throttle import Quotas, RateLimit
from measure import Options, Results, report

HERE: Final = Path(__file__).parent

TEMPLATE: Final = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: prod
      RouteSelectionExpression: \\$default
      Routes:
        $connect: {{FunctionArn: !GetAtt Echo.Arn}}
        $default: {{FunctionArn: !GetAtt Echo.Arn{two_way}}}
        $disconnect: {{FunctionArn: !GetAtt Echo.Arn}}
{response}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: {code}
      Handler: {handler}
      Runtime: python3.13
      Timeout: 29
      Environment:
        Variables:
          GATESOCKET_ENDPOINT: !Sub https://${{Api}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/prod
"""
RESPONSE: Final = """
  Answer:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Api, RouteId: !Ref ApiDefaultRoute, RouteResponseKey: $default}
"""

OPEN_AT_ONCE: Final = 40
"""Handshakes in a tenth of a second: API Gateway takes 500 new connections a second, and so does the emulator."""

PATIENCE: Final = 30
"""Seconds that what was sent has to come back, after the last message."""


@dataclass(frozen=True, slots=True)
class Case:
    """One stack to load."""

    name: str
    handler: str
    two_way: bool
    path: str

    def template(self) -> str:
        """Return its template."""
        return TEMPLATE.format(
            code=HERE,
            handler=self.handler,
            two_way=", RouteResponseSelectionExpression: $default" if self.two_way else "",
            response=RESPONSE if self.two_way else "",
        )


CASES: Final = (
    Case("plain function, its answer goes back", "functions.two_way_echo.handler", two_way=True, path="/prod"),
    Case(
        "FastAPI route that hibernates, and posts",
        "functions.gatesocket_echo.handler",
        two_way=False,
        path="/ws/lobby",
    ),
)


@dataclass(frozen=True, slots=True)
class Load:
    """How much."""

    idle: int
    """Connections that stay silent."""
    senders: int
    """Connections that the messages come over."""
    rate: int
    """Messages per second, all senders together."""
    seconds: float


@dataclass(slots=True)
class Echoes:
    """What came back."""

    expected: int
    sent: int = 0
    latencies: list[float] = field(default_factory=list)
    """Milliseconds, one per echo."""
    last: float = 0.0
    """When the last one came, on the clock of `time.perf_counter`."""
    all: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when as many have come as are expected."""


class Emulator:
    """The stack's process, as the process of the clients sees it."""

    def __init__(self, case: Case, directory: Path) -> None:
        self._template = directory / "template.yaml"
        self._template.write_text(case.template(), encoding="utf-8")

    async def __aenter__(self) -> Self:
        command = (sys.executable, __file__, "--serve", str(self._template))
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self.port = (await self.look())["port"]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def look(self) -> dict[str, Any]:
        """Return its port, the megabytes that it takes and the CPU seconds that it has taken."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        looked: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return looked


async def measure(case: Case, load_: Load) -> dict[str, Any]:
    """Open the connections, send the messages, and count what comes back."""
    with TemporaryDirectory(prefix="gatesocket-load-") as directory:
        async with Emulator(case, Path(directory)) as emulator, AsyncExitStack() as opened:
            url = f"ws://127.0.0.1:{emulator.port}{case.path}"
            # So that what the first connection loads doesn't count as memory of a connection.
            senders = await open_all(url, load_.senders, opened)
            before = await emulator.look()
            await open_all(url, load_.idle, opened)
            between = await emulator.look()
            begun = time.perf_counter()
            echoes = await talk(senders, load_)
            after = await emulator.look()
    seconds = echoes.last - begun
    took = after["cpu"] - between["cpu"]
    return {
        "function": case.name,
        "idle": load_.idle,
        "sent": echoes.sent,
        "lost": echoes.sent - len(echoes.latencies),
        "sent/s": load_.rate,
        "echoed/s": len(echoes.latencies) / seconds,
        "median, ms": statistics.median(echoes.latencies),
        "99 %, ms": statistics.quantiles(echoes.latencies, n=100)[98],
        "CPU/message, µs": took / len(echoes.latencies) * 1e6,
        "kB/connection": (between["memory"] - before["memory"]) * 1024 / load_.idle,
    }


async def open_all(url: str, count: int, opened: AsyncExitStack) -> list[ClientConnection]:
    """Open *count* connections, no faster than they are taken."""
    connections: list[ClientConnection] = []
    while len(connections) < count:
        some = min(OPEN_AT_ONCE, count - len(connections))
        # No pings: those of thousands of clients would be a load of their own.
        options: dict[str, Any] = {"ping_interval": None, "open_timeout": PATIENCE, "compression": None, "proxy": None}
        connections += await asyncio.gather(*(connect(url, **options) for _ in range(some)))
        await asyncio.sleep(0.1)
    opened.push_async_callback(close_all, connections)
    return connections


async def close_all(connections: Sequence[ClientConnection]) -> None:
    """Let all clients leave."""
    await asyncio.gather(*(connection.close() for connection in connections))


async def talk(senders: Sequence[ClientConnection], load_: Load) -> Echoes:
    """Send at a steady rate, in turn over all *senders*, and wait for the echoes."""
    echoes = Echoes(int(load_.rate * load_.seconds))
    readers = [asyncio.create_task(read(sender, echoes)) for sender in senders]
    begin = time.perf_counter()
    for number in range(echoes.expected):
        due = begin + number / load_.rate
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        await senders[number % len(senders)].send(f"{time.perf_counter():.6f}")
        echoes.sent += 1
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(echoes.all.wait(), PATIENCE)
    for reader in readers:
        reader.cancel()
    return echoes


async def read(sender: ClientConnection, echoes: Echoes) -> None:
    """Take note of each echo, whose last word is when its message was sent."""
    async for text in sender:
        echoes.last = time.perf_counter()
        echoes.latencies.append((echoes.last - float(str(text).split(" ")[-1])) * 1000)
        if len(echoes.latencies) == echoes.expected:
            echoes.all.set()


async def serve(template: Path) -> None:
    """Run a stack until standard input ends; for each line of it, print what `Emulator.look` wants to know."""

    def say_nothing(activity: Activity) -> None:
        """Leave all that happens unlogged."""

    loaded = load(template, region="us-east-1")
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        # An account that AWS has raised the quota of: 500 new connections a second would be what is measured.
        quotas = Quotas(connections=RateLimit(100_000, 100_000), requests=RateLimit(100_000, 100_000))
        async with Stack(
            loaded, region="us-east-1", gateway_address=address, watch=say_nothing, quotas=quotas
        ) as stack:
            server = Server(Application(stack, with_edge=True))
            serving = asyncio.create_task(server.serve([listening]))
            async for _ in lines():
                usage = resource.getrusage(resource.RUSAGE_SELF)
                looked = {"port": port, "memory": resident(), "cpu": usage.ru_utime + usage.ru_stime}
                print(json.dumps(looked), flush=True)
            server.end()
            await serving


async def lines() -> AsyncIterator[str]:
    """Iterate over the lines of standard input."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        yield line


def resident() -> float:
    """Return the megabytes that this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() / 1024 / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    """Load one stack after the other."""
    parser = argparse.ArgumentParser(description="Load the emulator.")
    parser.add_argument("--idle", type=int, default=5000, help="silent connections (default: %(default)s)")
    parser.add_argument("--senders", type=int, default=100, help="connections that talk (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=2000, help="messages a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="of messages (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="directory of the JSON")
    parser.add_argument("--samples", type=int, default=1, help="loads of each stack (default: %(default)s)")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.serve:
        asyncio.run(serve(chosen.serve))
        return
    wanted = chosen.idle + chosen.senders + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        parser.error(f"{wanted} open files are needed, and this system allows {hard}: choose fewer connections, --idle")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    load_ = Load(chosen.idle, chosen.senders, chosen.rate, chosen.seconds)
    rows = [asyncio.run(measure(case, load_)) for _ in range(chosen.samples) for case in CASES]
    report("load", [Results("A stack in one process, its clients in another", rows)], Options(1, 0, chosen.results))


if __name__ == "__main__":
    main()
