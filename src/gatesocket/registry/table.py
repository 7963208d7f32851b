"""The table in DynamoDB that connections are kept in, and the calls that are made on it."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from gatesocket.aws import AWSClient, Refused, Unreachable
from gatesocket.exceptions import ConfigurationError, RegistryError
from gatesocket.registry.items import Item, key_of, number
from gatesocket.registry.writes import Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.literals import ReturnValueType
    from mypy_boto3_dynamodb.type_defs import (
        DeleteItemInputTypeDef,
        GetItemInputTypeDef,
        PutItemInputTypeDef,
        QueryInputTypeDef,
        UpdateItemInputTypeDef,
        WriteRequestUnionTypeDef,
    )

__all__ = ["Table"]

BATCH: Final = 25
"""Writes in one BatchWriteItem at the most.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
"""

BATCH_ATTEMPTS: Final = 8
"""How often a batch is sent of which DynamoDB puts writes off."""

PAGE: Final = 1000
"""Memberships in one page. DynamoDB's own 1 MB holds some 17,000, which take long to come and much memory when read."""

FIRST_PAUSE: Final = 0.05
"""Seconds that the first wait for a put-off write takes at the most; each later one may take twice as long."""

LONGEST_PAUSE: Final = 1.0
"""Seconds that any of these waits takes at the most."""

REFUSED: Final = "ConditionalCheckFailedException"
"""The answer to a write whose condition doesn't hold."""


