"""The lean client: SigV4 over a pool of asyncio connections, without boto3."""

import asyncio
import os
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Final

from gatesocket.aws import credentials as credentials_
from gatesocket.aws.base import Refused, Unreachable
from gatesocket.aws.endpoints import Endpoint, endpoint_of, parse_endpoint, refuse_proxy, region_of
from gatesocket.aws.http import CONNECTIONS, TIMEOUTS, Pool, Timeouts
from gatesocket.aws.http1 import Response, encode_request
from gatesocket.aws.nearby import NEARBY
from gatesocket.aws.retry import Policy, pause
from gatesocket.aws.services import SERVICES, Call, NotAnAnswer, refusal
from gatesocket.aws.sigv4 import Credentials, sign
from gatesocket.clock import Clock, milliseconds
from gatesocket.exceptions import ConfigurationError
from gatesocket.observation import count
from gatesocket.patience import in_context

__all__ = ["AsyncioClient", "tls_context"]

HEADERS: Final = {"user-agent": "gatesocket", "accept-encoding": "identity"}
"""Of every request, unsigned, as botocore leaves the first."""

EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException"})
ERRORS: Final = 300
"""The lowest HTTP status that isn't a success; none of these services redirects."""


class AsyncioClient:
    """Calls an AWS service from asyncio; see `AWSClient`.

    Region, endpoint and credentials are looked for by the first call. It can be used on several event loops, each of
    which has connections of its own; a loop that is closed before `aclose` takes them with it.

    Args:
        service: boto3's name: ``dynamodb``, ``sqs`` or ``apigatewaymanagementapi``.
        region: None takes it from ``AWS_REGION`` or ``AWS_DEFAULT_REGION``, or else from botocore's configuration.
        endpoint_url: None takes it from ``AWS_ENDPOINT_URL_<SERVICE>`` or ``AWS_ENDPOINT_URL``, or else AWS's own.
        credentials: None takes those of the environment, or else what botocore's chain finds.
        policy: how often a call is tried, unless `gatesocket.patience` gives it less time; None takes
            ``AWS_MAX_ATTEMPTS``, or six times within twelve seconds.
        timeouts: how long a server is waited for.
        connections: how many there are at the most, on each event loop.
        clock: tells the time for signatures and for the policy.
        sleep: waits before a call is made again.
        chance: returns a random number from 0 to 1, for how long.
    """

    def __init__(
        self,
        service: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        credentials: credentials_.Provider | None = None,
        policy: Policy | None = None,
        timeouts: Timeouts = TIMEOUTS,
        connections: int = CONNECTIONS,
        clock: Clock = milliseconds,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._name = service
        self._service = SERVICES[service]
        self._region = region
        self._endpoint_url = endpoint_url
        self._credentials = credentials
        self._policy = policy
        self._timeouts = timeouts
        self._connections = connections
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._found: tuple[str, Endpoint, Policy] | None = None
        """What `_find` has returned."""
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """See `AWSClient.call`."""
        region, endpoint, policy = self._found or await self._find()
        call = self._service.encode(operation, parameters)
        begun, made = self._clock(), 0
        rejected = False
        while True:
            try:
                credentials = await self._provider(region).get()
                request = self._request(call, region, endpoint, credentials)
                serve = NEARBY.get(endpoint.address) if NEARBY else None
                if serve is None:
                    response = await self._pool(endpoint).exchange(encode_request(*request))
                else:
                    response = await serve(request)
                if response.status < ERRORS:
                    return self._decode(operation, response, endpoint)
                raise refusal(response)
            except (Refused, Unreachable) as error:
                made += 1
                if isinstance(error, Refused) and error.code in EXPIRED and not rejected:
                    rejected = True
                    if self._provider(region).reject(credentials):
                        continue
                elapsed = (self._clock() - begun) / 1000
                seconds = pause(error, policy.within(in_context()), made=made, elapsed=elapsed, chance=self._chance())
                if seconds is None:
                    raise
            count("retries")
            await self._sleep(seconds)

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and forget those of loops that are closed."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        self._forget_closed_loops()
        if pool is not None:
            await pool.aclose()

    def _request(self, call: Call, region: str, endpoint: Endpoint, credentials: Credentials) -> Call:
        path = f"{endpoint.path}{call.path}"
        signed = sign(
            call.method,
            path,
            {"host": endpoint.host, **call.headers},
            call.body,
            credentials=credentials,
            region=region,
            service=self._service.signing_name,
            at=self._clock() // 1000,
        )
        return Call(call.method, path, {**HEADERS, **signed}, call.body)

    def _decode(self, operation: str, response: Response, endpoint: Endpoint) -> dict[str, Any]:
        try:
            return self._service.decode(operation, response.body)
        except NotAnAnswer as error:
            raise Unreachable(f"{endpoint} doesn't answer as {self._name} does: {error}. Check the endpoint") from error

    async def _find(self) -> tuple[str, Endpoint, Policy]:
        """Look at the environment, at the first call; boto3 does so when a client is made."""
        region = self._region or region_of(os.environ) or await credentials_.configured_region()
        given = self._endpoint_url
        endpoint = parse_endpoint(given, "endpoint_url") if given else endpoint_of(self._name, region, os.environ)
        refuse_proxy(endpoint, os.environ)
        self._found = region, endpoint, self._policy or Policy.of_environment(os.environ)
        return self._found

    def _provider(self, region: str) -> credentials_.Provider:
        if self._credentials is None:
            self._credentials = credentials_.provider(region)
        return self._credentials

    def _pool(self, endpoint: Endpoint) -> Pool:
        """Return the connections of the running event loop."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            self._forget_closed_loops()
            pool = self._pools[loop] = Pool(
                endpoint.address,
                tls=tls_context,
                connections=self._connections,
                timeouts=self._timeouts,
                clock=self._clock,
            )
        return pool

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._pools if loop.is_closed()]:
            del self._pools[loop]


@cache
def tls_context() -> ssl.SSLContext:
    """Make the context of every TLS connection: it reads some 150 certificates, which takes 25 ms.

    It trusts the authorities in ``AWS_CA_BUNDLE``, or else the system's, which ``SSL_CERT_FILE`` can replace.

    Raises:
        ConfigurationError: the file can't be read.
    """
    bundle = os.environ.get("AWS_CA_BUNDLE") or None
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:  # SSL's errors are, too
        raise ConfigurationError(f"AWS_CA_BUNDLE names {bundle!r}, which holds no certificates: {error}") from error
