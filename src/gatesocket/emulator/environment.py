"""The environment variables of the functions: what the template gives them, and what keeps them on this machine."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from gatesocket.emulator.resources import Addresses, Function, Resources
from gatesocket.exceptions import ConfigurationError

__all__ = ["in_process", "of_function", "of_runtime"]

_FOREIGN: Final = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""What a developer's shell may hold and no function may use: it would lead to a real account."""

_SYSTEM: Final = ("HOME", "LANG", "LC_ALL", "PATH", "SYSTEMROOT", "TMPDIR")
"""What a Python process needs of the system that it runs on."""


def of_function(function: Function, resources: Resources, *, region: str, addresses: Addresses) -> dict[str, str]:
    """Return the variables that *function* has in every way of running it.

    boto3 then reaches the stand-ins for AWS whatever client the function makes: a service that this machine
    doesn't have answers an error instead of being called in a real account.
    """
    aws = {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_ENDPOINT_URL": addresses.aws,
    }
    if resources.api is not None:
        aws["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"] = f"{addresses.gateway}/{resources.api.stage}"
    if addresses.certificate is not None:
        aws["AWS_CA_BUNDLE"] = str(addresses.certificate)
    return {**aws, **function.environment}


def of_runtime(function: Function, variables: Mapping[str, str], *, runtime_api: str) -> dict[str, str]:
    """Return the whole environment of a process that runs only *function*.

    Nothing else of this process's environment goes in, as in Lambda: what a developer's shell happens to hold would
    hide that the template doesn't give it.

    Args:
        function: the function.
        variables: what `of_function` says.
        runtime_api: host and port of its Runtime API.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    return {
        **{name: os.environ[name] for name in _SYSTEM if name in os.environ},
        "PYTHONUNBUFFERED": "1",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "LAMBDA_TASK_ROOT": str(function.code),
        "_HANDLER": function.handler,
        **variables,
    }


@contextmanager
def in_process(environments: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """Give this process the variables of all functions, as long as the context lasts.

    Args:
        environments: logical id of a function -> its variables.

    Raises:
        ConfigurationError: two functions want different values of one variable.
    """
    merged: dict[str, str] = {}
    owners: dict[str, str] = {}
    for function, environment in environments.items():
        for name, value in environment.items():
            if merged.setdefault(name, value) != value:
                raise ConfigurationError(
                    f"{owners[name]} and {function} have different values of {name}, and one process has only one "
                    "environment. Give each function processes of its own: --runtimes 1"
                )
            owners.setdefault(name, function)
    before = dict(os.environ)
    try:
        for name in _FOREIGN:
            os.environ.pop(name, None)
        os.environ.update(merged)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