class Table:
    """Reads and writes the items of one table, and says DynamoDB's errors in our words.

    Reads are consistent: they see every write that was answered. Each method raises `ConfigurationError` if there is no
    such table, and `RegistryError` if DynamoDB refuses the call for any reason but its condition, or can't be reached.

    Args:
        name: the table's name.
        client: calls DynamoDB.
        sleep: waits before writes that DynamoDB has put off are tried again.
    """

    def __init__(
        self, name: str, client: AWSClient, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.name = name
        self.client = client
        self._sleep = sleep

    async def get(self, key: Item) -> Item | None:
        """Read one item; return None if there is none."""
        request: GetItemInputTypeDef = {"TableName": self.name, "Key": key, "ConsistentRead": True}
        item: Item | None = (await self._call("GetItem", request)).get("Item")
        return item

    async def put(self, item: Item, write: Write) -> bool:
        """Put *item* if the condition of *write* holds; return whether it did."""
        request: PutItemInputTypeDef = {
            "TableName": self.name,
            "Item": item,
            "ConditionExpression": write.condition,
            "ExpressionAttributeNames": write.names,
        }
        if write.values:
            request["ExpressionAttributeValues"] = write.values
        return await self._write_if("PutItem", request) is not None

    async def update(self, key: Item, write: Write, *, returning: "ReturnValueType" = "NONE") -> Item | None:
        """Do *write* on one item; return what DynamoDB returns of it, None if the condition doesn't hold."""
        request: UpdateItemInputTypeDef = {
            "TableName": self.name,
            "Key": key,
            "UpdateExpression": write.update,
            "ConditionExpression": write.condition,
            "ExpressionAttributeNames": write.names,
            "ReturnValues": returning,
        }
        if write.values:
            request["ExpressionAttributeValues"] = write.values
        answer = await self._write_if("UpdateItem", request)
        return None if answer is None else answer.get("Attributes", {})

    async def delete(self, key: Item, write: Write | None) -> Item | None:
        """Delete one item, with a *write* only if its condition holds; return what it was, None if none was deleted."""
        request: DeleteItemInputTypeDef = {"TableName": self.name, "Key": key, "ReturnValues": "ALL_OLD"}
        if write is not None:
            request["ConditionExpression"] = write.condition
            request["ExpressionAttributeNames"] = write.names
            request["ExpressionAttributeValues"] = write.values
        answer = await self._write_if("DeleteItem", request)
        return None if answer is None else answer.get("Attributes")

    async def pages(self, partition: str, now: int, *, counting: bool = False) -> AsyncGenerator[dict[str, Any], None]:
        """Query what has not expired of one partition at *now*, in milliseconds, page by page.

        Pages have ``Items``, or only their ``Count`` if *counting*.
        """
        request: QueryInputTypeDef = {
            "TableName": self.name,
            "ConsistentRead": True,
            "KeyConditionExpression": "#pk = :pk",
            "FilterExpression": "#expires_at > :now_seconds",
            "ExpressionAttributeNames": {"#pk": "pk", "#expires_at": "expires_at"},
            "ExpressionAttributeValues": {":pk": {"S": partition}, ":now_seconds": number(now // 1000)},
        }
        if counting:
            request["Select"] = "COUNT"
        else:
            request["Limit"] = PAGE
        while True:
            page = await self._call("Query", request)
            yield page
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def newest(self, partition: str, first: str, last: str, most: int) -> list[Item]:
        """Query the last *most* items of one partition between two sort keys, both included, in their order.

        A later item is read before an earlier one.
        """
        request: QueryInputTypeDef = {
            "TableName": self.name,
            "ConsistentRead": True,
            "KeyConditionExpression": "#pk = :pk AND #sk BETWEEN :first AND :last",
            "ExpressionAttributeNames": {"#pk": "pk", "#sk": "sk"},
            "ExpressionAttributeValues": {":pk": {"S": partition}, ":first": {"S": first}, ":last": {"S": last}},
            "ScanIndexForward": False,
        }
        found: list[Item] = []
        while True:
            request["Limit"] = most - len(found)
            page = await self._call("Query", request)
            found += page["Items"]
            if "LastEvaluatedKey" not in page or len(found) == most:
                return found[::-1]
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def write(self, *, put: Iterable[Item] = (), delete: Iterable[Item] = ()) -> None:
        """Write items, each one by itself: together they aren't atomic, and DynamoDB may put some off.

        Raises:
            RegistryError: it has put some off `BATCH_ATTEMPTS` times, or one of the causes that every method has.
        """
        requests: list[WriteRequestUnionTypeDef] = [{"PutRequest": {"Item": item}} for item in put]
        requests += [{"DeleteRequest": {"Key": key_of(item)}} for item in delete]
        for first in range(0, len(requests), BATCH):
            await self._write_batch(requests[first : first + BATCH])

    async def _write_batch(self, requests: "Sequence[WriteRequestUnionTypeDef]") -> None:
        for attempt in range(BATCH_ATTEMPTS):
            answer = await self._call("BatchWriteItem", {"RequestItems": {self.name: requests}})
            requests = answer.get("UnprocessedItems", {}).get(self.name, [])
            if not requests:
                return
            # "Full jitter": https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
            longest = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
            await self._sleep(random.uniform(0, longest))  # noqa: S311  # spreads load, hides nothing
        raise RegistryError(
            f"DynamoDB put off {len(requests)} writes to table {self.name!r} {BATCH_ATTEMPTS} times: it is throttled. "
            "Raise the table's limits, or spread groups over more shards"
        )

    async def _write_if(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """Do a write that has a condition; return None if that doesn't hold."""
        try:
            return await self._call(operation, parameters)
        except RegistryError as error:
            if isinstance(error.__cause__, Refused) and error.__cause__.code == REFUSED:
                return None
            raise

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Call DynamoDB, and say its errors in our words."""
        try:
            return await self.client.call(operation, parameters)
        except Refused as error:
            if error.code == "ResourceNotFoundException":
                raise ConfigurationError(
                    f"DynamoDB has no table {self.name!r} in this account and region: deploy template.yaml, which "
                    "makes it, and set GATESOCKET_TABLE to its name"
                ) from error
            raise RegistryError(f"DynamoDB refused a call on table {self.name!r}: {error}") from error
        except Unreachable as error:
            raise RegistryError(f"DynamoDB can't be reached for table {self.name!r}: {error}") from error
