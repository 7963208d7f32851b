"""What a deployment says of itself, through environment variables that begin with ``GATESOCKET_``.

pydantic-settings would read them, too, and files, secrets and command lines besides; importing it costs a cold start
13 ms. pydantic itself is there with FastAPI.
"""

import os
from functools import cache
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, model_validator

__all__ = ["FANOUT_ABOVE", "Settings", "settings"]

FANOUT_ABOVE: Final = 1000
"""Connections that one invocation posts to by itself in about the time that a queue takes to bring in others."""


PREFIX: Final = "GATESOCKET_"
"""What the variables' names begin with."""


class Settings(BaseModel):
    """The settings of one deployment; each is the environment variable of its name, ``GATESOCKET_TABLE`` and so on.

    What it is given comes before the environment.
    """

    table: str | None = None
    """The DynamoDB table of connections. None keeps them in the memory of this process."""
    region: str | None = None
    """The AWS region of table, queue and API. None leaves it to ``AWS_REGION`` and boto3's configuration."""
    aws_client: Literal["asyncio", "boto3"] = "asyncio"
    """What calls AWS. ``boto3`` is slower; it knows proxies, FIPS endpoints and whatever else boto3 is configured with.

    moto's ``mock_aws`` replaces boto3's network and no other: tests that use it need ``boto3``.
    """
    endpoint: str | None = None
    """The Management API's address, ``https://{api}.execute-api.{region}.amazonaws.com/{stage}``.

    None derives it from each event; then only a handler's own process can send.
    """
    wake_queue: str | None = None
    """The URL of the SQS queue that brings a handler back to a connection."""
    jobs_queue: str | None = None
    """The URL of the SQS queue that takes jobs to their function. None runs them in the process that enqueues them."""
    fanout_queue: str | None = None
    """The URL of the SQS queue that takes batches of a large broadcast to their function. None posts directly."""
    fanout_above: int = Field(default=FANOUT_ABOVE, ge=0)
    """Connections that a broadcast posts to itself before it hands the others to the fan-out queue."""
    group_shards: int = Field(default=1, ge=1)
    """Over how many partitions of the table each group is spread; fixed for as long as the table has connections."""
    path_parameter: str = "__path"
    """The query parameter that carries the path of a connection's URL; the app doesn't see it."""
    binary: Literal["base64"] | None = None
    """``base64`` sends and receives bytes as text in an agreed form. None makes them an error."""
    close_message: bool = False
    """Whether a last text message tells the client the code and the reason of a close, which API Gateway can't."""
    accept_then_close: Literal["refuse", "open"] = "refuse"
    """What becomes of a handshake whose route accepts it and closes, or ends, without having sent anything.

    ``refuse`` answers 403, so that no connection is opened for a client that isn't let in. ``open`` lets it in and
    closes the connection at once, as a server does that holds its sockets itself.
    """
    record_seconds: int = Field(default=2 * 60 * 60 + 15 * 60, gt=0)
    """Seconds that a record is kept after its connection began: the two hours that one can last, and a margin."""

    @model_validator(mode="before")
    @classmethod
    def _of_environment(cls, given: dict[str, Any]) -> dict[str, Any]:
        named = {name: os.environ.get(PREFIX + name.upper()) for name in cls.model_fields}
        return {name: value for name, value in named.items() if value is not None} | given


@cache
def settings() -> Settings:
    """Read the settings of this process, once."""
    return Settings()
