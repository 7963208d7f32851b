"""How the handshake of a new connection is answered, by what its route has said."""

import logging

from gatesocket.conversation import Conversation, State
from gatesocket.values import frozen

__all__ = ["Answer", "answer"]

logger = logging.getLogger("gatesocket")


@frozen
class Answer:
    """The answer to a handshake."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def answer(conversation: Conversation, *, speaks: bool, failed: bool) -> Answer:
    """Return the answer to the handshake of a route that waits, or that has ended.

    Args:
        conversation: how far the route has come.
        speaks: whether the client is to hear anything of it: it waits, or has sent something.
        failed: whether an error ended it.
    """
    if conversation.state is State.REFUSED:
        return Answer(conversation.status, conversation.headers, conversation.body)
    if conversation.state in {State.CONNECTING, State.DENYING}:
        if not failed:
            logger.error("connection %s: the route ended without answering the handshake", conversation.connection_id)
        return Answer(500)
    if not speaks and (failed or not conversation.opens):
        # Nothing was said and nothing can be any more: the client isn't let in at all.
        return Answer(500 if failed else 403)
    return Answer(200, conversation.headers)
