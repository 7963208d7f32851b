"""What a deployment of the dashboard can set."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


class Settings(BaseSettings):
    """Read from environment variables that begin with ``DASHBOARD_``."""

    model_config = SettingsConfigDict(env_prefix="DASHBOARD_", frozen=True)

    every: float = Field(default=3, gt=0)
    """Seconds between two values of a sensor. From one on, a route hibernates in between and nothing runs."""
    history: int = Field(default=60, ge=0)
    """Values of the past that a client gets when it subscribes."""
