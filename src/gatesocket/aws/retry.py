"""Whether a call that failed is made again, and after how long: a decision without clock, network or chance.

========================================  =========================================================
what failed                               again?
========================================  =========================================================
no answer (`Unreachable`)                 yes: a repeated write does no harm to whoever calls (`AWSClient.call`)
status 429, 500, 502, 503, 504            yes
a code that says "slow down"              yes, whatever the status: DynamoDB throttles with 400
anything else that was refused            no: it would be refused again
the last attempt, or the time is used up  no
========================================  =========================================================
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gatesocket.aws.base import Refused, Unreachable
from gatesocket.exceptions import ConfigurationError
from gatesocket.values import frozen

__all__ = ["STATUSES", "THROTTLED", "Policy", "pause"]

STATUSES: Final = frozenset({429, 500, 502, 503, 504})

THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "InternalServerError",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""Those that botocore repeats, too.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""


@frozen
class Policy:
    """How often and for how long a call is tried."""

    attempts: int = 6
    """At the most, the first included."""
    first_pause: float = 0.05
    """Seconds that the wait before the second attempt takes at the most; each later one may take twice as long."""
    longest_pause: float = 2.0
    """Seconds that any wait takes at the most."""
    budget: float = 12.0
    """Seconds after which no further attempt begins; API Gateway waits 29 for the function."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"a call is made at least once, but attempts={self.attempts}")

    def within(self, seconds: float | None) -> "Policy":
        """Return this policy with a budget of at most *seconds*; None leaves it as it is."""
        return self if seconds is None or seconds >= self.budget else replace(self, budget=seconds)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "Policy":
        """Return the policy that ``AWS_MAX_ATTEMPTS`` asks for.

        Raises:
            ConfigurationError: it isn't a number of attempts.
        """
        attempts = environment.get("AWS_MAX_ATTEMPTS")
        if attempts is None:
            return cls()
        try:
            return cls(attempts=int(attempts))
        except ValueError as error:
            raise ConfigurationError(
                f"AWS_MAX_ATTEMPTS has to be the number of attempts that a call is made, 1 or more, but is {attempts!r}"
            ) from error


def pause(error: Refused | Unreachable, policy: Policy, *, made: int, elapsed: float, chance: float) -> float | None:
    """Return how many seconds to wait before the next attempt; None if there is to be none.

    "Full jitter": any wait between none and a bound that doubles is as likely as any other, so that those who were
    refused together don't come back together.

    Args:
        error: what the last attempt has ended with.
        policy: the bounds.
        made: how many attempts were made.
        elapsed: seconds since the first one began.
        chance: a random number from 0 to 1.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    if made >= policy.attempts or not _helps(error):
        return None
    seconds = chance * min(policy.first_pause * 2 ** (made - 1), policy.longest_pause)
    return seconds if elapsed + seconds < policy.budget else None


def _helps(error: Refused | Unreachable) -> bool:
    return isinstance(error, Unreachable) or error.status in STATUSES or error.code in THROTTLED
