"""A run of the evaluation: what was found for every question, stored as JSON so that two runs can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from local.client import ToolError
from local.evaluate.recall import Answer

__all__ = ["AnsweredConversation", "Run"]


@dataclass(frozen=True, slots=True)
class AnsweredConversation:
    """One conversation and its answers."""

    name: str
    group: str
    answers: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class Run:
    """All conversations of a run, and how they were stored and asked."""

    conversations: Sequence[AnsweredConversation]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def answers(self) -> list[Answer]:
        """Those of all conversations."""
        return [answer for one in self.conversations for answer in one.answers]

    def groups(self) -> Iterator[tuple[str, list[AnsweredConversation]]]:
        """The conversations by group, in the order in which the groups first appear."""
        for name in dict.fromkeys(one.group for one in self.conversations):
            yield name, [one for one in self.conversations if one.group == name]

    def save(self, path: Path) -> None:
        """Write the run; raises ToolError if that fails."""
        answers = {
            one.name: {"group": one.group, "answers": [answer.as_object() for answer in one.answers]}
            for one in self.conversations
        }
        try:
            path.write_text(json.dumps({"about": dict(self.about), "conversations": answers}) + "\n", encoding="utf-8")
        except OSError as error:
            raise ToolError(f"{path} cannot be written: {error.strerror}") from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """The run that `save` wrote; raises ToolError that names the file and the fault."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            tested = [
                AnsweredConversation(name, str(one["group"]), [Answer.read(answer) for answer in one["answers"]])
                for name, one in raw["conversations"].items()
            ]
            return cls(tested, dict(raw["about"]))
        except OSError as error:
            raise ToolError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ToolError(f"{path} is no run that --save wrote: {type(error).__name__} {error}") from None
