"""The edge in front of a deployed stack: the function that rewrites addresses, and the distribution around it.

The same table of cases goes through the function, under node, and through what stands for it in the emulator.
"""

import fnmatch
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cfnlint import api as cfnlint  # type: ignore[import-untyped]
from fastapi.routing import APIRoute, APIWebSocketRoute
from hypothesis import given
from hypothesis import strategies as st

from chat import lessons
from chat.app import app
from gatesocket import scope
from gatesocket.emulator.edge import rewrite
from gatesocket.events import Connect, Origin
from support.edge_function import EDGE_TEMPLATE, EdgeFunction, deploy_edge
from support.regions import lacking

CASES = json.loads(Path(__file__).with_name("edge_cases.json").read_text(encoding="utf-8"))
LARGEST_FUNCTION = (
    10 * 1024
)  # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html

every_case = pytest.mark.parametrize(
    ("path", "query", "rewritten"),
    [pytest.param(case["path"], case["query"], tuple(case["to"]), id=case["case"]) for case in CASES],
)
# A client can put anything into a URL but what ends its parts, and halves of characters, which no URL has.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="?#"))


@every_case
def test_the_emulator_rewrites(path: str, query: str, rewritten: tuple[str, str]) -> None:
    assert rewrite(path, query, stage="prod") == rewritten


@every_case
def test_the_edge_rewrites(edge_function: EdgeFunction, path: str, query: str, rewritten: tuple[str, str]) -> None:
    assert edge_function.rewrite(path, query) == rewritten


@given(path=texts.map("/ws/{}".format), query=texts)
def test_edge_and_emulator_agree_on_every_url(edge_function: EdgeFunction, path: str, query: str) -> None:
    assert edge_function.rewrite(path, query) == rewrite(path, query, stage="prod")


def test_a_url_without_a_question_mark_has_no_query(edge_function: EdgeFunction) -> None:
    """CloudFront gives undefined for it, and the empty string for a question mark with nothing behind it."""
    assert edge_function.rewrite("/ws/lobby", None) == ("/prod", "__path=/ws/lobby")
    assert edge_function.rewrite("/prod", None) == ("/prod", None)


def test_a_url_as_long_as_cloudfront_takes_is_rewritten_whole(edge_function: EdgeFunction) -> None:
    """API Gateway refuses more than 4096 characters itself; nothing is cut off on the way to it."""
    path, query = "/ws/" + "é" * 2000, "token=" + "x" * 4000
    assert edge_function.rewrite(path, query) == ("/prod", f"__path=/ws/{'%C3%A9' * 2000}&{query}")


def scope_behind_the_edge(query: str) -> dict[str, Any]:
    connect = Connect(
        connection_id="TXzPWdnOjoECGjA=",
        request_id="r",
        origin=Origin("a1b2c3", "prod", "a1b2c3.execute-api.eu-west-1.amazonaws.com"),
        connected_at=0,
        source_ip="192.0.2.1",
        headers=(),
        query=tuple(parse_qsl(query, keep_blank_values=True)),
    )
    return scope.build(connect, path_parameter="__path", default_path="/")


@pytest.mark.parametrize("smuggled", ["__path=/ws/secret", "%5F_path=/ws/secret", "a=1&__path=/ws/secret&a=2"])
def test_a_client_cannot_smuggle_in_another_path(edge_function: EdgeFunction, smuggled: str) -> None:
    """A firewall's rule about a path is then about the path that the app sees."""
    _, query = edge_function.rewrite("/ws/lobby", smuggled)
    assert query is not None
    seen = scope_behind_the_edge(query)
    assert seen["path"] == "/ws/lobby"
    assert b"secret" not in seen["query_string"]


@given(tail=texts.filter(lambda text: "%" not in text))
def test_the_app_gets_the_path_that_the_client_asked_for(edge_function: EdgeFunction, tail: str) -> None:
    _, query = edge_function.rewrite(f"/ws/{tail}", "x=1")
    assert query is not None
    seen = scope_behind_the_edge(query)
    assert (seen["path"], seen["query_string"]) == (f"/ws/{tail}", b"x=1")


def test_the_function_keeps_to_what_cloudfront_runs() -> None:
    """Runtime 2.0 knows ECMAScript 5.1, const and let; node would run more than that."""
    written = deploy_edge()["Rewrite"]["Properties"]["FunctionCode"]
    code = re.sub(r"//.*|\"[^\"]*\"", "", written)
    unknown = [r"\bof\b", r"\bclass\b", r"\bimport\b", r"\brequire\b", r"\.\.\.", r"\?[.?]", r"\b(?:const|let) *[\[{]"]
    assert [feature for feature in unknown if re.search(feature, code)] == []
    assert len(written.encode()) <= LARGEST_FUNCTION


