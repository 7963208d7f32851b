"""What the Lambda callables that work queues off have in common."""

import asyncio

import pytest

from gatesocket.exceptions import UnexpectedEvent
from gatesocket.queue_handler import QueueHandler


class Letters(QueueHandler):
    """Serves letters: a "later" isn't done, a "bad" one raises."""

    def __init__(self) -> None:
        super().__init__("post", "letter")
        self.served: list[tuple[str, object]] = []
        self.loops: set[asyncio.AbstractEventLoop] = set()

    async def _serve(self, body: str, context: object) -> bool:
        self.served.append((body, context))
        self.loops.add(asyncio.get_running_loop())
        if body == "bad":
            raise ValueError(body)
        return body != "later"


def batch(*bodies: str) -> dict[str, object]:
    return {"Records": [{"messageId": f"m{number}", "body": body} for number, body in enumerate(bodies)]}


async def test_what_failed_is_reported_and_what_is_behind_it_is_served(caplog: pytest.LogCaptureFixture) -> None:
    letters, context = Letters(), object()

    answer = await letters.invoke(batch("good", "bad", "later", "good"), context)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}, {"itemIdentifier": "m2"}]}
    assert letters.served == [(body, context) for body in ("good", "bad", "later", "good")]
    [record] = caplog.records
    assert record.getMessage() == "the letter of message m1 failed"
    assert record.exc_info is not None


async def test_what_is_no_batch_is_refused_as_a_whole() -> None:
    with pytest.raises(UnexpectedEvent, match="expected a batch of the post queue"):
        await Letters().invoke({"x": 1}, None)


def test_one_event_loop_serves_all_batches_of_a_process() -> None:
    letters = Letters()
    try:
        assert letters(batch("good"), None) == letters(batch("good", "good"), None) == {"batchItemFailures": []}
    finally:
        letters._loop.close()

    assert len(letters.served) == 3
    assert len(letters.loops) == 1
