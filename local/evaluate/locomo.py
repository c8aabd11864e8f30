"""Reads files in LoCoMo's format: the turns of a conversation, and questions with the turns that answer them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from local.client import ToolError

__all__ = ["Conversation", "Question", "Turn", "read_conversation"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a speaker."""

    id: str
    session: int
    session_time: str
    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the ids of the turns that answer it."""

    text: str
    category: int
    evidence: frozenset[str]


@dataclass(frozen=True, slots=True)
class Conversation:
    """The content of one file."""

    name: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]

    @property
    def speakers(self) -> tuple[str, ...]:
        """Return the speakers, in the order of their first turns."""
        return tuple(dict.fromkeys(turn.speaker for turn in self.turns))

    def sessions(self) -> list[list[Turn]]:
        """Return the turns in order, one list for each session."""
        return [list(turns) for _, turns in groupby(self.turns, key=lambda turn: turn.session)]


def read_conversation(path: Path) -> Conversation:
    """Read one file; raises ToolError that names the file and the fault. Questions without evidence are left out."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        turns = tuple(_turn(raw) for raw in found["turns"])
        questions = tuple(_question(raw) for raw in found["questions"] if raw.get("evidence"))
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolError(
            f"{path} is not in LoCoMo's format (turns, questions): {type(error).__name__} {error}"
        ) from None
    known = {turn.id for turn in turns}
    for question in questions:
        if not question.evidence <= known:
            raise ToolError(f"{path}: evidence {sorted(question.evidence - known)} names no turn of the file")
    return Conversation(path.stem, turns, questions)


def _turn(raw: Mapping[str, Any]) -> Turn:
    return Turn(
        str(raw["id"]), int(raw["session"]), str(raw.get("session_time", "")), str(raw["speaker"]), str(raw["text"])
    )


def _question(raw: Mapping[str, Any]) -> Question:
    return Question(str(raw["question"]), int(raw.get("category", 0)), frozenset(map(str, raw["evidence"])))
