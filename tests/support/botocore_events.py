"""What a test does to a boto3 client's calls, by botocore's own events: look on, step in between, lose an answer."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["interleave", "limit_batches", "limit_pages", "lose_first_answers", "record_calls"]


def record_calls(client: "DynamoDBClient") -> list[str]:
    """Return a list that grows by the name of each operation that is sent."""
    calls: list[str] = []

    def note(model: Any, **_: object) -> None:
        calls.append(model.name)

    client.meta.events.register("before-call.dynamodb", note)
    return calls


def interleave(
    client: "DynamoDBClient", operation: str, steps: Mapping[int, Callable[[], Coroutine[Any, Any, object]]]
) -> None:
    """Do ``steps[n]`` just before the n-th call of *operation* is sent, counted from 1, and wait for it."""
    sent = 0

    def step(**_: object) -> None:
        nonlocal sent
        sent += 1
        if sent in steps:
            asyncio.run(steps[sent]())

    client.meta.events.register(f"before-call.dynamodb.{operation}", step)


def lose_first_answers(client: "DynamoDBClient", operation: str) -> None:
    """Lose the first answer to each call of *operation*, which the server has acted on; botocore sends it again."""

    def needs_retry(attempts: int, **_: object) -> int | None:
        return 0 if attempts == 1 else None  # s to wait before the next attempt; None for no retry

    # First in line, before botocore's own retry handler is asked. The stubs say that no handler returns anything.
    handler: Any = needs_retry
    client.meta.events.register_first(f"needs-retry.dynamodb.{operation}", handler)


def limit_pages(client: "DynamoDBClient", items: int) -> None:
    """Make each page of a query end after so many items, as DynamoDB's do after 1 MB."""

    def limit(params: dict[str, Any], **_: object) -> None:
        params["Limit"] = items

    client.meta.events.register("provide-client-params.dynamodb.Query", limit)


def limit_batches(client: "DynamoDBClient", writes: int) -> None:
    """Make each BatchWriteItem put off all but so many of its writes, as DynamoDB does when it is throttled."""
    put_off: dict[str, Any] = {}

    def cut(params: dict[str, Any], **_: object) -> None:
        put_off.clear()
        for table, requests in params["RequestItems"].items():
            put_off[table] = requests[writes:]
            params["RequestItems"] = {table: requests[:writes]}

    def admit(parsed: dict[str, Any], **_: object) -> None:
        parsed["UnprocessedItems"] = {table: requests for table, requests in put_off.items() if requests}

    client.meta.events.register("provide-client-params.dynamodb.BatchWriteItem", cut)
    client.meta.events.register("after-call.dynamodb.BatchWriteItem", admit)
