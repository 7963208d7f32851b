"""What a deployment says of itself, through environment variables that begin with ``GATESOCKET_``.

pydantic-settings would read them, too, and files, secrets and command lines besides; importing it costs a cold start
13 ms. pydantic itself is there with FastAPI.
"""

import logging
import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gatesocket.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["FANOUT_ABOVE", "Settings", "settings"]

FANOUT_ABOVE: Final = 1000
"""Connections that one invocation posts to by itself in about the time that a queue takes to bring in others."""


PREFIX: Final = "GATESOCKET_"
"""What the variables' names begin with."""

_CLOSE: Final = 0.85
"""How alike a name and a setting's are, from 0 to 1, for it to be a slip; each begins with the same eleven letters."""

logger = logging.getLogger("gatesocket")


class Settings(BaseModel):
    """The settings of one deployment; each is the environment variable of its name, ``GATESOCKET_TABLE`` and so on.

    What it is given comes before the environment.

    Raises:
        ConfigurationError: a setting can't be what it is, or what is given is none.
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

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _of_environment(cls, given: dict[str, Any], validate: Callable[[dict[str, Any]], Self]) -> Self:
        """Fill in from the environment what isn't *given*.

        Raises:
            ConfigurationError: a value can't be; the message says what was expected of which variable.
        """
        found = {name: os.environ.get(PREFIX + name.upper()) for name in cls.model_fields}
        try:
            return validate({name: value for name, value in found.items() if value is not None} | given)
        except ValidationError as error:
            raise ConfigurationError(". ".join(_said(each, given) for each in error.errors())) from None


def _said(error: "ErrorDetails", given: dict[str, Any]) -> str:
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return f"there is no setting {name!r}"
    named = f"the setting {name}" if name in given else PREFIX + name.upper()
    return f"{named} can't be {error['input']!r}: {error['msg'][:1].lower()}{error['msg'][1:]}"


@cache
def settings() -> Settings:
    """Read the settings of this process, once; warn of variables whose names are nearly those of settings.

    Raises:
        ConfigurationError: one of its variables can't be what it is.
    """
    names = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(os.environ.keys() - names):
        if name.startswith(PREFIX):
            import difflib  # noqa: PLC0415  # hardly ever, and then a cold start pays for it

            if close := difflib.get_close_matches(name, names, 1, _CLOSE):
                logger.warning("%s is no setting, and has no effect: did you mean %s?", name, close[0])
    return Settings()
