"""Deletes what has expired in a table, which the stand-in for DynamoDB doesn't do by itself.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from gatesocket.emulator.resources import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["Reaper"]

logger = logging.getLogger("gatesocket.emulator")

REAP_SECONDS: Final = 30
"""Pause between two looks; DynamoDB may take days."""


class Reaper:
    """Deletes the items of one table whose time to live is over.

    Args:
        table: the table, and the attribute that says when an item expires; without one, there is nothing to run.
        dynamodb: a client for it.
        clock: seconds since the epoch.
    """

    def __init__(self, table: Table, dynamodb: "DynamoDBClient", *, clock: Callable[[], float] = time.time) -> None:
        self._name = table.name
        self._attribute = table.ttl_attribute or ""
        self._keys = [key["AttributeName"] for key in table.definition["KeySchema"]]
        self._dynamodb = dynamodb
        self._clock = clock
        self._reaped: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.reap)
            except (BotoCoreError, ClientError) as error:
                logger.warning("table %s can't be searched for what has expired: %s", self._name, error)
            await asyncio.sleep(REAP_SECONDS)

    def reap(self) -> None:
        """Delete what has expired by now."""
        expired: Any = {
            "ExpressionAttributeNames": {"#expiry": self._attribute},
            "ExpressionAttributeValues": {":now": {"N": str(int(self._clock()))}},
        }
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._name, FilterExpression="#expiry <= :now", **expired
        )
        for item in [item for page in pages for item in page["Items"]]:
            key = {name: item[name] for name in self._keys}
            # Before it happens: the table's stream may tell of it at once.
            self._reaped.add(_mark(key, item[self._attribute]))
            try:
                self._dynamodb.delete_item(
                    TableName=self._name, Key=key, ConditionExpression="#expiry <= :now", **expired
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException:
                logger.debug("an item of table %s was renewed before it was deleted", self._name)

    def deleted(self, change: Mapping[str, Any]) -> bool:
        """Return whether a change in the table's stream is a deletion of this reaper's.

        It is known by the time at which the item expired: one with the same key that was put there later has another.
        So a stream without old images doesn't tell.
        """
        expiry = change["dynamodb"].get("OldImage", {}).get(self._attribute)
        return change["eventName"] == "REMOVE" and _mark(change["dynamodb"]["Keys"], expiry) in self._reaped


def _mark(key: Mapping[str, Any], expiry: object) -> tuple[str, str]:
    return repr(sorted(key.items())), repr(expiry)
