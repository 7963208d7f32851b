"""Posts per second, and CPU time per post, of one process: our gateway client beside boto3 and others.

A stand-in for the Management API answers at once, or after 10 ms as a network would; with TLS and without. The clients
run one after the other, each in a process of its own, with up to 256 posts at once, or as many as it is made for. Those
written by hand take our signature, so that what differs is how they speak HTTP: so was the transport chosen.

What isn't a dependency of this project is installed into an environment of the benchmark's own; where that can't be
done, those clients are skipped, and TLS with them. ::

    .venv/bin/python benchmarks/posts.py
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from canned_aws import environment
from measure import Options, Results, options, report, rounds

HERE: Final = Path(__file__).parent
PEERS: Final = HERE.parent / ".cache" / "peers"
PACKAGES: Final = (
    "aiobotocore==3.10.0",
    "aiohttp==3.14.5",
    "awscrt==0.38.1",
    "boto3==1.43.117",  # the one for aiobotocore's botocore
    "httpcore==1.0.9",
    "sniffio==1.3.1",  # httpcore looks for it many times in each request, which takes 0.2 ms where it isn't there
    "trustme==1.2.1",
    "uvloop==0.23.0",
)
SAMPLE_SECONDS: Final = 0.7

TITLES: Final = {
    "gatesocket": "Gatesocket",
    "streams": "by hand: asyncio streams",
    "httpcore": "by hand: httpcore, h11",
    "httpcore_pool": "by hand: httpcore's pool of 10",
    "aiohttp": "by hand: aiohttp",
    "awscrt": "by hand: awscrt",
    "aiobotocore": "aiobotocore",
    "boto3_threads": "boto3, 32 threads",
    "boto3_loop": "boto3, one at a time",
}
"""The clients, as the table names them."""

OURS: Final = ("gatesocket", "streams", "boto3_threads", "boto3_loop")
"""Those that need nothing which this project doesn't depend on."""

ALONE: Final = "--without-peers"
"""Installs nothing."""

Figures = tuple[float, float]
"""Posts per second, and microseconds of CPU time per post."""


def main() -> None:
    """Measure, and print."""
    arguments = [argument for argument in sys.argv[1:] if argument != ALONE]
    chosen = options(
        "Posts per second and CPU time per post, in one process.", samples=3, seconds=100, arguments=arguments
    )
    peers = None if ALONE in sys.argv else _peers()
    names = list(TITLES) if peers is not None else list(OURS)
    python = str(peers or sys.executable)
    tables = []
    with tempfile.TemporaryDirectory() as directory:
        certificate = Path(directory) / "ca.pem"
        for delay in (0, 10):
            with _server(python, delay, certificate) as urls:
                for url in urls:
                    title = f"Posts, {'TLS' if url.startswith('https') else 'plain'}, {delay} ms until the answer"
                    tables.append(_measured(title, names, python, url, certificate, chosen))
    report("posts", tables, chosen)


def _measured(title: str, names: list[str], python: str, url: str, certificate: Path, chosen: Options) -> Results:
    samples: dict[str, list[Figures]] = {name: [] for name in names}
    share = Options(chosen.samples, chosen.seconds / 4, chosen.results)
    for _ in rounds(share):
        for name in names:
            samples[name].append(_sample(python, name, url, certificate))
    figures = {
        name: (statistics.median(rate for rate, _ in taken), statistics.median(cpu for _, cpu in taken))
        for name, taken in samples.items()
    }
    best = max(figures[name][0] for name in ("aiobotocore", "boto3_threads", "boto3_loop") if name in figures)
    rows: list[dict[str, Any]] = [
        {
            "client": TITLES[name],
            "posts/s": round(rate),
            "of the best SDK": f"{rate / best:.1f}",
            "CPU, µs": cpu,
            "of asyncio streams": f"{cpu / figures['streams'][1]:.2f}",
        }
        for name, (rate, cpu) in figures.items()
    ]
    return Results(title, rows)


def _sample(python: str, name: str, url: str, certificate: Path) -> Figures:
    variables = {
        **os.environ,
        **environment(url),
        "AWS_CA_BUNDLE": str(certificate),
        "PYTHONPATH": str(HERE.parent / "src"),
    }
    command = [python, str(HERE / "posting" / "clients.py"), name, url, str(SAMPLE_SECONDS)]
    done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True, timeout=60)
    said = json.loads(done.stdout)
    return said["posts"] / said["seconds"], said["cpu"] / said["posts"] * 1e6


@contextmanager
def _server(python: str, delay: int, certificate: Path) -> Iterator[list[str]]:
    """Run the stand-in; give its addresses, that with TLS last."""
    command = [python, str(HERE / "posting" / "server.py"), str(delay), str(certificate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        ports = server.stdout.readline().split()
        try:
            yield [f"{scheme}://127.0.0.1:{port}" for scheme, port in zip(("http", "https"), ports, strict=False)]
        finally:
            server.stdin.close()  # which ends it
            server.wait(10)


def _peers() -> Path | None:
    """Return the Python of an environment that has the peers, too; None, with a word, if it can't be had."""
    python, ready, wanted = PEERS / "bin" / "python", PEERS / "ready", "\n".join(PACKAGES)
    if ready.exists() and ready.read_text(encoding="utf-8") == wanted:
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True, capture_output=True, timeout=120)
        install = [str(python), "-m", "pip", "install", "--quiet", *PACKAGES]
        subprocess.run(install, check=True, capture_output=True, text=True, timeout=300)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"aiobotocore, awscrt and others are skipped, and TLS: they can't be installed: {error.stderr or error}")
        return None
    # After its own packages, so that aiobotocore finds the botocore that it needs.
    here = next(path for path in sys.path if path.endswith("site-packages"))
    own = next(PEERS.glob("lib/python*/site-packages"))
    (own / "project.pth").write_text(here + "\n", encoding="utf-8")
    ready.write_text(wanted, encoding="utf-8")
    return python


if __name__ == "__main__":
    main()
