"""A process that knows nothing of AWS, whatever the developer's shell and home directory say."""

import os

import pytest

__all__ = ["forget_aws"]


def forget_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every setting of AWS out of the environment, and every file and address that boto3 reads besides."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
