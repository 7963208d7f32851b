"""Whether API Gateway may invoke a function, as far as a template says so.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-permission.html
"""

import re
from typing import Final

from gatesocket.emulator.policy import expression
from gatesocket.emulator.reader import Reader
from gatesocket.exceptions import ConfigurationError

__all__ = ["may_invoke"]

_PRINCIPALS: Final = frozenset({"apigateway.amazonaws.com", "*"})
_ACTIONS: Final = frozenset({"lambda:invokefunction", "lambda:*"})


def may_invoke(reader: Reader, function: str, arn: str) -> bool:
    """Return whether an ``AWS::Lambda::Permission`` lets API Gateway invoke *function* for the route that *arn* names.

    One that can't be read on this machine is taken to do so.
    """
    return any(_allows(reader, permission, function, arn) for permission in reader.of_type("AWS::Lambda::Permission"))


def _allows(reader: Reader, permission: str, function: str, arn: str) -> bool:
    try:
        properties = reader.properties(permission)
    except ConfigurationError:
        return True
    name = str(properties.get("FunctionName", ""))
    return (
        reader.function_of(name if ":function:" in name else f":function:{name}") == function
        and properties.get("Principal") in _PRINCIPALS
        and str(properties.get("Action", "")).lower() in _ACTIONS
        and re.fullmatch(expression(str(properties.get("SourceArn", "*"))), arn) is not None
    )
