"""What clients, functions and callers of the Management API see of API Gateway, fact by fact."""

import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from gatesocket.emulator.gateway import (
    Accept,
    Answer,
    Api,
    Authorizer,
    Close,
    Effect,
    Failed,
    Gateway,
    Handshake,
    Invoke,
    Quirks,
    Quotas,
    RateLimit,
    Refuse,
    Returned,
    Route,
    SendText,
)
from gatesocket.emulator.ids import is_connection_id, random_id
from gatesocket.exceptions import ProtocolError
from gatesocket.limits import FRAME_BYTES, MESSAGE_BYTES

T0 = 1_708_326_702_789
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
CLIENT = Handshake((("Host", "x.example"), ("User-Agent", "wscat")), (), "192.0.2.1")
OK = Returned({"statusCode": 200})
CRASH = Failed("RuntimeError", "a secret that no client may see")
ALL_ROUTES = {key: Route("f") for key in ("$connect", "$default", "$disconnect")}
UNKNOWN = "AAAAAAAAAAAAAAA="


def numbered_ids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"{next(numbers):015d}="


def make_gateway(routes: Mapping[str, Route] = ALL_ROUTES, quirks: Quirks | None = None) -> Gateway:
    api = Api("a1", "prod", "eu-west-1", "x.example", "$request.body.action", routes)
    return Gateway(api, new_id=numbered_ids(), quirks=quirks)


def invocation(effects: list[Effect]) -> Invoke:
    (effect,) = effects
    assert isinstance(effect, Invoke)
    return effect


def begin(gateway: Gateway) -> tuple[str, Invoke]:
    connection_id, effects = gateway.handshake(CLIENT, now=T0)
    return connection_id, invocation(effects)


def open_connection(gateway: Gateway) -> str:
    connection_id, connect = begin(gateway)
    assert gateway.answered(connect.invocation_id, OK, now=T0) == [Accept(connection_id, None)]
    return connection_id


def connect_answered(answer: Answer, quirks: Quirks | None = None) -> Effect:
    gateway = make_gateway(quirks=quirks)
    _, connect = begin(gateway)
    (effect,) = gateway.answered(connect.invocation_id, answer, now=T0)
    return effect


def goodbye(effect: Effect) -> tuple[int | None, str | None]:
    """The code and the reason that a `$disconnect` event carries."""
    assert isinstance(effect, Invoke)
    context: Any = effect.event["requestContext"]
    assert context["routeKey"] == "$disconnect"
    return context["disconnectStatusCode"], context["disconnectReason"]


