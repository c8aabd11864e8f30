"""Conversations to evaluate: what was said or remembered, and questions with what answers them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal

from local.client import ToolError

__all__ = ["Conversation", "Fact", "Form", "Question", "Turn", "checked"]

#: How the turns are stored: as messages of people who talk, of a user and an assistant, or as facts taken from them.
Form = Literal["people", "chat", "facts"]


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact that an extraction takes from a turn."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn. `time` is when its session began; `speaker` is the name that stands for it, empty without one."""

    id: str
    session: int
    time: datetime | None
    role: str
    speaker: str
    text: str
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the ids of the turns, or facts, that answer it."""

    text: str
    category: str
    evidence: frozenset[str]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation. Conversations of one `group` are of one kind and are averaged together."""

    name: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]
    group: str = "locomo"
    form: Form = "people"
    #: When the questions are asked, for those that say "last month"; None: now.
    asked_at: datetime | None = None

    def sessions(self) -> list[list[Turn]]:
        """The turns in order, one list for each session."""
        return [list(turns) for _, turns in groupby(self.turns, key=lambda turn: turn.session)]

    @property
    def answers(self) -> dict[str, str]:
        """The text of everything that may be evidence, by id."""
        if self.form == "facts":
            return {fact.id: fact.text for turn in self.turns for fact in turn.facts}
        return {turn.id: turn.text for turn in self.turns}


def checked(conversation: Conversation, source: object) -> Conversation:
    """The conversation; raises ToolError that names `source` if an id is used twice or evidence is missing."""
    if conversation.form == "facts":
        ids: Sequence[str] = [fact.id for turn in conversation.turns for fact in turn.facts]
    else:
        ids = [turn.id for turn in conversation.turns]
    known = set(ids)
    if len(known) != len(ids):
        twice = sorted({one for one in ids if ids.count(one) > 1})
        raise ToolError(f"{source}: the ids {twice} are used more than once")
    for question in conversation.questions:
        if not question.evidence or not question.evidence <= known:
            missing = sorted(question.evidence - known)
            raise ToolError(f"{source}: {question.text!r}: evidence {missing} is not in the conversation")
    if not conversation.questions:
        raise ToolError(f"{source}: no question has evidence")
    return conversation


def mean(values: Sequence[float]) -> float:
    """The mean; not a number without values."""
    return math.fsum(values) / len(values) if values else math.nan
