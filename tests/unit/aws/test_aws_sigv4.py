"""Signature Version 4, held against botocore's."""

import datetime as dt
from typing import Any
from unittest.mock import patch

import pytest
from botocore.auth import SIGNED_HEADERS_BLACKLIST, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import example, given
from hypothesis import strategies as st

from gatesocket.aws.sigv4 import Credentials, canonical_path, canonical_query, canonical_request, sign, signing_key

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SEGMENTS = st.one_of(
    st.sampled_from(["", ".", "..", "prod", "@connections", "TXzPWdnOjoECGjA%3D", "a=b", "%", "%25", "~", "é", "a b"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/?#"), max_size=10),
)
PATHS = st.lists(SEGMENTS, max_size=6).map(lambda segments: "/" + "/".join(segments))
VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True).filter(
    lambda name: name not in {*SIGNED_HEADERS_BLACKLIST, "host", "date", "authorization", "x-amz-content-sha256"}
)
SECRETS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
SECONDS = st.integers(0, 4_102_444_800)  # until 2100


def botocores(request: AWSRequest, credentials: Credentials, region: str, service: str, at: int) -> dict[str, str]:
    """Return the headers, in lower case, of *request* as botocore signs it at that time."""
    theirs = BotocoreCredentials(credentials.access_key, credentials.secret_key, credentials.token)
    with patch("botocore.auth.get_current_datetime", lambda: dt.datetime.fromtimestamp(at, dt.UTC)):
        SigV4Auth(theirs, service, region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    secure=st.booleans(),
    host=st.sampled_from(
        ["a1.execute-api.eu-central-1.amazonaws.com", "127.0.0.1:8000", "dynamodb.cn-north-1.amazonaws.com.cn"]
    ),
    path=PATHS,
    query=st.lists(st.tuples(TEXTS, TEXTS), max_size=4),
    headers=st.dictionaries(NAMES, VALUES, max_size=5),
    body=st.one_of(st.binary(max_size=300), st.just(b"x" * 131_072)),
    credentials=st.builds(Credentials, SECRETS, SECRETS, st.none() | SECRETS),
    region=st.sampled_from(["eu-central-1", "us-gov-west-1", "cn-north-1"]),
    service=st.sampled_from(["execute-api", "dynamodb", "sqs"]),
    at=SECONDS,
)
def test_a_request_is_signed_as_botocore_signs_it(
    *,
    method: str,
    secure: bool,
    host: str,
    path: str,
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
    credentials: Credentials,
    region: str,
    service: str,
    at: int,
) -> None:
    params: Any = query  # botocore takes pairs, which its signature doesn't say
    url = f"{'https' if secure else 'http'}://{host}{path}"
    theirs = botocores(
        AWSRequest(method, url, headers=dict(headers), data=body, params=params), credentials, region, service, at
    )

    ours = sign(
        method,
        path,
        {**headers, "host": host},
        body,
        credentials=credentials,
        region=region,
        service=service,
        at=at,
        query=query,
    )

    assert {name: value for name, value in ours.items() if name != "host"} == theirs


@given(path=PATHS)
@example("/prod/@connections/TXzPWdnOjoECGjA%3D")
@example("/..//a/./b/../")
def test_a_path_is_as_botocore_has_it(path: str) -> None:
    request = AWSRequest("GET", f"https://host{path}")
    assert canonical_request("GET", path, {}, b"").split("\n")[1] == canonical_path(path)
    assert SigV4Auth(BotocoreCredentials("key", "secret"), "sqs", "eu-central-1").canonical_request(request).split(
        "\n"
    )[1] == canonical_path(path)


def test_the_id_of_a_connection_is_encoded_twice() -> None:
    """Once on its way, and once more in the signature."""
    assert canonical_path("/prod/@connections/TXz%3D") == "/prod/%40connections/TXz%253D"


@pytest.mark.parametrize("path", ["", "/", "/.", "//", "/..", "/../.."])
def test_no_path_is_the_root(path: str) -> None:
    assert canonical_path(path) == "/"


def test_a_query_is_in_the_order_of_its_encoded_names() -> None:
    assert canonical_query([("b", "2"), ("a b", "1"), ("b", "1 &"), ("é", "")]) == "%C3%A9=&a%20b=1&b=1%20%26&b=2"


def test_spaces_in_a_header_are_folded() -> None:
    assert "x:a b\n" in canonical_request("GET", "/", {"x": "  a \t  b "}, b"")


def test_the_key_of_a_day_is_derived_as_the_documentation_does() -> None:
    """With the example of "Create a signed AWS API request", whose parts are published."""
    key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_credentials_show_no_secret() -> None:
    assert repr(Credentials("AKIA", "secret", "token")) == "Credentials(access_key='AKIA')"
