"""API Gateway's behaviour towards the clients and the functions of one WebSocket API, as a state machine.

It does no I/O, reads no clock and draws no random number: whoever holds the sockets tells it what happened
and when, and performs the effects that it returns. Two shells do so: `gatesocket.emulator.server` with real
sockets, and `gatesocket.testing` inside a test. Section numbers in this module are those of the facts sheet,
which gives the source of each.

Messages don't wait for one another: each is its own invocation at once, and an answer is taken whenever it
comes (section 6).
"""

from collections.abc import Callable
from typing import Final

from gatesocket.emulator import replies
from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.api import CONNECT, DEFAULT, DISCONNECT, Api, Authorizer, Route
from gatesocket.emulator.authorizer import Denied, judge, lacks_identity
from gatesocket.emulator.close_codes import ABNORMAL, GOING_AWAY, MESSAGE_TOO_BIG, NO_STATUS, NORMAL, UNSUPPORTED_DATA
from gatesocket.emulator.deadlines import Deadlines
from gatesocket.emulator.effects import Accept, Close, Effect, Invoke, Refuse, SendText
from gatesocket.emulator.error_frames import (
    FORBIDDEN,
    INTEGRATION_FAILED,
    INTEGRATION_SLOW,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    bad_body_frame,
    error_frame,
)
from gatesocket.emulator.events import (
    Handshake,
    Request,
    authorizer_event,
    connect_event,
    disconnect_event,
    message_event,
)
from gatesocket.emulator.ids import is_connection_id
from gatesocket.emulator.lifecycle import Connection, State, Trigger
from gatesocket.emulator.management import ManagementResponse, information, refusal
from gatesocket.emulator.pending import Authorization, Idle, Invocation, Pending
from gatesocket.emulator.quirks import Quirks
from gatesocket.emulator.throttle import Admission, Quotas, RateLimit
from gatesocket.exceptions import ProtocolError
from gatesocket.limits import CONNECTION_SECONDS, FRAME_BYTES, IDLE_SECONDS, INTEGRATION_SECONDS, MESSAGE_BYTES

__all__ = [
    "CONNECT",
    "DEFAULT",
    "DISCONNECT",
    "Accept",
    "Answer",
    "Api",
    "Authorizer",
    "Close",
    "Effect",
    "Failed",
    "Gateway",
    "Handshake",
    "Invoke",
    "ManagementResponse",
    "Quirks",
    "Quotas",
    "RateLimit",
    "Refuse",
    "Returned",
    "Route",
    "SendText",
]

_DENIALS: Final = {401: UNAUTHORIZED, 403: FORBIDDEN}


