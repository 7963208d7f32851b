"""JSON Web Tokens: which are valid, and what happens with all others."""

import base64
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import PyJWKClientConnectionError

from gatesocket.tokens import Claims, JWTs
from support.canned_http import answer, canned_server

SECRET = "a secret of the issuer's that is long enough"
ISSUER = "https://issuer.example"


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def claims(**changed: Any) -> dict[str, Any]:
    """What a valid token says, but for what is *changed*; None leaves a claim out."""
    said = {"sub": "ann", "exp": datetime.now(UTC) + timedelta(hours=1), "iss": ISSUER, "aud": "chat"} | changed
    return {name: value for name, value in said.items() if value is not None}


def signed(**changed: Any) -> str:
    return jwt.encode(claims(**changed), SECRET, algorithm="HS256")


def checker(**changed: Any) -> JWTs:
    options: dict[str, Any] = {"key": SECRET, "algorithms": ["HS256"], "issuer": ISSUER, "audience": "chat"}
    return JWTs(**options | changed)


async def test_a_valid_token_gives_its_claims() -> None:
    found = await checker()(signed(role="admin"))

    assert found is not None
    assert (found.sub, found.iss, found.aud) == ("ann", ISSUER, "chat")
    assert (found.model_extra or {})["role"] == "admin"
    assert found.exp > datetime.now(UTC).timestamp()


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": datetime.now(UTC) - timedelta(seconds=1)},
        {"exp": None},
        {"sub": None},
        {"sub": 7},
        {"iss": "https://another.example"},
        {"aud": "another"},
        {"aud": None},
        {"nbf": datetime.now(UTC) + timedelta(hours=1)},
    ],
    ids=["over", "without an end", "nobody's", "a number's", "another issuer's", "another's", "for nobody", "not yet"],
)
async def test_a_token_for_somebody_else_or_another_time_is_refused(changed: dict[str, Any]) -> None:
    assert await checker()(signed(**changed)) is None


async def test_clocks_may_differ_by_the_leeway() -> None:
    expired = signed(exp=datetime.now(UTC) - timedelta(seconds=30))

    assert await checker()(expired) is None
    assert await checker(leeway=60)(expired) is not None


async def test_a_claim_of_a_wrong_type_is_refused() -> None:
    assert await checker(audience=None)(signed(aud=None, iss=ISSUER)) is not None
    assert await JWTs(key=SECRET, algorithms=["HS256"])(signed(aud=None, exp=1e400)) is None


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "größe", "." * 5000, signed()[:-3], signed() + "x"])
async def test_what_is_no_token_is_refused(token: str) -> None:
    assert await checker()(token) is None


async def test_the_token_s_own_word_on_its_algorithm_is_not_taken(key: RSAPrivateKey) -> None:
    """A public key is no secret: a token that is signed with it as if it were one is forged."""
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    said = {"sub": "ann", "exp": 4_000_000_000}
    checked = JWTs(key=public)
    for algorithm in ("none", "HS256"):
        assert await checked(f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(said)}.") is None
    assert await checked(jwt.encode(said, key, algorithm="RS256")) is not None


async def test_a_refused_token_is_logged_by_the_reason_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = signed(aud="another")
    assert await checker()(token) is None

    assert [record.getMessage() for record in caplog.records if record.name == "gatesocket"] == [
        "a JSON Web Token isn't valid: InvalidAudienceError"
    ]
    assert token not in caplog.text


def test_contradictory_options_are_refused() -> None:
    with pytest.raises(ValueError, match="either key=… or jwks_url=…"):
        JWTs()
    with pytest.raises(ValueError, match="either key=… or jwks_url=…"):
        JWTs(key=SECRET, jwks_url="https://issuer.example/keys")
    with pytest.raises(ValueError, match="anybody could sign"):
        JWTs(jwks_url="https://issuer.example/keys", algorithms=["HS256"])
    with pytest.raises(ValueError, match="'none'"):
        JWTs(key=SECRET, algorithms=["None"])


def keys_of(key: RSAPrivateKey, kid: str) -> bytes:
    """What the issuer publishes."""
    published = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "use": "sig"}
    return answer(body=json.dumps({"keys": [published]}).encode())


async def test_the_issuer_s_keys_are_fetched_once(key: RSAPrivateKey) -> None:
    async with canned_server(keys_of(key, "k1")) as server:
        checked = JWTs(jwks_url=server.url, issuer=ISSUER, audience="chat")
        for _ in range(3):
            found = await checked(jwt.encode(claims(), key, algorithm="RS256", headers={"kid": "k1"}))
            assert isinstance(found, Claims)
        assert len(server.requests) == 1
        for _ in range(3):
            assert await checked(jwt.encode(claims(), key, algorithm="RS256", headers={"kid": "made-up"})) is None
        assert len(server.requests) == 1, "made-up key ids don't have it fetched anew"
        assert await checked("no token") is None


async def test_a_key_server_that_can_t_be_reached_is_no_refusal_of_the_client(key: RSAPrivateKey) -> None:
    async with canned_server(answer(500)) as server:
        checked = JWTs(jwks_url=server.url)
        with pytest.raises(PyJWKClientConnectionError):
            await checked(jwt.encode(claims(), key, algorithm="RS256", headers={"kid": "k1"}))
