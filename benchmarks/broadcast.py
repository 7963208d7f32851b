"""What a broadcast takes by the number of members: time to the first and the last delivery, CPU time, memory.

The members are read from a stand-in for DynamoDB and posted to one for API Gateway, with the clients of a deployed
function and no fan-out queue. Then with one: batches are worked off by one, two and four processes, each as
`gatesocket.fanout.FanoutHandler` does it in an invocation. ::

    .venv/bin/python benchmarks/broadcast.py
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from canned_aws import canned_aws, environment
from gatesocket import ConnectionManager
from gatesocket.backend import Backend, use
from gatesocket.batches import Batch
from gatesocket.delivery import POSTS_AT_ONCE
from gatesocket.fanout import FanoutHandler
from gatesocket.gateway.management_api import ManagementAPI
from gatesocket.queues import MemoryQueue
from gatesocket.registry.dynamodb import DynamoDBRegistry
from measure import Options, Results, options, report, rounds
from sample_events import Context

MEMBERS: Final = (100, 1_000, 10_000)
POST_SECONDS: Final = (0, 0.01)

WORKERS: Final = (1, 2, 4)
FANNED_OUT: Final = 4_000
"""Members whose batches are worked off: two for each of four processes."""
FANNED_OUT_SECONDS: Final = 0.05
"""What a post takes then: enough for the gateway to be waited for, and not for the cores of one machine."""

TEXT: Final = json.dumps({"type": "said", "data": {"name": "Ada", "text": "Good morning! " * 10, "number": 1}})


class TimedGateway(ManagementAPI):
    """Notes when the first and the last post was answered."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint, region="eu-central-1")
        self.answered: tuple[float, float] | None = None

    async def post(self, connection_id: str, text: str) -> None:
        """Post, and look at the clock."""
        await super().post(connection_id, text)
        now = time.perf_counter()
        self.answered = (self.answered[0] if self.answered else now), now


@dataclass(slots=True)
class Taken:
    """What the broadcasts to so many members took, one entry for each."""

    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def main() -> None:
    """Measure, and print."""
    chosen = options("Broadcasts by the number of members.", samples=5, seconds=20)
    report("broadcast", [_one_invocation(chosen), _fan_out(chosen)], chosen)


def _one_invocation(chosen: Options) -> Results:
    sizes = MEMBERS[:-1] if chosen.quick else MEMBERS
    cases = [(members, seconds) for seconds in POST_SECONDS for members in sizes]
    taken = {case: Taken() for case in cases}
    kilobytes: dict[int, float] = {}
    with ExitStack() as servers:
        addresses = {
            case: servers.enter_context(canned_aws({}, members=case[0], post_seconds=case[1])) for case in cases
        }
        os.environ |= environment(addresses[cases[0]])  # credentials; each client is told its address
        for _ in rounds(chosen):
            for case in cases:
                asyncio.run(_broadcast(addresses[case], case[0], taken[case]))
        for members in sizes:
            # By itself: it takes three times as long to look at every allocation.
            tracemalloc.start()
            asyncio.run(_broadcast(addresses[members, POST_SECONDS[0]], members, Taken(), traced=kilobytes))
            tracemalloc.stop()
    rows = [
        {
            "members": case[0],
            "a post takes, ms": 1000 * case[1],
            "first, ms": 1000 * statistics.median(taken[case].first),
            "last, ms": 1000 * (last := statistics.median(taken[case].last)),
            "posts a second": case[0] / last,
            "CPU, µs a post": 1_000_000 * statistics.median(taken[case].cpu) / case[0],
            "peak, KB": kilobytes[case[0]],
        }
        for case in cases
    ]
    return Results(f"A broadcast in one invocation, {POSTS_AT_ONCE} posts at once", rows)


