"""Two independent stand-ins for DynamoDB, each a real HTTP server on this machine: moto and dynalite."""

import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from gatesocket.aws import AsyncioClient
from gatesocket.aws.credentials import Given
from gatesocket.aws.retry import Policy
from gatesocket.aws.sigv4 import Credentials

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["connect", "dynalite", "lean", "moto"]

DYNALITE = "dynalite@4.0.0"
CACHE = Path(__file__).parents[2] / ".cache"
INSTALLED_WITHIN = 50  # s
STARTED_WITHIN = 20  # s
ENDED_WITHIN = 10  # s


@contextmanager
def moto() -> Iterator[str]:
    """Run moto's server, in a process of its own; give its URL."""
    with _server([sys.executable, "-m", "gatesocket.emulator.moto_server"]) as said:
        yield f"http://127.0.0.1:{int(said)}"


@contextmanager
def dynalite() -> Iterator[str]:
    """Run dynalite; give its URL. The test is skipped where it can't be had."""
    command = _install_dynalite()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with _server([str(command), "--host", "127.0.0.1", "--port", str(port), "--createTableMs", "0"]) as said:
        assert str(port) in said
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _server(command: list[str]) -> Iterator[str]:
    """Run a server that prints one line when it listens; give that line."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        try:
            ready, _, _ = select.select([process.stdout], [], [], STARTED_WITHIN)
            said = process.stdout.readline() if ready else ""
            if not said:
                raise RuntimeError(f"{command} said nothing within {STARTED_WITHIN} s, or ended")
            yield said
        finally:
            process.terminate()
            process.wait(ENDED_WITHIN)


def _install_dynalite() -> Path:
    """Install dynalite into the cache, once; return its command."""
    target = CACHE / DYNALITE
    command = target / "node_modules" / ".bin" / "dynalite"
    if command.exists():
        return command
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"{DYNALITE}, a second stand-in for DynamoDB, needs npm, which isn't installed")
    CACHE.mkdir(exist_ok=True)
    # Moved into place when it is complete, so that an interrupted installation isn't taken for one.
    fresh = Path(tempfile.mkdtemp(dir=CACHE))
    install = [npm, "install", "--prefix", str(fresh), "--no-fund", "--no-audit", "--loglevel", "error", DYNALITE]
    try:
        subprocess.run(install, check=True, capture_output=True, text=True, timeout=INSTALLED_WITHIN)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        shutil.rmtree(fresh)
        why = error.stderr if isinstance(error.stderr, str) else str(error)
        pytest.skip(f"{DYNALITE}, a second stand-in for DynamoDB, couldn't be installed: {why}")
    try:
        fresh.replace(target)
    except OSError:  # another worker was faster
        shutil.rmtree(fresh)
    return command


def connect(url: str) -> "DynamoDBClient":
    """Return a client that asks once: what a test sees is what the server answered."""
    return boto3.session.Session().client(
        "dynamodb",
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
    )


def lean(url: str) -> AsyncioClient:
    """Return a lean client that asks once, too."""
    return AsyncioClient(
        "dynamodb",
        endpoint_url=url,
        region="eu-central-1",
        credentials=Given(Credentials("test", "test")),
        policy=Policy(attempts=1),
    )
