"""DynamoDB and SQS on this machine: moto's server in a child process, and the template's tables and queues in it."""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

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
            *(sys.executable, "-m", "gatesocket.emulator.moto_server"),
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
            ConfigurationError: a definition that DynamoDB or SQS would refuse, with the reason in AWS's words.
        """
        dynamodb, sqs = self.dynamodb(), self.sqs()
        for table in tables:
            with _named(table.name):
                _create_table(dynamodb, table)
        urls = {}
        for queue in queues:
            with _named(queue.name):
                urls[queue.name] = _create_queue(sqs, queue)
        # Only now do the dead-letter queues exist that the policies name.
        for queue in queues:
            if queue.redrive_policy:
                with _named(queue.name):
                    sqs.set_queue_attributes(
                        QueueUrl=urls[queue.name], Attributes={"RedrivePolicy": queue.redrive_policy}
                    )

    def dynamodb(self) -> "DynamoDBClient":
        """Make a client of the stand-in's DynamoDB."""
        return boto3.client("dynamodb", **self._client_options())

    def sqs(self) -> "SQSClient":
        """Make a client of the stand-in's SQS."""
        return boto3.client("sqs", **self._client_options())

    def streams(self) -> Any:
        """Make a client of the streams of the stand-in's DynamoDB."""
        return boto3.client("dynamodbstreams", **self._client_options())

    def _client_options(self) -> dict[str, Any]:
        # One attempt: the child is on this machine, and a call that fails while it ends shouldn't be made again.
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=5)
        return {"endpoint_url": self.endpoint, "region_name": self._region, "config": config, **CREDENTIALS}


@contextmanager
def _named(resource: str) -> Iterator[None]:
    """Say which resource a refusal is about."""
    try:
        yield
    except (ClientError, ParamValidationError) as error:
        raise ConfigurationError(f"{resource}: it can't be created: {error}") from error


def _create_table(dynamodb: "DynamoDBClient", table: Table) -> None:
    dynamodb.create_table(**table.definition)
    if table.ttl_attribute:
        dynamodb.update_time_to_live(
            TableName=table.name,
            TimeToLiveSpecification={"AttributeName": table.ttl_attribute, "Enabled": True},
        )


def _create_queue(sqs: "SQSClient", queue: Queue) -> str:
    attributes: Any = queue.attributes
    return sqs.create_queue(QueueName=queue.name, Attributes=attributes)["QueueUrl"]
