"""The platform's numbers, each beside its source.

Hardly any of them can be raised; they are named here so that no other module carries a bare number, and so that a test
can make them small. "Quotas" is https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html and its page
for WebSocket APIs, apigateway-execution-service-websocket-limits-table.html.
The "facts sheet" that comments cite, here and elsewhere, is docs/api-gateway-facts.md.
"""

from typing import Final

FRAME_BYTES: Final = 32 * 1024
"""Bytes in one frame that a client sends; a larger frame closes the connection with 1009 (Quotas)."""

MESSAGE_BYTES: Final = 128 * 1024
"""Bytes in one message; a larger one of a client is closed with 1009, a larger post refused with 413 (Quotas)."""

INTEGRATION_SECONDS: Final = 29
"""Seconds that API Gateway waits for the function; not raisable for WebSocket APIs (Quotas)."""

INTEGRATION_MILLISECONDS: Final = 50
"""The shortest time that an integration can be given, in milliseconds (Quotas)."""

IDLE_SECONDS: Final = 10 * 60
"""Seconds without a message in either direction after which API Gateway closes with 1001 (Quotas)."""

CONNECTION_SECONDS: Final = 2 * 60 * 60
"""Seconds that a connection can last at the most (Quotas)."""

URL_CHARACTERS: Final = 4096
"""Characters in the URL of a handshake (Quotas)."""

CONNECTIONS_PER_SECOND: Final = 500
"""New connections of one account in one region; raisable (Quotas)."""

REQUESTS_PER_SECOND: Final = 10_000
"""Requests of one account in one region, messages and calls of the Management API among them; raisable (Quotas)."""

REQUESTS_BURST: Final = 5_000
"""Requests that may come at once (Quotas)."""

AUTHORIZER_CONTEXT_BYTES: Final = 8 * 1024
"""Bytes of a Lambda authorizer's result (Quotas)."""

ITEM_BYTES: Final = 400 * 1024
"""Bytes of one DynamoDB item, names included.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
"""

QUEUE_MESSAGE_BYTES: Final = 256 * 1024
"""Bytes of an SQS message that any queue takes; a queue can be set to take up to 1 MiB, but needn't be.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""

WAKE_DELAY_SECONDS: Final = 15 * 60
"""Seconds by which SQS can delay a message at the most.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""