async def _broadcast(address: str, members: int, taken: Taken, *, traced: dict[int, float] | None = None) -> None:
    """Broadcast once, with clients that are warm; note what it took, and in *traced* its memory by *members*."""
    gateway = TimedGateway(f"{address}/prod")
    registry = DynamoDBRegistry("connections", region="eu-central-1", endpoint_url=address)
    with use(Backend(registry, gateway)):
        await asyncio.gather(*(gateway.post(f"{number:015}=", TEXT) for number in range(POSTS_AT_ONCE)))
        gateway.answered = None
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        cpu, begin = time.process_time(), time.perf_counter()
        delivery = await ConnectionManager().broadcast(TEXT)
        taken.cpu.append(time.process_time() - cpu)
        if traced is not None:
            traced[members] = (tracemalloc.get_traced_memory()[1] - before) / 1024
    if delivery.sent != members or gateway.answered is None:
        raise RuntimeError(f"expected {members} deliveries, but got {delivery}")
    taken.first.append(gateway.answered[0] - begin)
    taken.last.append(gateway.answered[1] - begin)
    await registry.aclose()
    await gateway.aclose()


def _fan_out(chosen: Options) -> Results:
    with canned_aws({}, members=FANNED_OUT, post_seconds=FANNED_OUT_SECONDS) as address:
        handing_over, bodies = asyncio.run(_hand_over(address))
        taken: dict[int, list[float]] = {number: [] for number in WORKERS}
        for _ in rounds(Options(min(chosen.samples, 3), chosen.seconds / 2, chosen.results)):
            for number in WORKERS:
                taken[number].append(_work_off(address, bodies, number))
    alone = statistics.median(taken[1])
    rows = [
        {
            "processes": number,
            "handing over, ms": 1000 * handing_over,
            "batches": len(bodies),
            "working off, ms": 1000 * (seconds := statistics.median(taken[number])),
            "posts a second": FANNED_OUT / seconds,
            "speed-up": alone / seconds,
        }
        for number in WORKERS
    ]
    title = f"{FANNED_OUT:,} members by the fan-out queue; a post takes {1000 * FANNED_OUT_SECONDS:.0f} ms"
    return Results(title, rows)


async def _hand_over(address: str) -> tuple[float, list[str]]:
    """Broadcast to a queue alone; return the seconds that it took, and the queue's messages."""
    bodies: list[str] = []

    async def put(body: str) -> None:
        bodies.append(body)

    registry = DynamoDBRegistry("connections", region="eu-central-1", endpoint_url=address)
    gateway = ManagementAPI(f"{address}/prod", region="eu-central-1")
    begin = time.perf_counter()
    with use(Backend(registry, gateway, fanout=MemoryQueue(put), fanout_above=0)):
        await ConnectionManager().broadcast(TEXT)
    taken = time.perf_counter() - begin
    await registry.aclose()
    await gateway.aclose()
    return taken, bodies


def _work_off(address: str, bodies: list[str], number: int) -> float:
    """Let *number* processes post to the batches; return the seconds until the last has ended its last."""
    variables = {**os.environ, **environment(address), "GATESOCKET_FANOUT_QUEUE": f"{address}/queue"}
    command = [sys.executable, __file__, "--worker"]
    with ExitStack() as running:
        workers = [
            running.enter_context(
                subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(number)
        ]
        for worker in workers:
            _expect(worker, "ready")
        begin = time.perf_counter()
        for index, worker in enumerate(workers):
            assert worker.stdin is not None
            worker.stdin.write(json.dumps(bodies[index::number]) + "\n")
            worker.stdin.flush()
        for worker in workers:
            _expect(worker, "done")
        return time.perf_counter() - begin


def _expect(worker: "subprocess.Popen[str]", word: str) -> None:
    assert worker.stdout is not None
    if (said := worker.stdout.readline().strip()) != word:
        raise RuntimeError(f"expected a worker to say {word!r}, but it said {said!r}")


def worker() -> None:
    """Be one process of the function that works the queue off: an invocation for each batch."""
    handler = FanoutHandler()

    def invoke(body: str) -> None:
        event: dict[str, Any] = {"Records": [{"messageId": "1", "body": body}]}
        if handler(event, Context()) != {"batchItemFailures": []}:
            raise RuntimeError("a batch has failed")

    invoke(Batch(text="", group=None, connections=("000000000000000=",)).body())  # connects
    print("ready", flush=True)
    for body in json.loads(sys.stdin.readline()):
        invoke(body)
    print("done", flush=True)


if __name__ == "__main__":
    worker() if sys.argv[1:] == ["--worker"] else main()