def test_the_template_passes_cfn_lint() -> None:
    text = EDGE_TEMPLATE.read_text(encoding="utf-8")
    assert [str(match) for match in cfnlint.lint(text, regions=["us-east-1"])] == []


def test_websockets_and_http_go_to_their_apis() -> None:
    distribution = deploy_edge()["Distribution"]["Properties"]["DistributionConfig"]
    origins = {origin["Id"]: origin["DomainName"] for origin in distribution["Origins"]}
    (websocket,) = distribution["CacheBehaviors"]
    http = distribution["DefaultCacheBehavior"]
    assert origins[websocket["TargetOriginId"]] == "a1b2c3.execute-api.eu-west-1.amazonaws.com"
    assert origins[http["TargetOriginId"]] == "d4e5f6.execute-api.eu-west-1.amazonaws.com"
    assert websocket["FunctionAssociations"] == [
        {"EventType": "viewer-request", "FunctionARN": "Rewrite.FunctionMetadata.FunctionARN"}
    ]
    assert "FunctionAssociations" not in http


def test_nothing_is_cached_and_no_viewers_host_reaches_an_api() -> None:
    distribution = deploy_edge()["Distribution"]["Properties"]["DistributionConfig"]
    for behavior in (*distribution["CacheBehaviors"], distribution["DefaultCacheBehavior"]):
        assert behavior["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # CachingDisabled
        assert behavior["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"  # AllViewerExceptHostHeader


def test_the_edge_knows_the_chats_websockets_by_their_paths() -> None:
    """CloudFront tells them apart by nothing else."""
    (websocket,) = deploy_edge()["Distribution"]["Properties"]["DistributionConfig"]["CacheBehaviors"]
    routes = [*app.routes, *lessons.router.routes]
    websockets = [route.path for route in routes if isinstance(route, APIWebSocketRoute)]
    others = [route.path for route in routes if isinstance(route, APIRoute)]
    assert "/ws/{room}" in websockets
    assert "/announce" in others
    assert fnmatch.filter(websockets, websocket["PathPattern"]) == websockets
    assert fnmatch.filter(others, websocket["PathPattern"]) == []


def test_a_plain_edge_has_no_firewall_and_cloudfronts_own_domain() -> None:
    distribution = deploy_edge()["Distribution"]["Properties"]["DistributionConfig"]
    assert distribution["ViewerCertificate"] == {"CloudFrontDefaultCertificate": True}
    assert {"WebACLId", "Aliases"}.isdisjoint(distribution)


def test_a_firewall_and_a_domain_are_parameters() -> None:
    web_acl = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/chat/1"
    certificate = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    resources = deploy_edge(WebAclArn=web_acl, DomainName="chat.example.com", CertificateArn=certificate)
    distribution = resources["Distribution"]["Properties"]["DistributionConfig"]
    assert distribution["WebACLId"] == web_acl
    assert distribution["Aliases"] == ["chat.example.com"]
    assert distribution["ViewerCertificate"]["AcmCertificateArn"] == certificate


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"WebSocketUrl": "https://a1b2c3.execute-api.eu-west-1.amazonaws.com/prod"}, "output WebSocketUrl"),
        ({"WebSocketUrl": "wss://a1b2c3.execute-api.eu-west-1.amazonaws.com"}, "output WebSocketUrl"),
        ({"HttpUrl": "https://d4e5f6.execute-api.eu-west-1.amazonaws.com/prod"}, "output HttpUrl"),
        ({"WebSocketPaths": "ws/*"}, "begins with a slash"),
        ({"DomainName": "example"}, "a domain name such as"),
        ({"WebAclArn": "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/chat/1"}, "scope CLOUDFRONT"),
        ({"CertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/1"}, "in us-east-1"),
        ({"CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1"}, "give both or neither"),
        ({"DomainName": "chat.example.com"}, "give both or neither"),
    ],
)
def test_parameters_that_make_no_sense_are_refused_with_words(parameters: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        deploy_edge(**parameters)


def test_it_is_refused_with_words_where_cloudfront_has_no_functions() -> None:
    """In just the regions whose CloudFormation doesn't know them."""
    without = lacking(resource["Type"] for resource in deploy_edge().values())
    named = re.findall(r"AWS::Region, ([a-z0-9-]+)", EDGE_TEMPLATE.read_text(encoding="utf-8"))
    assert set(named) == without
    for region in without:
        with pytest.raises(ValueError, match="CloudFront has no functions in China's regions and in GovCloud"):
            deploy_edge(region=region)
