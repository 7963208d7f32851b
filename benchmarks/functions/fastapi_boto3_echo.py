"""The echo by hand, in a function that imports the FastAPI app for what they share."""

from functions.boto3_echo import handler
from functions.echo_app import app

__all__ = ["app", "handler"]
