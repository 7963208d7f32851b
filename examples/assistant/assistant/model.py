"""Who answers: what the assistant wants of a model, and one that needs no network.

The stand-in is no language model and doesn't pretend to be one: it is a Markov chain over forty sentences. It
understands nothing. It is here so that the example runs, and is tested, without an account anywhere.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, Protocol

__all__ = ["TEXT", "MarkovChain", "Model", "Turn"]

TEXT: Final = (Path(__file__).parent / "sentences.txt").read_text(encoding="utf-8")
"""What the stand-in has read."""


@dataclass(frozen=True)
class Turn:
    """What one side has said."""

    by: Literal["user", "assistant"]
    text: str


class Model(Protocol):
    """What answers.

    **To put a real one here**, write a class with these two, and give it to ``MODEL`` in `assistant.app`. A model that
    streams over HTTP can keep its stream in a dict at module level between two calls, by *so_far* and the last turn:
    most calls find it. One that was woken in another process doesn't, and asks anew with *so_far* as the beginning of
    the answer, which most providers take as the last turn of the conversation. Don't keep the stream in a local
    variable of the route: it can't hibernate, and `gatesocket check` will say so.
    """

    name: str
    """What users are told they are talking to."""

    async def more(self, history: Sequence[Turn], so_far: str) -> str | None:
        """Return the next piece of the answer to *history*, which goes on after *so_far*; None at its end."""
        ...


class MarkovChain:
    """Says what could follow, by what follows what in a text; the same for the same conversation.

    Args:
        text: sentences to learn from.
        longest: words after which an answer ends with its sentence, or without if that doesn't end in as many again.
    """

    name = "a Markov chain that has read forty sentences, and no language model"

    def __init__(self, text: str, *, longest: int = 60) -> None:
        words = text.split()
        self._longest = longest
        self._first = [words[0], *(word for end, word in pairwise(words) if end.endswith("."))]
        self._next: dict[str, list[str]] = {}
        for word, following in pairwise(words):
            self._next.setdefault(word, []).append(following)

    async def more(self, history: Sequence[Turn], so_far: str) -> str | None:
        """Return the next word, with the space before it."""
        said = so_far.split()
        ends = not said or said[-1].endswith(".")
        if len(said) >= 2 * self._longest or (ends and len(said) >= self._longest):
            return None
        choices = self._first if ends else self._next.get(said[-1], self._first)
        if not said:
            choices = self._about(history[-1].text) or choices
        word = choices[_number(history, so_far) % len(choices)]
        return f" {word}" if said else word

    def _about(self, question: str) -> list[str]:
        """Return the beginnings of sentences that share a word with *question*; that is all it understands."""
        asked = set(re.findall(r"\w{3,}", question.lower()))
        return [word for word in self._first if word.lower().strip(".,") in asked]


def _number(history: Sequence[Turn], so_far: str) -> int:
    """Make a number that looks accidental, and is the same in every process."""
    text = "\n".join([*(f"{turn.by}: {turn.text}" for turn in history), so_far])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
