"""Servers in this process, which are asked without a network."""

import pytest

from gatesocket.aws import AsyncioClient, Refused, Unreachable
from gatesocket.aws.http import Address
from gatesocket.aws.http1 import Response
from gatesocket.aws.nearby import NEARBY, serving
from gatesocket.aws.retry import Policy
from gatesocket.aws.services import Call
from gatesocket.aws.sigv4 import Credentials

NEAR = Address("127.0.0.1", 9, secure=False)  # a port that nobody listens on


class Keys:
    async def get(self) -> Credentials:
        return Credentials("key", "secret")

    def reject(self, credentials: Credentials) -> bool:
        return False


def client() -> AsyncioClient:
    return AsyncioClient(
        "apigatewaymanagementapi",
        region="eu-central-1",
        endpoint_url=f"{NEAR}/prod",
        credentials=Keys(),
        policy=Policy(attempts=2),
        chance=lambda: 0,
    )


async def test_a_server_of_this_process_is_given_the_signed_request() -> None:
    calls: list[Call] = []

    async def serve(call: Call) -> Response:
        calls.append(call)
        return Response(200, {}, b"")

    with serving(NEAR, serve):
        assert await client().call("PostToConnection", {"ConnectionId": "a=", "Data": b"hi"}) == {}
    (call,) = calls
    assert (call.method, call.path, call.body) == ("POST", "/prod/@connections/a%3D", b"hi")
    assert call.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")


async def test_what_it_refuses_is_tried_again_and_told_as_of_any_server() -> None:
    answers = [429, 410]

    async def serve(call: Call) -> Response:
        return Response(answers.pop(0), {"x-amzn-errortype": "GoneException"}, b"{}")

    with serving(NEAR, serve), pytest.raises(Refused) as refused:
        await client().call("DeleteConnection", {"ConnectionId": "a="})
    assert (refused.value.status, refused.value.code, answers) == (410, "GoneException", [])


async def test_other_addresses_and_later_requests_go_through_the_network() -> None:
    async def serve(call: Call) -> Response:
        raise AssertionError(call)

    with serving(Address("127.0.0.1", 8, secure=False), serve), pytest.raises(Unreachable):
        await client().call("GetConnection", {"ConnectionId": "a="})
    assert NEARBY == {}
