"""DynamoDB and SQS on this machine: moto's server in a child process, and the template's tables and queues in it.

The child ends when its standard input does, so that it can't outlive the stack, however that ends.

Run as ``python -m gatesocket.emulator.aws`` this module is that child: it prints the port that it got, and serves.
"""

import asyncio
import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config

from gatesocket.emulator.resources import Queue, Table
from gatesocket.exceptions import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

__all__ = ["AwsStandIn"]

START_SECONDS: Final = 60
"""How long the child may take to import moto and listen; it takes about one second on an idle machine."""

STOP_SECONDS: Final = 5

CREDENTIALS: Final = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
"""Accepted by the stand-in, and by nobody else."""


class AwsStandIn:
    """The child process.

    Args:
        region: the AWS region that its tables and queues are in.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._process: asyncio.subprocess.Process | None = None
        self.endpoint = ""
        """``http://127.0.0.1:port``, once started."""

    async def start(self) -> None:
        """Start the child and wait until it listens.

        Raises:
            ConfigurationError: it ended instead, or took longer than `START_SECONDS`.
        """
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            # In a group of its own: a Ctrl+C at the terminal is for the stack, which then ends the child.
            *(sys.executable, "-m", "gatesocket.emulator.aws"),
            stdin=pipe,
            stdout=pipe,
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101 (a pipe, as asked above)
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), START_SECONDS)
        except TimeoutError:
            line = b""
        if not line.strip().isdigit():
            await self.aclose()
            raise ConfigurationError(
                "the stand-in for DynamoDB and SQS didn't start; what it printed stands above. "
                "Is everything installed? pip install 'gatesocket[local]'"
            )
        self.endpoint = f"http://127.0.0.1:{int(line)}"

    async def aclose(self) -> None:
        """End the child; what it held is gone."""
        if self._process is None:
            return
        assert self._process.stdin is not None  # noqa: S101 (a pipe, as asked in start)
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._process = None

    def create(self, tables: Iterable[Table], queues: Iterable[Queue]) -> None:
        """Create *tables* and *queues*. Blocks; they are few.

        Raises:
            ClientError: a definition that moto refuses, in AWS's words.
        """
        dynamodb = self.dynamodb()
        for table in tables:
            dynamodb.create_table(**table.definition)
            if table.ttl_attribute:
                specification: Any = {"AttributeName": table.ttl_attribute, "Enabled": True}
                dynamodb.update_time_to_live(TableName=table.name, TimeToLiveSpecification=specification)
        sqs = self.sqs()
        urls = {
            queue.name: sqs.create_queue(QueueName=queue.name, Attributes=dict(queue.attributes))["QueueUrl"]  # type: ignore[arg-type]
            for queue in queues
        }
        for queue in queues:
            if queue.redrive_policy:
                sqs.set_queue_attributes(QueueUrl=urls[queue.name], Attributes={"RedrivePolicy": queue.redrive_policy})

    def dynamodb(self) -> "DynamoDBClient":
        """Make a client of the stand-in's DynamoDB."""
        return boto3.client("dynamodb", **self._client_options())

    def sqs(self) -> "SQSClient":
        """Make a client of the stand-in's SQS."""
        return boto3.client("sqs", **self._client_options())

    def _client_options(self) -> dict[str, Any]:
        # One attempt: the child is on this machine, and a call that fails while it ends shouldn't be made again.
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=5)
        return {"endpoint_url": self.endpoint, "region_name": self._region, "config": config, **CREDENTIALS}


def main() -> None:
    """Serve until the parent closes our standard input."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer  # noqa: PLC0415 (the parent doesn't need it)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
