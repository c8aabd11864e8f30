"""The cases of the extraction's evaluation: conversations, what is remembered already, and what should come of them.

A statement is described by words: one of the alternatives of each group must begin a word of it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.scope import Scope
from forgetless.domain.times import timestamp
from forgetless.service.writing.extraction import ExtractionRequest
from local.client import ToolError
from local.evaluate.chats import read_time

__all__ = ["CASES", "Case", "Expected", "Statement", "read_cases"]

CASES = Path(__file__).with_name("cases.jsonl")


@dataclass(frozen=True, slots=True)
class Statement:
    """The groups of alternatives by which a statement is recognised."""

    groups: tuple[tuple[str, ...], ...]

    def fits(self, text: str) -> bool:
        """Whether the text makes this statement."""
        folded = _folded(text)
        return all(any(_begins_word(word, folded) for word in group) for group in self.groups)


@dataclass(frozen=True, slots=True)
class Expected:
    """A fact that must be extracted, and the numbers of the memories that it makes untrue."""

    says: Statement
    supersedes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One conversation."""

    name: str
    language: str
    request: ExtractionRequest
    facts: tuple[Expected, ...]
    #: What may be extracted, and what must not be.
    optional: tuple[Statement, ...]
    never: tuple[Statement, ...]

    @property
    def superseded(self) -> frozenset[int]:
        """The numbers of all memories that should be superseded."""
        return frozenset(number for fact in self.facts for number in fact.supersedes)

    def numbers(self, ids: Sequence[str]) -> frozenset[int]:
        """The numbers of these memories."""
        return frozenset(number for number, memory in enumerate(self.request.existing, 1) if memory.id in ids)


def read_cases(path: Path = CASES) -> list[Case]:
    """The cases of a file, one a line; raises ToolError that names the line at fault."""
    cases = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        try:
            cases.append(_case(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ToolError(f"{path}, line {number} is no case: {type(error).__name__} {error}") from None
    return cases


def _case(raw: dict[str, Any]) -> Case:
    name, at = str(raw["case"]), timestamp(read_time(raw["at"]))
    scope = Scope("eval", agent_id="robin") if raw.get("agent") else Scope("eval", user_id="someone")
    messages = [
        Message(MessageRef(name, place), scope, role, text, at, *said_by)
        for place, (role, text, *said_by) in enumerate(raw["messages"])
    ]
    known = [
        Memory(f"{name}-{place}", 1, scope, text, at, at, name, role="user", attributed_to="user")
        for place, text in enumerate(raw.get("known", ()), 1)
    ]
    request = ExtractionRequest(messages, known, (), at, None, bool(raw.get("agent")))
    facts = tuple(Expected(_statement(one["says"]), tuple(one.get("supersedes", ()))) for one in raw["facts"])
    if any(not 1 <= number <= len(known) for fact in facts for number in fact.supersedes):
        raise ValueError(f"{name} supersedes a memory that it does not have")
    optional, never = (tuple(map(_statement, raw.get(key, ()))) for key in ("optional", "never"))
    return Case(name, str(raw["language"]), request, facts, optional, never)


def _statement(groups: Sequence[Sequence[str]]) -> Statement:
    return Statement(tuple(tuple(_folded(word) for word in group) for group in groups))


def _begins_word(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}", text) is not None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
