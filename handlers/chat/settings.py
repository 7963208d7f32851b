"""What a deployment of the chat can set, and the token check that needs it."""

import hmac
import os
from typing import Final

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings", "is_right", "settings"]


class Settings(BaseSettings):
    """Read from environment variables that begin with ``CHAT_``."""

    model_config = SettingsConfigDict(env_prefix="CHAT_", frozen=True)

    token: SecretStr = SecretStr("demo")
    """What the token lessons accept. The default is for demonstrations only: it stands in a public file."""

    show_source: bool = Field(default_factory=lambda: "AWS_LAMBDA_FUNCTION_NAME" not in os.environ)
    """Whether the page may show where routes wait, and their source. By default nobody is shown it by Lambda."""


settings: Final = Settings()


def is_right(token: str) -> bool:
    """Tell whether *token* is the one that was set, in a time that doesn't show how much of it is right."""
    return hmac.compare_digest(token.encode(), settings.token.get_secret_value().encode())
