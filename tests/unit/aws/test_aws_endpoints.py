"""Where services are, held against botocore's data."""

import json
import re
from pathlib import Path
from typing import Any, Literal

import botocore
import pytest
from botocore.regions import EndpointResolver
from botocore.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st

from gatesocket.aws.endpoints import domain_of, endpoint_of, parse_endpoint, refuse_proxy, region_of
from gatesocket.exceptions import ConfigurationError
from gatesocket.gateway.management_api import endpoint_for, region_in

DATA = Path(botocore.__file__).parent / "data"
PARTITIONS = json.loads((DATA / "partitions.json").read_text())
RULES = [(partition["regionRegex"], partition["outputs"]["dnsSuffix"]) for partition in PARTITIONS["partitions"]]
DOMAINS = {
    region: partition["outputs"]["dnsSuffix"]
    for partition in PARTITIONS["partitions"]
    for region in partition["regions"]
    if "global" not in region
}


def test_every_region_is_under_the_domain_that_botocore_knows() -> None:
    assert len(DOMAINS) > 30
    assert {region: domain_of(region) for region in DOMAINS} == DOMAINS


@settings(max_examples=40)
@given(st.sampled_from(RULES).flatmap(lambda rule: st.tuples(st.from_regex(ascii_only(rule[0])), st.just(rule[1]))))
def test_a_region_that_is_not_there_yet_is_under_its_partitions_domain(named: tuple[str, str]) -> None:
    """By the rule that botocore has for the names of regions to come; AWS's have capitals and underscores nowhere."""
    region, domain = named
    assert domain_of(region) == domain


def ascii_only(rule: str) -> re.Pattern[str]:
    return re.compile(rule.replace(r"\w", "[a-z]").replace(r"\d", "[0-9]").replace("$", r"\Z"))


@pytest.mark.parametrize("service", ["dynamodb", "sqs"])
def test_in_every_region_an_endpoint_is_the_one_of_botocores_table(service: str) -> None:
    table: Any = EndpointResolver(json.loads((DATA / "endpoints.json").read_text()))
    theirs = {region: table.construct_endpoint(service, region)["hostname"] for region in DOMAINS}
    assert {region: endpoint_of(service, region, {}).host for region in DOMAINS} == theirs


@pytest.mark.parametrize("region", DOMAINS)
def test_in_every_region_the_management_api_is_where_its_region_is_found_again(region: str) -> None:
    endpoint = endpoint_for("a1", region, "prod")
    assert endpoint == f"https://a1.execute-api.{region}.{DOMAINS[region]}/prod"
    assert region_in(endpoint) == region


@pytest.mark.parametrize("service", ["dynamodb", "sqs"])
@pytest.mark.parametrize("region", ["eu-central-1", "cn-north-1", "us-gov-west-1", "us-isob-east-1", "eusc-de-east-1"])
def test_an_endpoint_is_the_one_that_botocore_makes(service: Literal["dynamodb", "sqs"], region: str) -> None:
    theirs: Any = Session().create_client(
        service, region_name=region, aws_access_key_id="test", aws_secret_access_key="test"
    )
    assert f"https://{endpoint_of(service, region, {}).host}" == theirs.meta.endpoint_url
    theirs.close()


@pytest.mark.parametrize(
    "region", ["", "local", "evil.example/", "eu-central-1.evil.example", "eu central-1", "eu-1\n"]
)
def test_what_is_no_region_makes_no_address(region: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{region!r} isn't the name of an AWS region".replace("\\", r"\\")):
        endpoint_of("dynamodb", region, {})


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_REGION": ""}, None),
    ],
)
def test_the_environment_says_the_region(environment: dict[str, str], region: str | None) -> None:
    assert (region_of(environment) or None) == region


def test_a_services_own_variable_is_before_that_of_all() -> None:
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:2/"}
    assert str(endpoint_of("sqs", "eu-central-1", environment)) == "http://127.0.0.1:2"
    assert str(endpoint_of("dynamodb", "eu-central-1", environment)) == "http://127.0.0.1:1"


def test_the_variables_can_be_switched_off() -> None:
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    assert endpoint_of("sqs", "eu-central-1", environment).host == "sqs.eu-central-1.amazonaws.com"


def test_the_management_api_has_no_address_of_its_own() -> None:
    with pytest.raises(ConfigurationError, match="endpoint isn't known.*GATESOCKET_ENDPOINT.*https://{api}"):
        endpoint_of("apigatewaymanagementapi", "eu-central-1", {})


@pytest.mark.parametrize("name", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
def test_addresses_by_another_rule_are_left_to_boto3(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is set.*GATESOCKET_AWS_CLIENT=boto3.*AWS_ENDPOINT_URL_SQS"):
        endpoint_of("sqs", "eu-central-1", {name: "true"})
    assert endpoint_of("sqs", "eu-central-1", {name: "false"}).host == "sqs.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("url", "host", "port", "secure", "path"),
    [
        ("https://a1.execute-api.eu-central-1.x/prod", "a1.execute-api.eu-central-1.x", 443, True, "/prod"),
        ("https://chat.example.com/a/b/", "chat.example.com", 443, True, "/a/b"),
        ("http://127.0.0.1:3001", "127.0.0.1:3001", 3001, False, ""),
        ("http://localhost:80/", "localhost", 80, False, ""),
        ("https://[::1]:8443/x", "[::1]:8443", 8443, True, "/x"),
    ],
)
def test_an_endpoint_is_taken_apart(url: str, host: str, port: int, path: str, *, secure: bool) -> None:
    endpoint = parse_endpoint(url, "test")
    assert (endpoint.host, endpoint.address.port, endpoint.address.secure, endpoint.path) == (host, port, secure, path)


@pytest.mark.parametrize(
    "url",
    [
        "localhost",
        "ftp://localhost",
        "http://",
        "http://localhost:port",
        "http://localhost:99999",
        "http://[::1",
        "https://user:secret@host",
        "https://host/?secret=1",
        "https://host/#secret",
        "https://host/pa th",
        "https://host/\r\nx-secret: 1",
        "https://hôst",
    ],
)
def test_what_is_no_endpoint_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(
        ConfigurationError, match="^AWS_ENDPOINT_URL gives an endpoint that isn't a URL of the"
    ) as caught:
        parse_endpoint(url, "AWS_ENDPOINT_URL")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_is_not_passed_by_in_silence(name: str) -> None:
    endpoint = parse_endpoint("https://dynamodb.eu-central-1.amazonaws.com", "test")
    with pytest.raises(ConfigurationError, match=r"HTTPS_PROXY is set.*GATESOCKET_AWS_CLIENT=boto3.*NO_PROXY"):
        refuse_proxy(endpoint, {name: "http://proxy:3128", "NO_PROXY": "localhost"})


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"HTTP_PROXY": "http://proxy:3128"},
        {"HTTPS_PROXY": ""},
        {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".amazonaws.com"},
        {"https_proxy": "http://proxy:3128", "no_proxy": "*"},
    ],
)
def test_a_proxy_for_others_is_not_asked_for(environment: dict[str, str]) -> None:
    refuse_proxy(parse_endpoint("https://dynamodb.eu-central-1.amazonaws.com", "test"), environment)
