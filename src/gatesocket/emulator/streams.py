"""Invokes functions with the changes of their tables, as Lambda's event source mappings do with DynamoDB's streams.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

import asyncio
import base64
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from gatesocket.emulator.answers import Answer, Failed
from gatesocket.emulator.patterns import matches
from gatesocket.emulator.queues import Invoker, failed_items
from gatesocket.emulator.resources import StreamSource

__all__ = ["StreamPoller", "to_record", "to_repeat"]

logger = logging.getLogger("gatesocket.emulator")

Change = dict[str, Any]
"""A record of a stream, as GetRecords gives it."""

POLL_SECONDS: Final = 1
"""Pause between two reads; Lambda reads four times a second."""

TIME_TO_LIVE: Final = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
"""Who DynamoDB says has deleted what expired.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
"""


class StreamPoller:
    """Reads the stream of one table and hands its changes to a function, batch by batch, in order.

    After a failure it goes on from the first change that failed, as often as the event source allows; then the batch
    is given up, which is logged: a destination for failures isn't run here.

    Args:
        source: the table and its function.
        streams: a boto3 ``dynamodbstreams`` client.
        arn: the stream's ARN.
        invoke: runs a function.
        expired: says whether a change is the deletion of an item whose time to live was over. The stand-in for
            DynamoDB doesn't tell, so that it is written into the change here.
    """

    def __init__(
        self, source: StreamSource, streams: Any, arn: str, invoke: Invoker, expired: Callable[[Change], bool]
    ) -> None:
        self._source = source
        self._streams = streams
        self._arn = arn
        self._invoke = invoke
        self._expired = expired
        # Taken here and not by the first read: what is written from now on is not passed over.
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        self._place: str = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=source.starting_position
        )["ShardIterator"]

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                answer = await asyncio.to_thread(self._streams.get_records, ShardIterator=self._place)
            except (BotoCoreError, ClientError) as error:
                logger.warning("the stream of table %s can't be read: %s", self._source.table, error)
            else:
                self._place = answer["NextShardIterator"]
                await self._process(answer["Records"])
            await asyncio.sleep(POLL_SECONDS)

    async def _process(self, changes: list[Change]) -> None:
        records = [to_record(change, arn=self._arn, expired=self._expired(change)) for change in changes]
        filters = self._source.filters
        wanted = [record for record in records if not filters or any(matches(each, record) for each in filters)]
        for start in range(0, len(wanted), self._source.batch_size):
            await self._deliver(wanted[start : start + self._source.batch_size])

    async def _deliver(self, batch: list[Change]) -> None:
        tries = 0
        while batch:
            answer = await self._invoke(self._source.function, {"Records": batch})
            rest = to_repeat(batch, answer, reports_failures=self._source.reports_failures)
            tries = tries + 1 if len(rest) == len(batch) else 0
            # Without a limit (-1) there is always another try; Lambda's ends after a day.
            if 0 <= self._source.retries < tries:
                logger.error("%d changes of table %s are given up after %d tries", len(rest), self._source.table, tries)
                return
            batch = rest
            if batch:
                await asyncio.sleep(POLL_SECONDS)


def to_record(change: Change, *, arn: str, expired: bool) -> Change:
    """Make the record of a Lambda event of a change: bytes are base64, times are numbers."""
    record: Change = {**_in_json(change), "eventSourceARN": arn}
    return {**record, "userIdentity": TIME_TO_LIVE} if expired else record


def to_repeat(batch: list[Change], answer: Answer, *, reports_failures: bool) -> list[Change]:
    """Return what of a batch is to be tried again: all from the first change on that failed.

    A report that can't be read, or that names a change which isn't in the batch, counts as a failure of all:
    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    if isinstance(answer, Failed):
        return batch
    if not reports_failures or not answer.value:
        return []
    failed = failed_items(answer.value)
    places = {change["dynamodb"]["SequenceNumber"]: place for place, change in enumerate(batch)}
    if failed is None or not failed <= places.keys():
        logger.warning("a batch's report can't be read, so that all of it is tried again: %r", answer.value)
        return batch
    return batch[min((places[number] for number in failed), default=len(batch)) :]


def _in_json(value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _in_json(each) for name, each in value.items()}
        case list():
            return [_in_json(each) for each in value]
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return value.timestamp()
        case _:
            return value
