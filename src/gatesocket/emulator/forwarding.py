"""Integrations that put messages into an SQS queue, without a function (facts sheet, section 6).

API Gateway writes a form with a request template and sends it to the queue; what invokes the function is the queue's
event source mapping. With a FIFO queue whose message groups are connections, each connection's messages come one batch
after the other.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
"""

import asyncio
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from botocore.exceptions import BotoCoreError, ClientError

from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.resources import Forwarding
from gatesocket.gateway.turns import Turns

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

__all__ = ["Forwarder", "send_message"]

_ATTRIBUTE: Final = re.compile(r"MessageAttribute\.(\d+)\.(?:(Name)|Value\.(DataType|StringValue))")
_ARGUMENTS: Final = {"DelaySeconds": int, "MessageBody": str, "MessageDeduplicationId": str, "MessageGroupId": str}


class Forwarder:
    """An integration as something that can be invoked, as functions can (`functions.Invocable`).

    Each connection's messages are sent one after the other, in the order in which it sent them. That API Gateway keeps
    this order on the way to the queue no documentation says.

    Args:
        integration: what to send, and where.
        sqs: a client for the queue.
    """

    def __init__(self, integration: Forwarding, sqs: "SQSClient") -> None:
        self._integration = integration
        self._sqs = sqs
        self._turns = Turns()
        self._url: str

    async def start(self) -> None:
        """See `Invocable.start`."""
        found = await asyncio.to_thread(self._sqs.get_queue_url, QueueName=self._integration.queue)
        self._url = found["QueueUrl"]

    async def invoke(self, event: Any, *, request_id: str) -> Answer:
        """Put a message's event into the queue; what SQS, or the template, says against it is a `Failed`."""
        connection_id = event["requestContext"]["connectionId"]
        await self._turns.begin(connection_id)
        try:
            message = send_message(self._integration.template.render(event))
            await asyncio.to_thread(self._sqs.send_message, QueueUrl=self._url, **message)
        except (BotoCoreError, ClientError, ValueError) as error:
            return Failed(type(error).__name__, str(error))
        finally:
            self._turns.end(connection_id)
        return Returned(None)

    async def aclose(self) -> None:
        """See `Invocable.aclose`; there is nothing to let go of."""


def send_message(form: str) -> dict[str, Any]:
    """Read a form as SQS's query protocol does; return the arguments of SendMessage.

    Raises:
        ValueError: it asks for something else, or for something that SendMessage hasn't.
    """
    arguments: dict[str, Any] = {}
    attributes: defaultdict[str, dict[str, str]] = defaultdict(dict)
    fields = parse_qsl(form, keep_blank_values=True, strict_parsing=True)
    if ("Action", "SendMessage") not in fields:
        raise ValueError(f"expected Action=SendMessage, got {dict(fields).get('Action', 'no Action')}")
    for name, value in fields:
        if attribute := _ATTRIBUTE.fullmatch(name):
            number, is_name, part = attribute.groups()
            attributes[number]["Name" if is_name else part] = value
        elif name in _ARGUMENTS:
            arguments[name] = _ARGUMENTS[name](value)
        elif name not in {"Action", "Version"}:
            raise ValueError(f"SendMessage has no {name}")
    if attributes:
        arguments["MessageAttributes"] = {each.pop("Name", ""): each for each in attributes.values()}
    return arguments