class Gateway:
    """One stage of a WebSocket API at work.

    Every input takes *now*, milliseconds since the epoch, and returns the effects to perform, in order.
    Authorization by IAM, API keys and models aren't part of it.

    Args:
        api: what is deployed.
        new_id: makes the ids of connections, requests and messages, in the shape of `ids.random_id`.
        quirks: settles what is not known of API Gateway.
        quotas: what the account is served in a second; None throttles nobody.
    """

    def __init__(
        self, api: Api, *, new_id: Callable[[], str], quirks: Quirks | None = None, quotas: Quotas | None = None
    ) -> None:
        self.api = api
        self.quirks = quirks or Quirks()
        self._new_id = new_id
        self._connections: dict[str, Connection] = {}
        self._invocations: dict[str, Invocation | Authorization] = {}
        limits = {key: route.limit for key, route in api.routes.items() if route.limit}
        self._admission = Admission(quotas, limits)
        self._deadlines: Deadlines[Idle | Pending] = Deadlines()

    # What clients do.

    def handshake(self, request: Handshake, *, now: int) -> tuple[str, list[Effect]]:
        """Take a client's handshake; return the new connection's id and the effects.

        The client waits until an `Accept` or a `Refuse` with this id. The authorizer is asked first, if there
        is one, and `$connect` then (section 9). Without a `$connect` route the handshake is accepted at once
        (section 2).
        """
        if not self.quirks.query_is_decoded:
            request = request.with_encoded_query()
        connection = Connection(self._new_id(), request.identity, connected_at=now, last_active_at=now)
        self._connections[connection.id] = connection
        if not self._admission.of_connection(now, CONNECT):
            body = error_frame(TOO_MANY_REQUESTS, connection.id, self._new_id())
            refusal = Refuse(connection.id, 429, body, "too many new connections in a second")
            return connection.id, self._refuse(connection, refusal)
        route = self.api.routes.get(CONNECT)
        if route is None:
            return connection.id, self._accept(connection, None, now)
        if route.authorizer is None:
            return connection.id, self._connect(connection, route, request, now)
        return connection.id, self._authorize(connection, route.authorizer, request, now)

    def frame(
        self, connection_id: str, data: str | bytes, *, now: int, largest_frame: int | None = None
    ) -> list[Effect]:
        """Take one whole message of a client.

        *largest_frame* is the size in bytes of the largest of the frames that it came in; None means that it
        came in one, as browsers send it. A message of a connection that is gone was under way when the
        gateway closed it, and is lost.

        Raises:
            ProtocolError: the handshake hasn't been accepted.
        """
        connection = self._connections.get(connection_id)
        if connection is None:
            return []
        if connection.state is not State.OPEN:
            raise ProtocolError(
                f"expected no message of connection {connection_id} before its handshake was accepted, "
                "but got one. Read from a client only after the Accept effect"
            )
        if isinstance(data, bytes):
            why = "it sent a binary message, and API Gateway takes text only: send bytes as base64"
            return self._close(connection, UNSUPPORTED_DATA, self.quirks.binary_reason, now, why)
        size = len(data.encode())
        if size > MESSAGE_BYTES:
            why = f"it sent a message of {size} bytes, and API Gateway takes {MESSAGE_BYTES}"
            return self._close(connection, MESSAGE_TOO_BIG, self.quirks.oversize_reason, now, why)
        frame = size if largest_frame is None else largest_frame
        if frame > FRAME_BYTES:
            why = f"it sent a frame of {frame} bytes, and API Gateway takes {FRAME_BYTES}: send it in several"
            return self._close(connection, MESSAGE_TOO_BIG, self.quirks.oversize_reason, now, why)
        self._touch(connection, now)
        about = self._request(connection, now)
        route_key = self.api.route_key_for(data)
        if not self._admission.of_request(now, route_key):
            return self._send_error(connection, self.quirks.throttled_message, about.request_id, now)
        if route_key is None:
            return self._send_error(connection, FORBIDDEN, about.request_id, now)
        route = self.api.routes[route_key]
        body = data if data or self.quirks.empty_message_has_body else None
        message_id = self._new_id()
        if route.models is not None and not route.models.allow(data):
            return self._send(connection, bad_body_frame(connection.id, message_id), now)
        event = message_event(about, route_key, message_id, body)
        self._await(Invocation(about.request_id, connection.id, route_key, route), now)
        return [Invoke(about.request_id, route.function, event, connection.id)]

    def pinged(self, connection_id: str, *, now: int) -> None:
        """Take note of a client's ping, which the shell has answered; no function hears of it (section 7)."""
        connection = self._connections.get(connection_id)
        if connection is not None and self.quirks.ping_keeps_alive:
            self._touch(connection, now)

    def left(self, connection_id: str, code: int | None, reason: str, *, now: int) -> list[Effect]:
        """Take note that a client has closed its connection, or that the connection broke.

        *code* is the one of the client's close frame, 1005 if that frame had none, and None if there was no
        close frame, which functions see as 1006 (section 7). Of a connection that is gone already nothing
        follows, so a shell need not distinguish who closed first.
        """
        connection = self._connections.get(connection_id)
        if connection is None:
            return []
        if code is None:
            code, reason = ABNORMAL, self.quirks.dropped_reason
        elif code == NO_STATUS:
            reason = "Client-side close frame status not set"
        if self._move(connection, Trigger.LEFT) is State.GONE:
            return self._farewell(connection, code, reason, now)
        return []

    # What functions do.

    def answered(self, invocation_id: str, answer: Answer, *, now: int) -> list[Effect]:
        """Take a function's answer.

        It has no effect if API Gateway no longer waits for it: it took too long, its connection is
        gone, or it answers `$disconnect`.
        """
        invocation = self._invocations.pop(invocation_id, None)
        if invocation is None:
            return []
        self._deadlines.drop(Pending(invocation_id))
        connection = self._connections.get(invocation.connection_id)
        if connection is None:
            return []
        if isinstance(invocation, Authorization):
            return self._authorizer_answered(connection, invocation, answer, now)
        if invocation.route_key == CONNECT:
            return self._connect_answered(connection, invocation, answer, now)
        return self._message_answered(connection, invocation, answer, now)

    def manage(
        self, method: str, connection_id: str, body: bytes, *, now: int, buffered: int = 0
    ) -> tuple[ManagementResponse, list[Effect]]:
        """Serve one request to `@connections/{connection_id}` (section 4); the id is decoded already.

        *buffered* says how many bytes wait for the client, because it reads more slowly than it is sent to.
        """
        if not self._admission.of_request(now):
            return refusal(429, "LimitExceededException", TOO_MANY_REQUESTS), []
        connection = self._connections.get(connection_id)
        if connection is not None and connection.state is not State.OPEN:
            connection = None  # Nothing can be posted before $connect has returned.
        if not is_connection_id(connection_id):
            return refusal(400, "BadRequestException", f"Invalid connectionId: {connection_id}"), []
        if connection is None:
            return ManagementResponse(410, {"x-amzn-ErrorType": "GoneException"}), []
        match method:
            case "GET":
                return information(connection), []
            case "POST":
                return self._post(connection, body, now, buffered)
            case "DELETE":
                reason = self.quirks.deleted_reason
                return ManagementResponse(204), self._close(connection, NORMAL, reason, now)
            case _:
                path = f"{self.api.stage}/@connections/{connection_id}"
                message = f"No method found matching route {path} for http method {method}"
                return refusal(403, "ForbiddenException", message), []

    # What time does.

    def tick(self, *, now: int) -> list[Effect]:
        """Do what is due: the time of an integration, 10 min without a message, 2 h of a connection."""
        effects: list[Effect] = []
        while (due := self._deadlines.pop(now)) is not None:
            if isinstance(due, Idle):
                effects += self._expire(self._connections[due.connection_id], now)
            else:
                effects += self._time_out(self._invocations.pop(due.invocation_id), now)
        return effects

    def next_deadline(self) -> int | None:
        """Return when to call `tick` next, in milliseconds since the epoch; None if nothing is waited for."""
        return self._deadlines.next()

    # The life of a connection.

    def _authorize(self, connection: Connection, authorizer: Authorizer, request: Handshake, now: int) -> list[Effect]:
        about = self._request(connection, now)
        event = authorizer_event(about, request)
        if lacking := lacks_identity(authorizer.identity_sources, event):
            why = f"it has no value for {lacking}, so that the authorizer isn't asked"
            return self._deny(connection, Denied(401, why), about.request_id)
        self._await(Authorization(about.request_id, connection.id, request), now)
        return [Invoke(about.request_id, authorizer.function, event, connection.id)]

    def _connect(self, connection: Connection, route: Route, request: Handshake, now: int) -> list[Effect]:
        about = self._request(connection, now)
        event = connect_event(about, request)
        self._await(Invocation(about.request_id, connection.id, CONNECT, route), now)
        return [Invoke(about.request_id, route.function, event, connection.id)]

    def _deny(self, connection: Connection, denied: Denied, request_id: str) -> list[Effect]:
        body = error_frame(_DENIALS.get(denied.status, INTEGRATION_FAILED), connection.id, request_id)
        return self._refuse(connection, Refuse(connection.id, denied.status, body, denied.why))

    def _move(self, connection: Connection, trigger: Trigger) -> State:
        state = connection.move(trigger)
        if state is State.GONE:
            del self._connections[connection.id]
            self._deadlines.drop(Idle(connection.id))
        return state

    def _accept(self, connection: Connection, subprotocol: str | None, now: int) -> list[Effect]:
        if self._move(connection, Trigger.ACCEPTED) is State.GONE:
            return self._farewell(connection, ABNORMAL, self.quirks.dropped_reason, now)
        self._touch(connection, now)
        return [Accept(connection.id, subprotocol)]

    def _refuse(self, connection: Connection, refusal: Refuse) -> list[Effect]:
        abandoned = connection.state is State.ABANDONED
        self._move(connection, Trigger.REFUSED)
        return [] if abandoned else [refusal]

    def _close(self, connection: Connection, code: int, reason: str, now: int, why: str = "") -> list[Effect]:
        self._move(connection, Trigger.CLOSED)
        return [Close(connection.id, code, reason, why), *self._farewell(connection, code, reason, now)]

    def _farewell(self, connection: Connection, code: int, reason: str, now: int) -> list[Effect]:
        """Invoke `$disconnect`; nobody waits for its answer."""
        route = self.api.routes.get(DISCONNECT)
        if route is None:
            return []
        about = self._request(connection, now)
        event = disconnect_event(about, code, reason)
        return [Invoke(about.request_id, route.function, event, connection.id)]

    def _expire(self, connection: Connection, now: int) -> list[Effect]:
        if now >= connection.expires_at:
            why = f"it has lasted for {CONNECTION_SECONDS} s"
            return self._close(connection, self.quirks.lifetime_code, self.quirks.lifetime_reason, now, why)
        why = f"for {IDLE_SECONDS} s there was no message to or from it"
        return self._close(connection, GOING_AWAY, "Going away", now, why)

    # The life of an invocation.

    def _await(self, invocation: Invocation | Authorization, now: int) -> None:
        self._invocations[invocation.id] = invocation
        # Of an authorizer's time no template says anything.
        limit = invocation.route.timeout if isinstance(invocation, Invocation) else INTEGRATION_SECONDS * 1000
        self._deadlines.set(Pending(invocation.id), now + limit)

    def _authorizer_answered(
        self, connection: Connection, authorization: Authorization, answer: Answer, now: int
    ) -> list[Effect]:
        """Go on to `$connect`, or refuse (section 9)."""
        verdict = judge(answer, method_arn=self.api.connect_arn)
        if isinstance(verdict, Denied):
            return self._deny(connection, verdict, authorization.id)
        connection.authorizer = verdict.context
        return self._connect(connection, self.api.routes[CONNECT], authorization.request, now)

    def _connect_answered(
        self, connection: Connection, invocation: Invocation, answer: Answer, now: int
    ) -> list[Effect]:
        verdict = replies.to_handshake(answer, connection.id, invocation.id, self.quirks)
        if isinstance(verdict, Refuse):
            return self._refuse(connection, verdict)
        return self._accept(connection, verdict.subprotocol, now)

    def _message_answered(
        self, connection: Connection, invocation: Invocation, answer: Answer, now: int
    ) -> list[Effect]:
        text = replies.to_message(answer, invocation.route, connection.id, invocation.id, self.quirks)
        return [] if text is None else self._send(connection, text, now)

    def _time_out(self, invocation: Invocation | Authorization, now: int) -> list[Effect]:
        connection = self._connections.get(invocation.connection_id)
        if connection is None:
            return []
        if isinstance(invocation, Authorization):
            denied = Denied(self.quirks.authorizer_timeout_status, "the authorizer took too long")
            return self._deny(connection, denied, invocation.id)
        if invocation.route_key == CONNECT:
            body = error_frame(INTEGRATION_SLOW, connection.id, invocation.id)
            why = f"$connect took longer than {invocation.route.timeout / 1000:g} s"
            return self._refuse(connection, Refuse(connection.id, self.quirks.connect_timeout_status, body, why))
        return self._send_error(connection, INTEGRATION_SLOW, invocation.id, now)

    # What goes to a client.

    def _post(
        self, connection: Connection, body: bytes, now: int, buffered: int
    ) -> tuple[ManagementResponse, list[Effect]]:
        if len(body) > min(self.quirks.largest_post_bytes, MESSAGE_BYTES):
            return refusal(413, "PayloadTooLargeException", "Payload too large"), []
        if buffered + len(body) > self.quirks.client_buffer_bytes:
            return refusal(429, "LimitExceededException", "The client reads too slowly: its buffer is full"), []
        try:
            text = body.decode("utf-8", "strict" if self.quirks.undecodable_post_refused else "replace")
        except UnicodeDecodeError:
            return refusal(400, "BadRequestException", "The data is not UTF-8"), []
        return ManagementResponse(200), self._send(connection, text, now)

    def _send(self, connection: Connection, text: str, now: int) -> list[Effect]:
        self._touch(connection, now)
        return [SendText(connection.id, text)]

    def _send_error(self, connection: Connection, message: str, request_id: str, now: int) -> list[Effect]:
        return self._send(connection, error_frame(message, connection.id, request_id), now)

    def _touch(self, connection: Connection, now: int) -> None:
        """Start the ten idle minutes anew: a message went in one direction or the other (section 7)."""
        connection.last_active_at = now
        self._deadlines.set(Idle(connection.id), connection.deadline)

    def _request(self, connection: Connection, now: int) -> Request:
        return Request(
            api=self.api,
            connection_id=connection.id,
            connected_at=connection.connected_at,
            identity=connection.identity,
            request_id=self._new_id(),
            now=now,
            authorizer=connection.authorizer,
        )
