"""Reads conversations in our own format: JSON lines, one for each header, session, turn and question.

{"conversation": "allotment", "group": "chats", "form": "chat", "asked": "2025-09-01"}    begins a conversation
{"at": "2025-01-08T19:20"}                          begins a session; times count as UTC
{"user": "…"} or {"assistant": "…"}                 a turn; its id is its number within the conversation, from 1
{"user": "…", "name": "Ann"}                        the same with the speaker's name
{"user": "…", "facts": ["…", "…"]}                  in the form "facts": what an extraction makes of it; the ids of
                                                    facts are their numbers within the conversation
{"q": "…", "kind": "multi-hop", "evidence": [12]}   a question
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, get_args

from local.client import ToolError
from local.evaluate.conversations import Conversation, Fact, Form, Question, Turn, checked

__all__ = ["read_chats", "read_time"]

_ROLES = ("user", "assistant")


@dataclass(slots=True)
class _Draft:
    """A conversation that is being read."""

    header: Mapping[str, Any]
    turns: list[Turn] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    session: int = 0
    time: datetime | None = None
    facts: int = 0

    def take(self, line: Mapping[str, Any]) -> None:
        """Add what the line says; raises KeyError and the like for another format."""
        if "at" in line:
            self.session, self.time = self.session + 1, read_time(line["at"])
        elif "q" in line:
            evidence = frozenset(map(str, line["evidence"]))
            self.questions.append(Question(str(line["q"]), str(line["kind"]), evidence))
        else:
            self._turn(line)

    def _turn(self, line: Mapping[str, Any]) -> None:
        role = next(role for role in _ROLES if role in line)
        facts = []
        for text in line.get("facts", ()):
            self.facts += 1
            facts.append(Fact(str(self.facts), str(text)))
        number, name = str(len(self.turns) + 1), str(line.get("name", ""))
        self.turns.append(Turn(number, self.session, self.time, role, name, str(line[role]), tuple(facts)))

    def done(self, source: str) -> Conversation:
        """The conversation; raises ToolError if it is not complete."""
        name, form = str(self.header["conversation"]), self.header.get("form", "chat")
        if form not in get_args(Form):
            raise ToolError(f"{source}: {name}: the form must be one of {', '.join(get_args(Form))}")
        asked = self.header.get("asked")
        conversation = Conversation(
            name,
            tuple(self.turns),
            tuple(self.questions),
            group=str(self.header.get("group", source)),
            form=form,
            asked_at=None if asked is None else read_time(asked),
        )
        return checked(conversation, f"{source}: {name}")


def read_chats(lines: Iterable[str], source: str) -> list[Conversation]:
    """The conversations of a file; raises ToolError that names the line at fault."""
    drafts: list[_Draft] = []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            if "conversation" in line:
                drafts.append(_Draft(line))
            else:
                drafts[-1].take(line)
        except (ValueError, KeyError, TypeError, IndexError, StopIteration) as error:
            raise ToolError(
                f"{source}, line {number} is neither header, session, turn nor question: {type(error).__name__} {error}"
            ) from None
    return [draft.done(source) for draft in drafts]


def read_time(text: str) -> datetime:
    """The time of ISO-8601 text, which counts as UTC without an offset; raises ValueError."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
