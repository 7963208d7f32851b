"""A DynamoDB client that counts the capacity units of what passes through it.

Sizes and units: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from gatesocket.aws import AWSClient

__all__ = ["READ_UNIT_BYTES", "MeteredClient", "item_bytes"]

READ_UNIT_BYTES: Final = 4 * 1024
WRITE_UNIT_BYTES: Final = 1024


class MeteredClient:
    """Passes calls on to another client; see `gatesocket.aws.AWSClient`.

    What a stand-in says of the capacity that a call has used up is not to be relied on, so that items are measured:
    those in the answer to a read, and for a write the larger of what was stored before and after.
    """

    def __init__(self, client: AWSClient) -> None:
        self._client = client
        self.calls: list[str] = []
        self.write_units = 0
        self.read_units = 0

    def reset(self) -> None:
        """Begin to count anew."""
        self.calls, self.write_units, self.read_units = [], 0, 0

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call, and count it; a write whose condition doesn't hold is charged for as well."""
        self.calls.append(operation)
        keys = _written(operation, parameters)
        before = [await self._stored(table, key) for table, key in keys]
        try:
            answer = await self._client.call(operation, parameters)
        finally:
            after = [await self._stored(table, key) for table, key in keys]
            self.write_units += sum(_units(max(sizes), WRITE_UNIT_BYTES) for sizes in zip(before, after, strict=True))
        if operation in {"GetItem", "Query"}:
            items = answer.get("Items", [answer.get("Item", {})])
            self.read_units += _units(sum(map(item_bytes, items)), READ_UNIT_BYTES)
        return answer

    async def aclose(self) -> None:
        """Close the other client."""
        await self._client.aclose()

    async def _stored(self, table: str, key: Mapping[str, Any]) -> int:
        parameters = {"TableName": table, "Key": key, "ConsistentRead": True}
        return item_bytes((await self._client.call("GetItem", parameters)).get("Item", {}))


def _written(operation: str, parameters: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the table and the key of each item that a call writes."""
    match operation:
        case "PutItem":
            return [(parameters["TableName"], _key(parameters["Item"]))]
        case "UpdateItem" | "DeleteItem":
            return [(parameters["TableName"], parameters["Key"])]
        case "BatchWriteItem":
            return [
                (
                    table,
                    _key(request["PutRequest"]["Item"] if "PutRequest" in request else request["DeleteRequest"]["Key"]),
                )
                for table, requests in parameters["RequestItems"].items()
                for request in requests
            ]
    return []


def _key(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"pk": item["pk"], "sk": item["sk"]}


def _units(size: int, unit: int) -> int:
    return max(1, math.ceil(size / unit))


def item_bytes(value: Any) -> int:
    """Return the bytes that DynamoDB counts of an item: names, texts and bytes as they are, some more around them."""
    match value:
        case {"M": dict() as entries}:
            return 3 + sum(len(name.encode()) + 1 + item_bytes(entry) for name, entry in entries.items())
        case {"L": list() as entries}:
            return 3 + sum(1 + item_bytes(entry) for entry in entries)
        case {"S": str() as text}:
            return len(text.encode())
        case {"B": bytes() as raw}:
            return len(raw)
        case {"N": str() as digits}:
            return len(digits) // 2 + 2
        case {"BOOL": _} | {"NULL": _}:
            return 1
        case dict() as attributes:
            return sum(len(name.encode()) + item_bytes(attribute) for name, attribute in attributes.items())
    raise TypeError(f"{value!r} is no attribute of an item")
