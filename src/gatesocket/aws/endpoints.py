"""Where an AWS service is: by argument, by environment variable, or by the rule of its region's partition.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from gatesocket.aws.http import Address
from gatesocket.exceptions import ConfigurationError
from gatesocket.values import frozen

__all__ = ["PARTITIONS", "Endpoint", "domain_of", "endpoint_of", "parse_endpoint", "refuse_proxy", "region_of"]

PARTITIONS: Final = (
    (re.compile(r"cn-\w+-\d+"), "amazonaws.com.cn"),
    (re.compile(r"eusc-(de)-\w+-\d+"), "amazonaws.eu"),
    (re.compile(r"us-iso-\w+-\d+"), "c2s.ic.gov"),
    (re.compile(r"us-isob-\w+-\d+"), "sc2s.sgov.gov"),
    (re.compile(r"eu-isoe-\w+-\d+"), "cloud.adc-e.uk"),
    (re.compile(r"us-isof-\w+-\d+"), "csp.hci.ic.gov"),
    (re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+"), "amazonaws.com"),  # and GovCloud, which is a partition with this domain
)
"""Regions' names, and the domain under which their services are; botocore's ``partitions.json`` says the same."""

VISIBLE: Final = re.compile(r"[!-~]+")
"""ASCII without spaces and control characters, which `urlsplit` would drop in silence."""

_ELSEWHERE: Final = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")
"""What asks for addresses that follow no such rule."""


@frozen
class Endpoint:
    """The address of a service."""

    address: Address
    path: str
    """What stands before each request's own path; without a slash at its end."""

    def __str__(self) -> str:
        return f"{self.address}{self.path}"

    @property
    def host(self) -> str:
        """The ``Host`` header: without the port where it is the scheme's own."""
        host = f"[{self.address.host}]" if ":" in self.address.host else self.address.host
        default = 443 if self.address.secure else 80
        return host if self.address.port == default else f"{host}:{self.address.port}"


def region_of(environment: Mapping[str, str]) -> str | None:
    """Return the region of this process; None if its environment doesn't say. Lambda's does."""
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")


def domain_of(region: str) -> str:
    """Return the domain under which *region*'s services are.

    Raises:
        ConfigurationError: it can't be a region.
    """
    for names, domain in PARTITIONS:
        if names.fullmatch(region):
            return domain
    raise ConfigurationError(
        f"{region!r} isn't the name of an AWS region: those look like 'eu-central-1'. Check AWS_REGION and "
        "GATESOCKET_REGION"
    )


def endpoint_of(service: str, region: str, environment: Mapping[str, str]) -> Endpoint:
    """Return where *service* is for a process with this environment.

    Raises:
        ConfigurationError: what the environment says is no address, or it asks for one that isn't known here.
    """
    if environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        for name in (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL"):
            if url := environment.get(name):
                return parse_endpoint(url, name)
    if service == "apigatewaymanagementapi":
        raise ConfigurationError(
            "the Management API's endpoint isn't known: give ManagementAPI one, or set GATESOCKET_ENDPOINT or "
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI to https://{api}.execute-api.{region}.amazonaws.com/{stage}"
        )
    for name in _ELSEWHERE:
        if environment.get(name, "").lower() == "true":
            raise ConfigurationError(
                f"{name} is set, and only boto3 knows where {service} is then: set GATESOCKET_AWS_CLIENT=boto3, or "
                f"AWS_ENDPOINT_URL_{service.upper()}"
            )
    return parse_endpoint(f"https://{service}.{region}.{domain_of(region)}", "the region")


def refuse_proxy(endpoint: Endpoint, environment: Mapping[str, str]) -> None:
    """Make sure that the environment doesn't ask for a proxy on the way to *endpoint*.

    Raises:
        ConfigurationError: it does, which only boto3 knows how to do.
    """
    name = "https_proxy" if endpoint.address.secure else "http_proxy"
    if not (environment.get(name) or environment.get(name.upper())):
        return
    from urllib import request  # noqa: PLC0415  # 10 ms that few need

    excepted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    # Python's own reading of NO_PROXY, which requests and pip take from here; typeshed doesn't know it.
    bypassed: bool = request.proxy_bypass_environment(endpoint.address.host, {"no": excepted})  # type: ignore[attr-defined]
    if not bypassed:
        raise ConfigurationError(
            f"{name.upper()} is set, and only boto3 goes through proxies: set GATESOCKET_AWS_CLIENT=boto3, or name "
            f"{endpoint.address.host} in NO_PROXY"
        )


def parse_endpoint(url: str, source: str) -> Endpoint:
    """Take an endpoint's URL apart.

    Args:
        url: such as ``https://a1.execute-api.eu-central-1.amazonaws.com/prod``.
        source: who says so, for the error.

    Raises:
        ConfigurationError: it isn't the URL of an endpoint.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if (
        host is None
        or parts.scheme not in {"http", "https"}
        or parts.username is not None
        or parts.query
        or parts.fragment
        or not VISIBLE.fullmatch(url)
    ):
        # Without the URL: one that was mistaken may hold a password.
        raise ConfigurationError(
            f"{source} gives an endpoint that isn't a URL of the form https://host/path, without user and query"
        )
    secure = parts.scheme == "https"
    return Endpoint(Address(host, port or (443 if secure else 80), secure), parts.path.rstrip("/"))
