"""What a client hears of a function's answer (facts sheet, sections 2 and 3).

No I/O and no state: what the answer does to the connection is the gateway model's.
"""

from gatesocket.emulator.answers import Answer, Failed, read
from gatesocket.emulator.api import Route
from gatesocket.emulator.effects import Accept, Refuse
from gatesocket.emulator.error_frames import INTEGRATION_FAILED, error_frame
from gatesocket.emulator.quirks import Quirks

__all__ = ["to_handshake", "to_message"]


def to_handshake(answer: Answer, connection_id: str, request_id: str, quirks: Quirks) -> Accept | Refuse:
    """Map the answer to `$connect` onto the handshake."""
    failure = error_frame(INTEGRATION_FAILED, connection_id, request_id)
    if isinstance(answer, Failed):
        return Refuse(connection_id, 502, failure)
    response = read(answer.value)
    if response is None:
        why = "$connect answered no proxy response, which has an integer statusCode and a text body, if any"
        return Refuse(connection_id, quirks.malformed_connect_status, failure, why)
    if response.succeeded:
        return Accept(connection_id, response.subprotocol)
    body = (response.body or "") if quirks.refusal_carries_body else ""
    if not quirks.refusal_carries_headers:
        return Refuse(connection_id, response.status, body)
    if not response.fits_http:
        why = "$connect answered a header that HTTP can't carry"
        return Refuse(connection_id, quirks.malformed_connect_status, failure, why)
    return Refuse(connection_id, response.status, body, headers=response.headers)


def to_message(answer: Answer, route: Route, connection_id: str, request_id: str, quirks: Quirks) -> str | None:
    """Return what the client gets for the answer to a message: errors, and what a two-way route answers; else None."""
    failure = error_frame(INTEGRATION_FAILED, connection_id, request_id)
    if isinstance(answer, Failed):
        return failure
    if not (route.two_way or (route.selects_response and quirks.expression_alone_replies)):
        return None
    response = read(answer.value)
    if response is None:
        return failure
    if not (response.succeeded or quirks.error_status_carries_body):
        return None
    return response.body or None
