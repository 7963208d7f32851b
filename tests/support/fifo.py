"""An SQS FIFO queue in this process, behind the part of boto3's client that pollers and senders use.

moto has such queues too, but looks through all messages several times for each call: with ten thousand of them it takes
a tenth of a second to send one.
"""

import hashlib
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

__all__ = ["FifoQueue"]


@dataclass
class _Message:
    body: str
    group: str
    id: str = field(default_factory=lambda: str(uuid4()))
    visible_at: float = 0
    receipt: str = ""
    receives: int = 0


class FifoQueue:
    """Messages in groups, each in the order of their arrival, and each group with one receiver at a time.

    What isn't deleted within *visibility* seconds is received again, before anything that is behind it in its group.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
    """

    meta = SimpleNamespace(region_name="us-east-1")

    def __init__(self, *, visibility: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._visibility = visibility
        self._clock = clock
        self._groups: defaultdict[str, deque[_Message]] = defaultdict(deque)
        self._changed = Condition()

    def join(self) -> None:
        """Wait until everything is deleted."""
        with self._changed:
            self._changed.wait_for(lambda: not any(self._groups.values()))

    def get_queue_url(self, **_: str) -> dict[str, str]:
        return {"QueueUrl": "in this process"}

    def send_message(self, *, MessageBody: str, MessageGroupId: str) -> None:  # noqa: N803 (boto3's names)
        with self._changed:
            self._groups[MessageGroupId].append(_Message(MessageBody, MessageGroupId))

    def receive_message(self, *, MaxNumberOfMessages: int, **_: Any) -> dict[str, Any]:  # noqa: N803
        """Give what can be had at once, group after group; never wait."""
        received: list[_Message] = []
        with self._changed:
            now = self._clock()
            for group in list(self._groups):
                messages = self._groups.pop(group)
                # Behind all others from now on, so that every group has its turn.
                self._groups[group] = messages
                if not any(message.visible_at > now for message in messages):
                    received.extend(list(messages)[: MaxNumberOfMessages - len(received)])
                if len(received) == MaxNumberOfMessages:
                    break
            for message in received:
                message.visible_at = now + self._visibility
                message.receipt = str(uuid4())
                message.receives += 1
            return {"Messages": [_received(message) for message in received]}

    def delete_message_batch(self, *, Entries: list[dict[str, str]], **_: Any) -> None:  # noqa: N803
        """Delete what was received last with these receipts; a receipt that is out of date does nothing."""
        receipts = {entry["ReceiptHandle"] for entry in Entries}
        with self._changed:
            for group, messages in self._groups.items():
                self._groups[group] = deque(message for message in messages if message.receipt not in receipts)
            self._changed.notify_all()


def _received(message: _Message) -> dict[str, Any]:
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "Body": message.body,
        "MD5OfBody": hashlib.md5(message.body.encode()).hexdigest(),
        "Attributes": {"MessageGroupId": message.group, "ApproximateReceiveCount": str(message.receives)},
    }