class TestHandshake:
    def test_it_waits_for_the_answer_of_connect(self) -> None:
        connection_id, connect = begin(make_gateway())
        assert is_connection_id(connection_id)
        assert (connect.function, connect.connection_id) == ("f", connection_id)
        assert connect.event["requestContext"]["requestId"] == connect.invocation_id

    def test_without_a_connect_route_it_is_accepted_at_once(self) -> None:
        connection_id, effects = make_gateway({"$default": Route("f")}).handshake(CLIENT, now=T0)
        assert effects == [Accept(connection_id, None)]

    @pytest.mark.parametrize("status", [200, 201, 204, 299])
    def test_any_2xx_accepts(self, status: int) -> None:
        assert isinstance(connect_answered(Returned({"statusCode": status})), Accept)

    @pytest.mark.parametrize("status", [301, 400, 401, 403, 501])
    def test_any_other_status_is_the_one_that_the_client_gets(self, status: int) -> None:
        refusal = connect_answered(Returned({"statusCode": status, "body": "no"}))
        assert isinstance(refusal, Refuse)
        assert (refusal.status, refusal.body) == (status, "no")

    def test_a_refusal_without_a_body_has_an_empty_one(self) -> None:
        refusal = connect_answered(Returned({"statusCode": 403}))
        assert isinstance(refusal, Refuse)
        assert not refusal.body

    def test_a_refusal_may_be_told_to_drop_the_body(self) -> None:
        refusal = connect_answered(Returned({"statusCode": 403, "body": "no"}), Quirks(refusal_carries_body=False))
        assert isinstance(refusal, Refuse)
        assert not refusal.body

    def test_a_refusal_drops_headers_or_as_the_quirk_says_carries_them(self) -> None:
        answer = {
            "statusCode": 401,
            "headers": {"WWW-Authenticate": "Bearer", "Content-Length": "7", "set-cookie": "lost=1"},
            "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
        }
        refusal = connect_answered(Returned(answer))
        assert isinstance(refusal, Refuse)
        assert refusal.headers == ()
        refusal = connect_answered(Returned(answer), Quirks(refusal_carries_headers=True))
        assert isinstance(refusal, Refuse)
        assert refusal.headers == (("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("WWW-Authenticate", "Bearer"))

    @pytest.mark.parametrize("header", [("X", "a\r\nY: b"), ("X Y", "a"), ("X", "\u2713")])
    def test_a_refusal_that_is_to_carry_what_no_header_can_be_is_502(self, header: tuple[str, str]) -> None:
        answer = Returned({"statusCode": 401, "headers": dict([header])})
        refusal = connect_answered(answer, Quirks(refusal_carries_headers=True))
        assert isinstance(refusal, Refuse)
        assert (refusal.status, refusal.headers) == (502, ())
        assert refusal.why == "$connect answered a header that HTTP can't carry"

    def test_an_exception_is_502_and_tells_the_client_nothing_of_it(self) -> None:
        refusal = connect_answered(CRASH)
        assert isinstance(refusal, Refuse)
        assert refusal.status == 502
        assert json.loads(refusal.body)["message"] == "Internal server error"

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "200",
            [200],
            {},
            {"status": 200},
            {"statusCode": "200"},
            {"statusCode": True},
            {"statusCode": 200.0},
            {"statusCode": 101},
            {"statusCode": 600},
            {"statusCode": 200, "body": {"not": "text"}},
            {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "chat\r\nSet-Cookie: a=1"}},
        ],
    )
    def test_what_is_no_proxy_response_is_502(self, value: object) -> None:
        refusal = connect_answered(Returned(value))
        assert isinstance(refusal, Refuse)
        assert refusal.status == 502

    def test_no_answer_in_29_s_is_504_and_a_later_one_changes_nothing(self) -> None:
        gateway = make_gateway()
        connection_id, connect = begin(gateway)
        assert gateway.next_deadline() == T0 + 29 * SECOND
        assert gateway.tick(now=T0 + 29 * SECOND - 1) == []
        (refusal,) = gateway.tick(now=T0 + 29 * SECOND)
        assert isinstance(refusal, Refuse)
        assert (refusal.connection_id, refusal.status) == (connection_id, 504)
        assert json.loads(refusal.body)["message"] == "Endpoint request timed out"
        assert gateway.answered(connect.invocation_id, OK, now=T0 + 30 * SECOND) == []

    def test_an_integration_s_own_time_holds_instead(self) -> None:
        gateway = make_gateway({"$connect": Route("f", timeout=1500), "$default": Route("f", timeout=50)})
        connection_id, connect = begin(gateway)
        assert gateway.next_deadline() == T0 + 1500
        assert gateway.answered(connect.invocation_id, OK, now=T0) == [Accept(connection_id, None)]
        gateway.frame(connection_id, "x", now=T0)
        assert gateway.next_deadline() == T0 + 50
        _, other = gateway.handshake(CLIENT, now=T0)
        assert other
        refusal = gateway.tick(now=T0 + 1500)[-1]
        assert isinstance(refusal, Refuse)
        assert refusal.why == "$connect took longer than 1.5 s"

    @pytest.mark.parametrize(
        ("response", "subprotocol"),
        [
            ({}, None),
            ({"headers": None}, None),
            ({"headers": {"Set-Cookie": "a=1"}}, None),
            ({"headers": {"Sec-WebSocket-Protocol": "chat.v2"}}, "chat.v2"),
            ({"headers": {"sec-websocket-protocol": "chat.v2"}}, "chat.v2"),
            ({"multiValueHeaders": {"SEC-WEBSOCKET-PROTOCOL": ["chat.v2"]}}, "chat.v2"),
            ({"multiValueHeaders": {"Sec-WebSocket-Protocol": ["a", "b"]}}, "a, b"),
            (
                {
                    "headers": {"Sec-WebSocket-Protocol": "one"},
                    "multiValueHeaders": {"Sec-WebSocket-Protocol": ["many"]},
                },
                "many",
            ),
        ],
    )
    def test_the_subprotocol_is_the_one_answered_and_nothing_is_negotiated(
        self, response: dict[str, Any], subprotocol: str | None
    ) -> None:
        """The client here offered none: API Gateway passes on whatever the function says."""
        effect = connect_answered(Returned({"statusCode": 200, **response}))
        assert isinstance(effect, Accept)
        assert effect.subprotocol == subprotocol

    def test_a_message_before_its_end_is_the_shell_s_mistake(self) -> None:
        gateway = make_gateway()
        connection_id, _ = begin(gateway)
        with pytest.raises(ProtocolError, match="before its handshake was accepted"):
            gateway.frame(connection_id, "too soon", now=T0)


