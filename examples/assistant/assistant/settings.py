"""What a deployment of the assistant can set."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


class Settings(BaseSettings):
    """Read from environment variables that begin with ``ASSISTANT_``."""

    model_config = SettingsConfigDict(env_prefix="ASSISTANT_", frozen=True)

    pause: float = Field(default=0.04, gt=0)
    """Seconds between two pieces of an answer, in which a client can stop it."""
    memory: int = Field(default=64 * 1024, ge=16 * 1024, le=128 * 1024)
    """Bytes of a conversation that are remembered; older turns are forgotten. They are in the connection's record, of
    which DynamoDB bills each KB that is written."""
