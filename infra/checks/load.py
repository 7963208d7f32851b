"""Put a load on a running chat, and measure what becomes of it.

Against a deployed stack, or the edge in front of one, by its outputs::

    .venv/bin/python infra/checks/load.py --stack gatesocket-chat --connections 200 --messages 50

Against anything else by ``--websocket-url``. Every connection sends its messages to ``/ws/echo``, each after the answer
to the one before and a pause; so that at most as many are under way as there are connections. What it costs is in
docs/costs.md: each message is one in and one out. It prints the handshakes and the answers, how many failed, and the
times of half of them, of 99 in 100 and of the slowest; the exit status is 1 if anything failed.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.client import ClientConnection, connect

from smoke import NOT_RUN, Target, expect, find, since

OPENED_AT_ONCE: Final = 50
"""Handshakes under way; API Gateway takes 500 new connections a second from an account."""

ANSWERED_WITHIN: Final = 29.0
"""Seconds, as long as API Gateway itself waits for a function."""


@dataclass(slots=True)
class Measured:
    """What has become of one kind of thing."""

    milliseconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    """By the error's class."""

    def line(self, name: str) -> str:
        """Say it in a line."""
        failed = ", ".join(f"{count} {error}" for error, count in self.failures.most_common())
        counts = f"{name}: {len(self.milliseconds)} ok, {failed or 'none'} failed"
        if not self.milliseconds:
            return counts
        half, most, slowest = (percentile(self.milliseconds, share) for share in (50, 99, 100))
        return f"{counts}; half within {half:.1f} ms, 99 % within {most:.1f} ms, all within {slowest:.1f} ms"


@dataclass(slots=True)
class Load:
    """What is put on a chat."""

    target: Target
    connections: int
    messages: int
    """For each connection."""
    pause: float
    """Seconds between an answer and the next message."""
    handshakes: Measured = field(default_factory=Measured)
    answers: Measured = field(default_factory=Measured)

    async def run(self) -> None:
        """Open every connection, let all of them talk, and close them."""
        opening = asyncio.Semaphore(OPENED_AT_ONCE)
        async with asyncio.TaskGroup() as clients:
            for _ in range(self.connections):
                clients.create_task(self._client(opening))

    async def _client(self, opening: asyncio.Semaphore) -> None:
        async with opening:
            started = time.perf_counter()
            try:
                client = await connect(self.target.route("/ws/echo"), open_timeout=ANSWERED_WITHIN, ping_interval=None)
            except Exception as error:  # whatever kept it from connecting is what was measured
                self.handshakes.failures[type(error).__name__] += 1
                return
            self.handshakes.milliseconds.append(since(started))
        async with client:
            for number in range(self.messages):
                started = time.perf_counter()
                try:
                    await self._echo(client, f"message {number}")
                except Exception as error:  # and so is whatever kept it from being answered
                    # Not known which answer the next one would be to.
                    self.answers.failures[type(error).__name__] += self.messages - number
                    return
                self.answers.milliseconds.append(since(started))
                await asyncio.sleep(self.pause)

    async def _echo(self, client: ClientConnection, text: str) -> None:
        await client.send(text)
        async with asyncio.timeout(ANSWERED_WITHIN):
            expect(f"You said: {text}", await client.recv())


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least of *values* that *share* percent of them are not above."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(share) // 100) - 1)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Put the load on, and return the exit status; None takes the process's own arguments."""
    parser = argparse.ArgumentParser(description="Put a load on a running chat.")
    parser.add_argument("--stack", help="the CloudFormation stack to take the URL from")
    parser.add_argument("--region", help="its AWS region (default: the configured one)")
    parser.add_argument("--websocket-url", help="where WebSockets connect, in place of a stack")
    parser.add_argument("--connections", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--messages", type=int, default=20, help="for each connection (default: %(default)s)")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds before the next (default: %(default)s)")
    options = parser.parse_args(arguments)
    if bool(options.stack) == bool(options.websocket_url):
        parser.error("expected either --stack or --websocket-url")
    if min(options.connections, options.messages) < 1 or options.pause < 0:
        parser.error("expected at least one connection and one message, and a pause of no less than 0 s")
    try:
        target = (
            find(options.stack, options.region) if options.stack else Target(options.websocket_url, "", options.region)
        )
    except LookupError as error:
        print(f"load: {error}", file=sys.stderr)
        return NOT_RUN
    load = Load(target, options.connections, options.messages, options.pause)
    started = time.perf_counter()
    asyncio.run(load.run())
    seconds = time.perf_counter() - started
    print(load.handshakes.line("handshakes"))
    print(load.answers.line("answers"))
    print(f"{len(load.answers.milliseconds) / seconds:.1f} answers a second, over {seconds:.1f} s")
    return 1 if load.handshakes.failures or load.answers.failures else 0


if __name__ == "__main__":
    sys.exit(main())
