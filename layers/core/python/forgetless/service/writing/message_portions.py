"""Divides the messages of an add into portions, one for each call of the LLM."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from forgetless.domain.memory import Message
from forgetless.domain.token_estimate import estimated_tokens, fitting_prefix

__all__ = ["BEGIN", "Place", "Portion", "count_portions", "portion_at", "tokens_in_prompt"]

#: What a prompt needs for each message besides its text: number, role, time and the JSON around them.
_TOKENS_OF_FORM = 50
#: Where a message that is too long for one call may be cut, the best first: lines, sentences, words. Of several marks
#: at the end of a sentence only the last one is looked for: from each of them to the end of all would take minutes.
_CUTS = (re.compile(r"\n"), re.compile(r"[.!?…][\"')\]]*\s|[。！？]"), re.compile(r"\s"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a portion begins: in the message at this position, after so many of its characters."""

    position: int
    offset: int = 0


BEGIN = Place(-1)


@dataclass(frozen=True, slots=True)
class Portion:
    """Whole messages, or a part of one, as messages; where it begins, and where the next one does (None at the end)."""

    start: Place
    messages: tuple[Message, ...]
    following: Place | None


def portion_at(messages: Sequence[Message], start: Place, tokens: int) -> Portion:
    """The portion of about `tokens` that begins at `start`; its tokens are estimated.

    A message is divided only if it is longer than a portion. Its parts keep its position.
    """
    taken: list[Message] = []
    left = tokens
    for message in _from(messages, start):
        offset = start.offset if message.ref.position == start.position else 0
        rest = replace(message, content=message.content[offset:])
        needed = tokens_in_prompt(rest)
        if needed <= left:
            taken.append(rest)
            left -= needed
        elif taken:
            return Portion(start, tuple(taken), Place(message.ref.position, offset))
        else:
            length = _cut(rest.content, fitting_prefix(rest.content, max(tokens - _TOKENS_OF_FORM, 1)))
            part = replace(rest, content=rest.content[:length])
            return Portion(start, (part,), Place(message.ref.position, offset + length))
    return Portion(start, tuple(taken), None)


def tokens_in_prompt(message: Message) -> int:
    """About how many tokens the message has as it stands in a prompt."""
    return estimated_tokens(message.content) + estimated_tokens(message.name or "") + _TOKENS_OF_FORM


def count_portions(messages: Sequence[Message], start: Place | None, tokens: int) -> int:
    """How many portions there are from `start` on."""
    number = 0
    while start is not None:
        start = portion_at(messages, start, tokens).following
        number += 1
    return number


def _from(messages: Sequence[Message], start: Place) -> Iterator[Message]:
    return (message for message in messages if message.ref.position >= start.position)


def _cut(text: str, most: int) -> int:
    """Where to cut the text, after at most `most` characters: at an end in their second half, if there is one."""
    if most >= len(text):
        return len(text)
    for end in _CUTS:
        ends = [found.end() for found in end.finditer(text, most // 2, most)]
        if ends:
            return ends[-1]
    return max(most, 1)
