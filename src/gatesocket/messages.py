"""The messages of a connection as a loop over pydantic models.

::

    class Say(BaseModel):
        text: str


    class Said(BaseModel):
        text: str
        number: int


    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()
        number = 0
        incoming = messages(websocket, Say | Leave)
        async for message in incoming:  # hibernates here
            match message:
                case Say(text=text):
                    number += 1
                    await incoming.reply(Said(text=text, number=number))
                case Leave():
                    break

`gatesocket.envelopes` has the form that they have on the wire. A text that can't be understood is answered with an
`Error`, and the route doesn't see it.

A route hibernates inside of `Messages.receive`, which is called anew when it wakes: whatever it has to know of before
is an attribute, and is saved with the route.
"""

from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, Self, TypeVar

from pydantic import BaseModel
from starlette.status import WS_1003_UNSUPPORTED_DATA, WS_1008_POLICY_VIOLATION
from starlette.websockets import WebSocket, WebSocketDisconnect

from gatesocket import backend
from gatesocket.envelopes import Ack, BadMessage, Error, ErrorDetail, Kinds, envelope, kinds_in, kinds_of
from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation import register_saver
from gatesocket.hibernation.meanings import receives

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ["Ack", "Error", "ErrorDetail", "Messages", "envelope", "messages"]

M = TypeVar("M", bound=BaseModel)

MAX_ERRORS: Final = 10
"""Messages in a row that can't be understood, after which a client is taken for broken rather than mistaken."""


class Messages(Generic[M]):
    """The messages of one connection, and the replies to them.

    The iteration ends when the client leaves, as that of Starlette's ``iter_text`` does, and when the connection is
    closed here: with 1008 after too many messages in a row that can't be understood, or when its time is over; with
    1003 after a binary message, as API Gateway does by itself (facts sheet, section 5). Both codes are RFC 6455's,
    section 7.4.1.

    A client that sends ``"ack": true`` gets an `Ack` when its message has been handled: when the route asks for the
    next one. A route that ends or fails before that acknowledges nothing.
    """

    def __init__(
        self, websocket: WebSocket, *kinds: type[M], max_errors: int = MAX_ERRORS, until: float | None = None
    ) -> None:
        self.id: str | None = None
        """The id of the message that came last; None if it has none."""
        self._websocket = websocket
        self._kinds: Kinds[M] = kinds_of(*kinds)
        self._max_errors = max_errors
        self._until = until
        self._errors = 0
        self._owes_ack = False

    def __aiter__(self) -> Self:
        return self

    @receives
    async def __anext__(self) -> M:
        try:
            return await self.receive()
        except WebSocketDisconnect:
            raise StopAsyncIteration from None

    @receives
    async def receive(self) -> M:
        """Return the next message; it can be awaited against a clock, with `asyncio.wait_for`.

        Raises:
            WebSocketDisconnect: the client has left, or the connection was closed here.
            RuntimeError: the socket isn't accepted, or the iteration has ended before.
        """
        if self._owes_ack:
            self._owes_ack = False
            await self.reply(Ack())
        while True:
            frame = await self._websocket.receive()
            if frame["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(frame["code"], frame.get("reason"))
            text = frame.get("text")
            if text is None:
                await self._close(WS_1003_UNSUPPORTED_DATA, "expected text")
            if self._until is not None and backend.current().clock() >= self._until * 1000:
                await self._close(WS_1008_POLICY_VIOLATION, "expired")
            try:
                came = self._kinds.read(text)
            except BadMessage as bad:
                self._errors += 1
                if self._errors > self._max_errors:
                    await self._close(WS_1008_POLICY_VIOLATION, "too many messages that can't be understood")
                await self._websocket.send_text(envelope(bad.error, id=bad.answers))
            else:
                self.id, self._owes_ack, self._errors = came.id, came.ack, 0
                return came.data

    async def reply(self, answer: BaseModel, *, to: str | None = None) -> None:
        """Send *answer* with the id of the message that it answers.

        Args:
            answer: the reply; there may be several to one message.
            to: the id of an earlier message. None for the one that came last.

        Raises:
            MessageTooLarge: it is over 128 KB.
            WebSocketDisconnect: the client has left.
        """
        await self._websocket.send_text(envelope(answer, id=self.id if to is None else to))

    async def _close(self, code: int, reason: str) -> NoReturn:
        await self._websocket.close(code, reason)
        raise WebSocketDisconnect(code, reason)

    def _save(self) -> list[Any]:
        kinds = tuple(self._kinds.by_type.values())
        return [self._websocket, kinds, self._max_errors, self._until, self._errors, self.id, self._owes_ack]

    @classmethod
    def _load(cls, data: list[Any]) -> Self:
        try:
            websocket, kinds, max_errors, until, errors, last, owes_ack = data
            made = cls(websocket, *kinds, max_errors=max_errors, until=until)
        except (TypeError, ValueError) as error:
            raise SnapshotError(f"the snapshot is damaged: {error}") from error
        if not isinstance(websocket, WebSocket):
            raise SnapshotError(f"the snapshot is damaged: {websocket!r} gives no messages")
        made._errors, made.id, made._owes_ack = errors, last, owes_ack
        return made


def messages(
    websocket: WebSocket,
    kinds: "TypeForm[M]",
    *,
    max_errors: int = MAX_ERRORS,
    until: float | None = None,
) -> Messages[M]:
    """Iterate over what the client says, as instances of the models *kinds*; see `Messages`.

    Args:
        websocket: an accepted socket.
        kinds: one model, or several as ``Join | Say | Leave``. A message of one is an instance of it; its type on the
            wire is what `gatesocket.envelopes.type_name` says.
        max_errors: how many messages in a row may be no such message; the one after closes the connection with 1008.
        until: when the client may say nothing more, in seconds since the epoch, as the ``exp`` of a JWT; the first
            message after that closes the connection with 1008. None for never.

    Raises:
        TypeError: *kinds* are no pydantic models, or two are of one type.
    """
    return Messages(websocket, *kinds_in(kinds), max_errors=max_errors, until=until)


register_saver(Messages, save=Messages._save, load=Messages._load)  # noqa: SLF001 - its own
