"""The lessons that need no chat: each route shows one thing about WebSockets.

Every route ends the same way: when the client leaves, the ``receive`` that waits for it raises
`WebSocketDisconnect`. Catch it around the loop, do there what has to be done at the end, and return.
"""

import asyncio
import logging
from math import isqrt
from typing import Literal

from fastapi import APIRouter, WebSocket, WebSocketDisconnect, status
from pydantic import BaseModel, ValidationError

from chat.messages import Accepted, Authenticated, Done, Progress, Work
from chat.settings import is_right
from gatesocket import ConnectionManager
from gatesocket.jobs import job
from gatesocket.messages import envelope, messages

__all__ = ["router"]

router = APIRouter()
manager = ConnectionManager()
logger = logging.getLogger("chat")


@router.websocket("/ws/echo")
async def echo(websocket: WebSocket) -> None:
    """Send every text back."""
    await websocket.accept()
    try:
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(f"You said: {text}")
    except WebSocketDisconnect as left:
        logger.info("echo: the client left with code %d", left.code)


@router.websocket("/ws/json")
async def echo_json(websocket: WebSocket) -> None:
    """Send every JSON value back, with its number.

    ``receive_json`` raises ``ValueError`` for a text that isn't JSON. Nothing forces a server to drop a
    client for that: say what is wrong, and go on.
    """
    await websocket.accept()
    number = 0
    try:
        while True:
            try:
                value = await websocket.receive_json()
            except ValueError as error:
                await websocket.send_json({"error": f"that was not JSON: {error}"})
                continue
            number += 1
            await websocket.send_json({"number": number, "you_sent": value})
    except WebSocketDisconnect as left:
        logger.info("json: the client left with code %d after %d messages", left.code, number)


@router.websocket("/ws/token")
async def token_in_the_query(websocket: WebSocket, token: str = "") -> None:
    """Open only to a client that brings the right ``?token=…``.

    A socket that is closed before it was accepted was never open: the client's handshake is answered with
    HTTP status 403. Browsers can't set headers on a WebSocket, so a token in the query is the usual way; make
    it short-lived, because addresses end up in logs.
    """
    if not is_right(token):
        await websocket.close(code=status.WS_1008_POLICY_VIOLATION)
        return
    await websocket.accept()
    try:
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(f"For your eyes only: {text}")
    except WebSocketDisconnect as left:
        logger.info("token: the client left with code %d", left.code)


@router.websocket("/ws/secret")
async def token_after_accepting(websocket: WebSocket, token: str = "") -> None:
    """Check the same token as many tutorials do: accept first, then close with 1008 and a reason.

    A browser learns the code and the reason this way. On API Gateway nothing can be sent before the handshake
    is answered, so there a client that would be closed at once gets the 403 of ``/ws/token``.
    """
    await websocket.accept()
    if not is_right(token):
        await websocket.close(code=status.WS_1008_POLICY_VIOLATION, reason="wrong token")
        return
    try:
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(f"Between you and me: {text}")
    except WebSocketDisconnect as left:
        logger.info("secret: the client left with code %d", left.code)


class Auth(BaseModel):
    """The first message on ``/ws/login``."""

    type: Literal["auth"]
    token: str


@router.websocket("/ws/login")
async def token_in_the_first_message(websocket: WebSocket) -> None:
    """Let everybody connect, but talk only to those whose first message is ``{"type": "auth", "token": …}``.

    The token stays out of addresses and logs. Whoever says anything else first is closed with 1008.
    """
    await websocket.accept()
    try:
        first = await websocket.receive_text()
        try:
            welcome = is_right(Auth.model_validate_json(first).token)
        except ValidationError:
            welcome = False
        if not welcome:
            await websocket.close(code=status.WS_1008_POLICY_VIOLATION, reason="authenticate first")
            return
        await websocket.send_text(envelope(Authenticated()))
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(f"You are known, and said: {text}")
    except WebSocketDisconnect as left:
        logger.info("login: the client left with code %d", left.code)


def primes_between(start: int, stop: int) -> int:
    """Count the primes from *start* up to, but without, *stop*; slow on purpose."""
    return sum(
        all(number % divisor for divisor in range(2, isqrt(number) + 1)) for number in range(max(start, 2), stop)
    )


@job
async def count_primes(connection: str, message_id: str | None, below: int) -> str | None:
    """Count the primes below a number, and tell *connection* how far it is.

    A job knows no socket, only what it was given, as JSON. That is enough: a manager reaches a connection by
    its id from any process.
    """
    found = 0
    for quarter in range(4):
        start, stop = below * quarter // 4, below * (quarter + 1) // 4
        found += await asyncio.to_thread(primes_between, start, stop)
        progress = Progress(percent=25 * (quarter + 1))
        if not await manager.send_to(connection, envelope(progress, id=message_id)):
            return None  # the client has left, and nobody else wants to know
    return envelope(Done(below=below, primes=found), id=message_id)


@router.websocket("/ws/work")
async def heavy_work(websocket: WebSocket) -> None:
    """Hand over what takes long, and go on listening.

    Under uvicorn a job runs in the background of the same process. On Lambda it travels through a queue to a
    function of its own, whose time doesn't end with this route's. Either way the result comes when it is
    there, and the client may ask for more meanwhile.
    """
    connection = await manager.connect(websocket)
    try:
        incoming = messages(websocket, Work)
        async for work in incoming:
            await incoming.reply(Accepted())
            await count_primes.reply_to(connection=connection).enqueue(connection, incoming.id, work.below)
    except WebSocketDisconnect:
        pass  # a reply has found what the loop would have ended with: the client has left
    await manager.disconnect(websocket)
    logger.info("work: the client left")
