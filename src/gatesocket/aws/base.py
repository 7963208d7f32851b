"""What every client of an AWS service promises, and the errors that it raises."""

from collections.abc import Mapping
from typing import Any, Final, Protocol, runtime_checkable

__all__ = ["REMEDIES", "AWSClient", "Refused", "Unreachable"]


class Refused(Exception):
    """A service answered a call with an error; for who made the call to say in its own words."""

    def __init__(self, code: str, message: str, status: int, request_id: str | None = None) -> None:
        super().__init__(code, message, status, request_id)
        self.code = code
        """The error's name, such as ``ResourceNotFoundException``; the status if the answer named none."""
        self.message = message
        self.status = status
        """The HTTP status of the answer."""
        self.request_id = request_id
        """What AWS's support asks for; None if the answer didn't say."""

    def __str__(self) -> str:
        said = f"{self.code}: {self.message}" if self.message else self.code
        remedy = REMEDIES.get(self.code)
        return f"{said.rstrip('.')}. {remedy}" if remedy else said


_UNKNOWN_KEY: Final = (
    "AWS doesn't know these credentials: check AWS_ACCESS_KEY_ID or AWS_PROFILE. Where moto's mock_aws is to answer, "
    "set GATESOCKET_AWS_CLIENT=boto3: it can't be asked otherwise"
)
_OUTDATED: Final = "The credentials have expired: renew them (aws sso login, or a new session of the role)"
_UNSIGNED: Final = "Check AWS_SECRET_ACCESS_KEY, this machine's clock, and the region of the endpoint"

REMEDIES: Final = {
    "ExpiredToken": _OUTDATED,
    "ExpiredTokenException": _OUTDATED,
    "InvalidClientTokenId": _UNKNOWN_KEY,
    "UnrecognizedClientException": _UNKNOWN_KEY,
    "IncompleteSignature": _UNSIGNED,
    "IncompleteSignatureException": _UNSIGNED,
    "InvalidSignatureException": _UNSIGNED,
    "SignatureDoesNotMatch": _UNSIGNED,
}
"""What to do about the errors that any service may answer with.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html
"""


class Unreachable(Exception):
    """A service didn't answer, or what answered isn't that service."""


@runtime_checkable
class AWSClient(Protocol):
    """Calls one AWS service. Operations and parameters have the names of boto3's models, and so have the answers."""

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Make one call, repeated where that can help.

        A call whose answer was lost may be made twice.

        Args:
            operation: such as ``UpdateItem``.
            parameters: as boto3 takes them; bytes are bytes.

        Raises:
            ConfigurationError: there is no region, no endpoint, no credentials, or a library is missing.
            Refused: the service refused the call, in the end.
            Unreachable: there was no answer that can be understood, in the end.
        """
        ...

    async def aclose(self) -> None:
        """Let go of network connections; the client can't be used afterwards."""
        ...