ASKED = Route("f", authorizer=Authorizer("decides", ("route.request.querystring.token",)))
WITH_TOKEN = Handshake((("Host", "x.example"),), (("token", "abc"),), "192.0.2.1")
ALLOW = Returned(
    {
        "principalId": "ann",
        "policyDocument": {"Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}]},
        "context": {"admin": True},
    }
)


class TestAuthorizer:
    """Facts sheet, section 9."""

    def asked(self, gateway: Gateway) -> Invoke:
        _, effects = gateway.handshake(WITH_TOKEN, now=T0)
        return invocation(effects)

    def refused(self, effects: list[Effect]) -> tuple[int, str, str]:
        (refusal,) = effects
        assert isinstance(refusal, Refuse)
        return refusal.status, json.loads(refusal.body)["message"], refusal.why

    def test_is_asked_before_connect_with_an_event_of_its_own(self) -> None:
        event: Any = self.asked(make_gateway(ALL_ROUTES | {"$connect": ASKED})).event
        assert (event["type"], event["methodArn"]) == (
            "REQUEST",
            "arn:aws:execute-api:eu-west-1:123456789012:a1/prod/$connect",
        )
        assert not {"isBase64Encoded", "body"} & event.keys()

    def test_that_allows_is_followed_by_connect_and_every_event_repeats_its_context(self) -> None:
        gateway = make_gateway(ALL_ROUTES | {"$connect": ASKED})
        asked = self.asked(gateway)
        assert asked.function == "decides"
        connect = invocation(gateway.answered(asked.invocation_id, ALLOW, now=T0))
        assert connect.function == "f"
        gateway.answered(connect.invocation_id, OK, now=T0)
        message = invocation(gateway.frame(connect.connection_id, "x", now=T0))
        disconnect = invocation(gateway.left(connect.connection_id, 1000, "", now=T0))
        for effect in (connect, message, disconnect):
            context = effect.event["requestContext"]
            assert context["authorizer"] == {"admin": "true", "principalId": "ann"}

    def test_is_not_asked_without_its_identity_sources(self) -> None:
        _, effects = make_gateway({"$connect": ASKED}).handshake(CLIENT, now=T0)
        why = "it has no value for route.request.querystring.token, so that the authorizer isn't asked"
        assert self.refused(effects) == (401, "Unauthorized", why)

    @pytest.mark.parametrize(
        ("answer", "status", "message"),
        [
            (Failed("Exception", "Unauthorized"), 401, "Unauthorized"),
            (Returned({"principalId": "a", "policyDocument": {"Statement": []}}), 403, "Forbidden"),
            (Failed("KeyError", "token"), 500, "Internal server error"),
            (Returned({"statusCode": 401}), 500, "Internal server error"),
        ],
    )
    def test_that_denies_or_fails_is_the_end_and_only_the_log_says_why(
        self, answer: Answer, status: int, message: str
    ) -> None:
        gateway = make_gateway(ALL_ROUTES | {"$connect": ASKED})
        seen, said, why = self.refused(gateway.answered(self.asked(gateway).invocation_id, answer, now=T0))
        assert (seen, said) == (status, message)
        assert why
        assert gateway.next_deadline() is None

    def test_has_29_s_and_no_answer_then_is_500_or_as_the_quirk_says(self) -> None:
        for quirks, status in ((Quirks(), 500), (Quirks(authorizer_timeout_status=504), 504)):
            gateway = make_gateway({"$connect": ASKED}, quirks)
            asked = self.asked(gateway)
            assert self.refused(gateway.tick(now=T0 + 29 * SECOND))[0] == status
            assert gateway.answered(asked.invocation_id, ALLOW, now=T0 + 30 * SECOND) == []

    def test_that_denies_a_client_that_has_left_tells_nobody(self) -> None:
        gateway = make_gateway({"$connect": ASKED})
        asked = self.asked(gateway)
        gateway.left(asked.connection_id, None, "", now=T0)
        assert gateway.answered(asked.invocation_id, CRASH, now=T0) == []

    def test_of_a_connection_whose_connect_never_answers_is_over_too(self) -> None:
        gateway = make_gateway({"$connect": ASKED})
        connect = invocation(gateway.answered(self.asked(gateway).invocation_id, ALLOW, now=T0 + 20 * SECOND))
        assert gateway.tick(now=T0 + 48 * SECOND) == []
        assert self.refused(gateway.tick(now=T0 + 49 * SECOND))[0] == 504
        assert gateway.answered(connect.invocation_id, OK, now=T0 + 50 * SECOND) == []


class TestThrottling:
    """Facts sheet, sections 2, 3, 4 and 10."""

    QUOTAS = Quotas(connections=RateLimit(1, 2), requests=RateLimit(1, 1))

    def gateway(self, routes: Mapping[str, Route] | None = None, quotas: Quotas | None = QUOTAS) -> Gateway:
        api = Api("a1", "prod", "eu-west-1", "x.example", "$request.body.action", routes or {})
        return Gateway(api, new_id=numbered_ids(), quotas=quotas)

    def test_a_handshake_over_the_connection_rate_is_429(self) -> None:
        gateway = self.gateway()
        verdicts = [gateway.handshake(CLIENT, now=T0)[1][0] for _ in range(3)]
        assert [type(verdict) for verdict in verdicts] == [Accept, Accept, Refuse]
        refusal = verdicts[2]
        assert isinstance(refusal, Refuse)
        assert (refusal.status, json.loads(refusal.body)["message"]) == (429, "Too Many Requests")
        assert isinstance(gateway.handshake(CLIENT, now=T0 + SECOND)[1][0], Accept)

    def test_a_message_over_the_request_rate_is_an_error_frame_and_the_connection_stays(self) -> None:
        gateway = self.gateway({"$default": Route("f")})
        connection_id, _ = gateway.handshake(CLIENT, now=T0)
        assert isinstance(gateway.frame(connection_id, "x", now=T0)[0], Invoke)
        (frame,) = gateway.frame(connection_id, "y", now=T0)
        assert isinstance(frame, SendText)
        assert json.loads(frame.text)["message"] == "Too Many Requests"
        assert isinstance(gateway.frame(connection_id, "z", now=T0 + SECOND)[0], Invoke)

    def test_calls_of_the_management_api_count_as_messages_do(self) -> None:
        gateway = self.gateway()
        connection_id, _ = gateway.handshake(CLIENT, now=T0)
        assert gateway.manage("POST", connection_id, b"x", now=T0)[0].status == 200
        response, effects = gateway.manage("POST", connection_id, b"y", now=T0)
        assert (response.status, response.headers["x-amzn-ErrorType"], effects) == (429, "LimitExceededException", [])

    def test_a_route_s_own_limit_holds_for_it_alone(self) -> None:
        gateway = self.gateway({"$default": Route("f"), "slow": Route("f", limit=RateLimit(1, 1))}, quotas=None)
        connection_id, _ = gateway.handshake(CLIENT, now=T0)
        kinds = [type(gateway.frame(connection_id, text, now=T0)[0]) for text in ['{"action":"slow"}'] * 2 + ["x"] * 3]
        assert kinds == [Invoke, SendText, Invoke, Invoke, Invoke]

    def test_connect_may_have_one_of_its_own_too(self) -> None:
        gateway = self.gateway({"$connect": Route("f", limit=RateLimit(1, 1))}, quotas=None)
        assert [type(gateway.handshake(CLIENT, now=T0)[1][0]) for _ in range(2)] == [Invoke, Refuse]


class TestClientThatLeavesDuringItsHandshake:
    def test_is_told_to_the_function_that_accepted_it(self) -> None:
        gateway = make_gateway()
        connection_id, connect = begin(gateway)
        assert gateway.left(connection_id, None, "", now=T0) == []
        assert gateway.left(connection_id, None, "", now=T0) == []
        (disconnect,) = gateway.answered(connect.invocation_id, OK, now=T0)
        assert goodbye(disconnect) == (1006, "")

    @pytest.mark.parametrize("answer", [Returned({"statusCode": 403}), CRASH])
    def test_is_no_matter_to_a_function_that_refuses_it(self, answer: Answer) -> None:
        gateway = make_gateway()
        connection_id, connect = begin(gateway)
        gateway.left(connection_id, None, "", now=T0)
        assert gateway.answered(connect.invocation_id, answer, now=T0) == []
        assert gateway.next_deadline() is None


class TestMessage:
    def test_goes_to_its_route(self) -> None:
        routes = {"$default": Route("other"), "join": Route("joins")}
        gateway = make_gateway(routes)
        connection_id, _ = gateway.handshake(CLIENT, now=T0)
        message = invocation(gateway.frame(connection_id, '{"action":"join"}', now=T0))
        assert message.function == "joins"
        assert message.event["requestContext"]["routeKey"] == "join"
        assert message.event.get("body") == '{"action":"join"}'

    def test_has_ids_of_its_own(self) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        contexts = [invocation(gateway.frame(connection_id, "x", now=T0)).event["requestContext"] for _ in range(2)]
        assert len({context["messageId"] for context in contexts}) == 2
        assert len({context["requestId"] for context in contexts}) == 2

    def test_that_is_empty_has_no_body_or_as_the_quirk_says_an_empty_one(self) -> None:
        for quirks, body in ((Quirks(), None), (Quirks(empty_message_has_body=True), "")):
            gateway = make_gateway(quirks=quirks)
            connection_id = open_connection(gateway)
            assert invocation(gateway.frame(connection_id, "", now=T0)).event.get("body") == body

    def test_without_a_route_is_answered_forbidden(self) -> None:
        gateway = make_gateway({})
        connection_id, _ = gateway.handshake(CLIENT, now=T0)
        (frame,) = gateway.frame(connection_id, "hello", now=T0)
        request_id = "000000000000002="
        expected = f'{{"message": "Forbidden", "connectionId":"{connection_id}", "requestId":"{request_id}"}}'
        assert frame == SendText(connection_id, expected)

    def test_does_not_wait_for_the_one_before_it(self) -> None:
        """So that functions see them at the same moment, and may answer in any order."""
        gateway = make_gateway({"$default": Route("f", two_way=True)})
        connection_id, _ = gateway.handshake(CLIENT, now=T0)
        first = invocation(gateway.frame(connection_id, "first", now=T0))
        second = invocation(gateway.frame(connection_id, "second", now=T0))
        answer = Returned({"statusCode": 200, "body": "to the second"})
        assert gateway.answered(second.invocation_id, answer, now=T0) == [SendText(connection_id, "to the second")]
        answer = Returned({"statusCode": 200, "body": "to the first"})
        assert gateway.answered(first.invocation_id, answer, now=T0) == [SendText(connection_id, "to the first")]

    def test_of_a_connection_that_is_gone_is_lost(self) -> None:
        gateway = make_gateway()
        assert gateway.frame(UNKNOWN, "late", now=T0) == []


class TestAnswerToAMessage:
    def answered(self, answer: Answer, *, two_way: bool, quirks: Quirks | None = None) -> list[str]:
        gateway = make_gateway({"$default": Route("f", two_way=two_way)}, quirks)
        connection_id, _ = gateway.handshake(CLIENT, now=T0)
        message = invocation(gateway.frame(connection_id, "x", now=T0))
        effects = gateway.answered(message.invocation_id, answer, now=T0)
        assert gateway.manage("GET", connection_id, b"", now=T0)[0].status == 200, "the connection stays open"
        return [effect.text for effect in effects if isinstance(effect, SendText)]

    @pytest.mark.parametrize("value", [None, "garbage", {"statusCode": 200, "body": "hi"}, {"statusCode": 500}])
    def test_of_a_one_way_route_is_discarded_whatever_it_is(self, value: object) -> None:
        assert self.answered(Returned(value), two_way=False) == []

    def test_of_a_two_way_route_is_sent(self) -> None:
        assert self.answered(Returned({"statusCode": 200, "body": "hi"}), two_way=True) == ["hi"]
        assert self.answered(Returned({"statusCode": 200}), two_way=True) == []

    def test_of_a_route_without_a_route_response_is_discarded_or_as_the_quirk_says_sent(self) -> None:
        for quirks, sent in ((Quirks(), []), (Quirks(expression_alone_replies=True), ["hi"])):
            gateway = make_gateway({"$default": Route("f", selects_response=True)}, quirks)
            connection_id, _ = gateway.handshake(CLIENT, now=T0)
            message = invocation(gateway.frame(connection_id, "x", now=T0))
            answer = Returned({"statusCode": 200, "body": "hi"})
            effects = gateway.answered(message.invocation_id, answer, now=T0)
            assert effects == [SendText(connection_id, text) for text in sent]

    def test_of_a_two_way_route_is_sent_with_an_error_status_or_as_the_quirk_says_not(self) -> None:
        error = Returned({"statusCode": 500, "body": "sorry"})
        assert self.answered(error, two_way=True) == ["sorry"]
        assert self.answered(error, two_way=True, quirks=Quirks(error_status_carries_body=False)) == []

    @pytest.mark.parametrize("two_way", [True, False])
    def test_that_is_an_exception_is_an_error_frame_byte_for_byte(self, two_way: bool) -> None:
        assert self.answered(CRASH, two_way=two_way) == [
            '{"message": "Internal server error", "connectionId":"000000000000001=", "requestId":"000000000000002="}'
        ]

    def test_that_is_no_proxy_response_is_an_error_frame_too(self) -> None:
        (text,) = self.answered(Returned("garbage"), two_way=True)
        assert json.loads(text)["message"] == "Internal server error"

    def test_that_takes_29_s_is_replaced_by_an_error_frame_while_the_function_runs_on(self) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        message = invocation(gateway.frame(connection_id, "x", now=T0))
        assert gateway.tick(now=T0 + 29 * SECOND) == [
            SendText(
                connection_id,
                '{"message": "Endpoint request timed out", "connectionId":"000000000000001=", '
                '"requestId":"000000000000003="}',
            )
        ]
        response, effects = gateway.manage("POST", connection_id, b"still here", now=T0 + 30 * SECOND)
        assert response.status == 200
        assert effects == [SendText(connection_id, "still here")]
        assert gateway.answered(message.invocation_id, CRASH, now=T0 + 31 * SECOND) == []

    def test_has_nobody_to_go_to_once_the_connection_is_gone(self) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        answered = invocation(gateway.frame(connection_id, "x", now=T0))
        gateway.frame(connection_id, "y", now=T0)
        gateway.left(connection_id, 1000, "", now=T0)
        assert gateway.answered(answered.invocation_id, CRASH, now=T0) == []
        assert gateway.tick(now=T0 + 29 * SECOND) == []


class TestLimits:
    @pytest.mark.parametrize(
        ("data", "largest_frame"),
        [
            ("x" * FRAME_BYTES, None),
            ("é" * (FRAME_BYTES // 2), None),
            ("x" * MESSAGE_BYTES, FRAME_BYTES),
        ],
    )
    def test_what_is_within_them_is_delivered(self, data: str, largest_frame: int | None) -> None:
        gateway = make_gateway()
        effects = gateway.frame(open_connection(gateway), data, now=T0, largest_frame=largest_frame)
        assert invocation(effects).event.get("body") == data

    @pytest.mark.parametrize(
        ("data", "largest_frame", "what"),
        [
            ("x" * (FRAME_BYTES + 1), None, "frame"),
            ("é" * (FRAME_BYTES // 2 + 1), None, "frame"),
            ("x" * (FRAME_BYTES + 1), FRAME_BYTES + 1, "frame"),
            ("x" * (MESSAGE_BYTES + 1), FRAME_BYTES, "message"),
        ],
    )
    def test_a_frame_over_32_kb_or_a_message_over_128_kb_closes_with_1009(
        self, data: str, largest_frame: int | None, what: str
    ) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        close, disconnect = gateway.frame(connection_id, data, now=T0, largest_frame=largest_frame)
        assert isinstance(close, Close)
        assert (close.code, close.reason) == (1009, "")
        assert close.why.startswith(f"it sent a {what} of {len(data.encode())} bytes, and API Gateway takes ")
        assert goodbye(disconnect) == (1009, "")

    def test_a_binary_message_closes_with_1003(self) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        close, disconnect = gateway.frame(connection_id, b"\x00", now=T0)
        why = "it sent a binary message, and API Gateway takes text only: send bytes as base64"
        assert close == Close(connection_id, 1003, "", why)
        assert goodbye(disconnect) == (1003, "")


class TestEnd:
    @pytest.mark.parametrize(
        ("code", "reason", "seen"),
        [
            (1000, "bye", (1000, "bye")),
            (1001, "", (1001, "")),
            (4001, "mine", (4001, "mine")),
            (1005, "", (1005, "Client-side close frame status not set")),
            (None, "", (1006, "")),
        ],
    )
    def test_by_the_client_is_told_with_its_code_and_reason(
        self, code: int | None, reason: str, seen: tuple[int, str]
    ) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        (disconnect,) = gateway.left(connection_id, code, reason, now=T0)
        assert goodbye(disconnect) == seen

    def test_is_told_once_whoever_else_notices_it(self) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        gateway.manage("DELETE", connection_id, b"", now=T0)
        assert gateway.left(connection_id, 1000, "", now=T0) == []

    def test_is_nobody_s_business_without_a_disconnect_route(self) -> None:
        gateway = make_gateway({})
        connection_id, _ = gateway.handshake(CLIENT, now=T0)
        assert gateway.left(connection_id, 1000, "", now=T0) == []

    def test_is_over_whatever_the_function_answers_to_it(self) -> None:
        gateway = make_gateway()
        (disconnect,) = gateway.left(open_connection(gateway), 1000, "", now=T0)
        assert isinstance(disconnect, Invoke)
        assert gateway.answered(disconnect.invocation_id, CRASH, now=T0) == []
        assert gateway.next_deadline() is None


class TestTime:
    def test_ten_minutes_without_a_message_end_a_connection(self) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        assert gateway.next_deadline() == T0 + 10 * MINUTE
        assert gateway.tick(now=T0 + 10 * MINUTE - 1) == []
        close, disconnect = gateway.tick(now=T0 + 10 * MINUTE)
        assert close == Close(connection_id, 1001, "Going away", "for 600 s there was no message to or from it")
        assert goodbye(disconnect) == (1001, "Going away")
        assert gateway.next_deadline() is None

    def test_they_count_from_the_accept(self) -> None:
        gateway = make_gateway()
        _, connect = begin(gateway)
        gateway.answered(connect.invocation_id, OK, now=T0 + 20 * SECOND)
        assert gateway.next_deadline() == T0 + 20 * SECOND + 10 * MINUTE

    def test_a_message_in_either_direction_starts_them_anew(self) -> None:
        gateway = make_gateway({"$disconnect": Route("f")})
        connection_id, _ = gateway.handshake(CLIENT, now=T0)
        gateway.frame(connection_id, "from the client", now=T0 + 9 * MINUTE)
        assert gateway.next_deadline() == T0 + 19 * MINUTE
        gateway.manage("POST", connection_id, b"to the client", now=T0 + 18 * MINUTE)
        assert gateway.next_deadline() == T0 + 28 * MINUTE
        gateway.manage("GET", connection_id, b"", now=T0 + 27 * MINUTE)
        assert len(gateway.tick(now=T0 + 28 * MINUTE)) == 2, "asking after it doesn't"

    @pytest.mark.parametrize(("quirks", "end"), [(Quirks(), 10), (Quirks(ping_keeps_alive=True), 15)])
    def test_whether_a_ping_does_so_too_is_a_quirk(self, quirks: Quirks, end: int) -> None:
        gateway = make_gateway({}, quirks)
        connection_id, _ = gateway.handshake(CLIENT, now=T0)
        gateway.pinged(connection_id, now=T0 + 5 * MINUTE)
        assert gateway.next_deadline() == T0 + end * MINUTE
        gateway.pinged(UNKNOWN, now=T0)

    def test_two_hours_end_a_connection_however_busy(self) -> None:
        gateway = make_gateway({"$disconnect": Route("f")})
        connection_id, _ = gateway.handshake(CLIENT, now=T0)
        for minute in range(5, 120, 5):
            gateway.manage("POST", connection_id, b"busy", now=T0 + minute * MINUTE)
        assert gateway.next_deadline() == T0 + 2 * HOUR
        close, disconnect = gateway.tick(now=T0 + 2 * HOUR)
        assert close == Close(connection_id, 1001, "Going away", "it has lasted for 7200 s")
        assert goodbye(disconnect) == (1001, "Going away")

    def test_how_two_hours_end_it_is_a_quirk(self) -> None:
        gateway = make_gateway({}, Quirks(lifetime_code=1000, lifetime_reason="two hours"))
        connection_id, _ = gateway.handshake(CLIENT, now=T0)
        assert gateway.tick(now=T0 + 3 * HOUR) == [Close(connection_id, 1000, "two hours", "it has lasted for 7200 s")]


class TestManagementAPI:
    def test_get_tells_of_the_connection(self) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        gateway.frame(connection_id, "x", now=T0 + MINUTE)
        response, effects = gateway.manage("GET", connection_id, b"", now=T0 + HOUR)
        assert (response.status, effects) == (200, [])
        assert json.loads(response.body) == {
            "connectedAt": "2024-02-19T07:11:42.789Z",
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "wscat"},
            "lastActiveAt": "2024-02-19T07:12:42.789Z",
        }

    def test_post_sends_a_text(self) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        response, effects = gateway.manage("POST", connection_id, "hé".encode(), now=T0)
        assert (response.status, response.body) == (200, b"")
        assert effects == [SendText(connection_id, "hé")]

    def test_post_takes_128_kb_and_not_a_byte_more_and_the_connection_survives(self) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        response, effects = gateway.manage("POST", connection_id, b"x" * (MESSAGE_BYTES + 1), now=T0)
        assert (response.status, effects) == (413, [])
        assert response.headers["x-amzn-ErrorType"] == "PayloadTooLargeException"
        assert gateway.manage("POST", connection_id, b"x" * MESSAGE_BYTES, now=T0)[0].status == 200

    def test_a_quirk_says_how_large_a_post_may_be(self) -> None:
        gateway = make_gateway(quirks=Quirks(largest_post_bytes=FRAME_BYTES))
        connection_id = open_connection(gateway)
        assert gateway.manage("POST", connection_id, b"x" * (FRAME_BYTES + 1), now=T0)[0].status == 413
        assert gateway.manage("POST", connection_id, b"x" * FRAME_BYTES, now=T0)[0].status == 200

    def test_post_of_what_is_no_text_is_refused_or_as_the_quirk_says_mended(self) -> None:
        gateway = make_gateway()
        response, effects = gateway.manage("POST", open_connection(gateway), b"\xff", now=T0)
        assert (response.status, effects) == (400, [])
        gateway = make_gateway(quirks=Quirks(undecodable_post_refused=False))
        connection_id = open_connection(gateway)
        _, effects = gateway.manage("POST", connection_id, b"a\xff", now=T0)
        assert effects == [SendText(connection_id, "a\ufffd")]

    def test_post_to_a_client_whose_buffer_is_full_is_429(self) -> None:
        """So that a client that doesn't read is noticed by whoever sends to it."""
        gateway = make_gateway(quirks=Quirks(client_buffer_bytes=10))
        connection_id = open_connection(gateway)
        response, effects = gateway.manage("POST", connection_id, b"12345", now=T0, buffered=6)
        assert (response.status, response.headers["x-amzn-ErrorType"], effects) == (429, "LimitExceededException", [])
        assert gateway.manage("POST", connection_id, b"12345", now=T0, buffered=5)[0].status == 200

    def test_delete_closes_with_1000_and_the_function_is_told(self) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        response, (close, disconnect) = gateway.manage("DELETE", connection_id, b"", now=T0)
        assert (response.status, response.body) == (204, b"")
        assert close == Close(connection_id, 1000, "Connection Closed Normally")
        assert goodbye(disconnect) == (1000, "Connection Closed Normally")

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_a_connection_whose_handshake_still_waits_is_gone_to_it(self, method: str) -> None:
        gateway = make_gateway()
        connection_id, connect = begin(gateway)
        response, effects = gateway.manage(method, connection_id, b"hello", now=T0)
        assert (response.status, response.body, effects) == (410, b"", [])
        assert response.headers["x-amzn-ErrorType"] == "GoneException"
        assert gateway.answered(connect.invocation_id, OK, now=T0) == [Accept(connection_id, None)]

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_a_connection_that_is_over_or_never_was_is_gone(self, method: str) -> None:
        gateway = make_gateway()
        connection_id = open_connection(gateway)
        gateway.left(connection_id, 1000, "", now=T0)
        for gone in (connection_id, UNKNOWN):
            response, effects = gateway.manage(method, gone, b"", now=T0)
            assert (response.status, effects) == (410, [])

    @pytest.mark.parametrize("malformed", ["", "x", "AAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAA.=", UNKNOWN + "\n"])
    def test_what_cannot_be_an_id_is_a_bad_request(self, malformed: str) -> None:
        response, effects = make_gateway().manage("GET", malformed, b"", now=T0)
        assert (response.status, effects) == (400, [])
        assert response.headers["x-amzn-ErrorType"] == "BadRequestException"
        assert json.loads(response.body) == {"message": f"Invalid connectionId: {malformed}"}

    def test_another_method_is_forbidden(self) -> None:
        gateway = make_gateway()
        response, effects = gateway.manage("PUT", open_connection(gateway), b"", now=T0)
        assert (response.status, effects) == (403, [])
        assert response.headers["x-amzn-ErrorType"] == "ForbiddenException"


def test_a_random_id_looks_like_one_and_is_new() -> None:
    ids = {random_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(is_connection_id(new) for new in ids)


class AnyOrderOfEvents(RuleBasedStateMachine):
    """Whatever clients, functions and time do, the gateway keeps what it promises to each of them."""

    waiting = Bundle("waiting invocations")

    def __init__(self) -> None:
        super().__init__()
        self.gateway = make_gateway({**ALL_ROUTES, "two-way": Route("f", two_way=True)})
        self.now = T0
        self.pending: set[str] = set()
        self.open: set[str] = set()
        self.disconnected: set[str] = set()

    def perform(self, effects: list[Effect]) -> Any:
        invocations = []
        for effect in effects:
            connection_id = effect.connection_id
            match effect:
                case Accept():
                    self.pending.remove(connection_id)
                    self.open.add(connection_id)
                case Refuse():
                    self.pending.remove(connection_id)
                case SendText():
                    assert connection_id in self.open
                case Close():
                    self.open.remove(connection_id)
                case Invoke(event={"requestContext": {"eventType": "DISCONNECT"}}):
                    assert connection_id not in self.open | self.pending | self.disconnected
                    self.disconnected.add(connection_id)
                case Invoke():
                    invocations.append(effect.invocation_id)
        return invocations

    @rule(target=waiting)
    def connect(self) -> Any:
        connection_id, effects = self.gateway.handshake(CLIENT, now=self.now)
        self.pending.add(connection_id)
        (invocation_id,) = self.perform(effects)
        return invocation_id

    @rule(
        invocation_id=consumes(waiting),
        answer=st.sampled_from([OK, Returned({"statusCode": 200, "body": "x"}), Returned(None), CRASH]),
    )
    def answer(self, invocation_id: str, answer: Answer) -> None:
        assert self.perform(self.gateway.answered(invocation_id, answer, now=self.now)) == []

    @precondition(lambda self: self.open)
    @rule(target=waiting, data=st.data())
    def send(self, data: st.DataObject) -> Any:
        connection_id = data.draw(st.sampled_from(sorted(self.open)))
        text = data.draw(st.sampled_from(["x", '{"action":"two-way"}']))
        (invocation_id,) = self.perform(self.gateway.frame(connection_id, text, now=self.now))
        return invocation_id

    @precondition(lambda self: self.open)
    @rule(data=st.data(), breach=st.sampled_from([b"binary", "x" * (FRAME_BYTES + 1)]))
    def break_a_rule(self, data: st.DataObject, breach: str | bytes) -> None:
        connection_id = data.draw(st.sampled_from(sorted(self.open)))
        self.perform(self.gateway.frame(connection_id, breach, now=self.now))
        assert connection_id in self.disconnected

    @precondition(lambda self: self.open | self.pending)
    @rule(data=st.data(), code=st.sampled_from([None, 1000, 1005, 4000]))
    def leave(self, data: st.DataObject, code: int | None) -> None:
        connection_id = data.draw(st.sampled_from(sorted(self.open | self.pending)))
        was_open = connection_id in self.open
        self.open.discard(connection_id)
        self.pending.discard(connection_id)
        self.perform(self.gateway.left(connection_id, code, "", now=self.now))
        assert (connection_id in self.disconnected) == was_open

    @precondition(lambda self: self.open)
    @rule(data=st.data(), method=st.sampled_from(["POST", "DELETE"]))
    def manage(self, data: st.DataObject, method: str) -> None:
        connection_id = data.draw(st.sampled_from(sorted(self.open)))
        response, effects = self.gateway.manage(method, connection_id, b"x", now=self.now)
        assert response.status in {200, 204}
        self.perform(effects)

    @rule(seconds=st.sampled_from([1, 28, 29, 300, 600]))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self.perform(self.gateway.tick(now=self.now))
        deadline = self.gateway.next_deadline()
        assert deadline is None or deadline > self.now

    @invariant()
    def the_management_api_knows_exactly_the_open_connections(self) -> None:
        for connection_id in self.open | self.pending | self.disconnected:
            response, _ = self.gateway.manage("GET", connection_id, b"", now=self.now)
            assert response.status == (200 if connection_id in self.open else 410)


TestAnyOrderOfEvents = AnyOrderOfEvents.TestCase
