"""Extraction: turns messages into facts with one LLM call. The reply is validated, and repaired at most once."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from forgetless.domain.errors import LlmReplyError
from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.ports.clock import Clock
from forgetless.ports.llm import ChatMessage, Llm
from forgetless.service.writing import prompts

__all__ = [
    "ExtractionRequest",
    "Fact",
    "ask_export",
    "ask_summary",
    "extract",
    "generate_instructions",
    "summarise_procedure",
]

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_THOUGHT = re.compile(r"^.*</think>", re.DOTALL)
_FENCE = "```"
_FENCED_LANGUAGE = re.compile(r"[\w-]*")
#: A reply with more facts is invalid: all facts of an add are stored in one transaction.
MOST_FACTS = 500
#: The most characters of one fact. Facts are single sentences.
MOST_FACT_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class ExtractionRequest:
    """The input of an extraction.

    Facts are extracted from `messages`. `existing` are the nearest live memories. `recent` are the earlier messages,
    which only help to understand the new ones. `now` is a timestamp. `instructions` come from the application. `agent`
    says that the scope has an agent and no user.
    """

    messages: Sequence[Message]
    existing: Sequence[Memory]
    recent: Sequence[Message]
    now: str
    instructions: str | None
    agent: bool
    #: The categories that the LLM may choose from, name to description. If empty, it is not asked for categories.
    categories: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fact:
    """One extracted statement.

    `attributed_to` is user, assistant or None. `supersedes` are the ids of existing memories that it makes untrue.
    """

    text: str
    attributed_to: str | None = None
    supersedes: tuple[str, ...] = ()
    sources: tuple[MessageRef, ...] = ()
    categories: tuple[str, ...] = ()


class _InvalidReplyError(Exception):
    """A reply of the wrong form. The message tells the LLM what is wrong and quotes nothing of the reply."""


def extract(llm: Llm, request: ExtractionRequest, *, deadline_s: float, clock: Clock) -> list[Fact]:
    """The facts of the new messages, from one LLM call and, if its reply is invalid, a second call to repair it.

    A fact that repeats an existing memory or another fact word for word is left out. Both calls together take at most
    `deadline_s` seconds. Raises LlmReplyError when the second reply is invalid too, and what `Llm.complete` raises.
    """
    if not request.messages:
        return []
    asked = prompts.extraction_messages(
        request.messages,
        request.existing,
        request.recent,
        now=request.now,
        instructions=request.instructions,
        agent=request.agent,
        categories=request.categories,
    )
    return _ask_json(
        llm,
        asked,
        schema_name="facts",
        schema=prompts.facts_schema(request.categories),
        read=lambda reply: _facts(reply, request),
        deadline_s=deadline_s,
        clock=clock,
    )


def summarise_procedure(llm: Llm, messages: Sequence[Message], prompt: str | None, *, deadline_s: float) -> str:
    """The steps of an agent's work as one text, for a procedural memory; a `prompt` replaces the default instructions.

    Raises LlmReplyError when the summary is empty, and what `Llm.complete` raises.
    """
    reply = llm.complete(prompts.procedure_messages(messages, prompt), deadline_s=deadline_s)
    summary = _clean(_THOUGHT.sub("", reply))
    if not summary:
        raise LlmReplyError("the LLM's summary is empty")
    return summary


def generate_instructions(llm: Llm, use_case: str, *, deadline_s: float, clock: Clock) -> tuple[str, str]:
    """Custom instructions and a test message for the application that `use_case` describes.

    Raises the same errors as `extract`.
    """
    return _ask_json(
        llm,
        prompts.instructions_messages(use_case),
        schema_name="instructions",
        schema=prompts.INSTRUCTIONS_SCHEMA,
        read=_instructions,
        deadline_s=deadline_s,
        clock=clock,
    )


def ask_export(
    llm: Llm,
    memories: Sequence[Memory],
    schema: Mapping[str, Any],
    instructions: str | None,
    *,
    deadline_s: float,
    clock: Clock,
) -> Any:
    """What the memories say, as a JSON object for `schema`. Raises the same errors as `extract`."""

    def read(reply: object) -> object:
        if not isinstance(reply, dict):
            raise _InvalidReplyError("it is not a JSON object")
        return reply

    # The strict modes of LLMs refuse most schemas of clients, so the schema is part of the data, and any JSON object
    # is accepted as the reply.
    return _ask_json(
        llm,
        prompts.export_messages(memories, schema, instructions),
        schema_name="export",
        schema=None,
        read=read,
        deadline_s=deadline_s,
        clock=clock,
    )


def ask_summary(llm: Llm, memories: Sequence[Memory], *, deadline_s: float) -> str:
    """What the memories say, in a few sentences. Raises the same errors as `summarise_procedure`."""
    reply = llm.complete(prompts.summary_messages(memories), deadline_s=deadline_s)
    summary = _clean(_THOUGHT.sub("", reply))
    if not summary:
        raise LlmReplyError("the LLM's summary is empty")
    return summary


def _ask_json(
    llm: Llm,
    asked: list[ChatMessage],
    *,
    schema_name: str,
    schema: Mapping[str, Any] | None,
    read: Callable[[object], _T],
    deadline_s: float,
    clock: Clock,
) -> _T:
    """The result of `read` for the reply's JSON. An invalid reply is shown to the LLM once, with what is wrong."""
    end = clock.monotonic() + deadline_s

    def ask(messages: Sequence[ChatMessage]) -> str:
        left = end - clock.monotonic()
        if left <= 0:
            raise TimeoutError("there is no time left to ask the LLM")
        return llm.complete(messages, schema_name=schema_name, schema=schema, deadline_s=left)

    reply = ask(asked)
    try:
        return read(_parse(reply))
    except _InvalidReplyError as error:
        _log.warning("the LLM's reply is invalid, asking once more: %s", error)
        repair = prompts.repair_messages(asked, reply, str(error))
    try:
        return read(_parse(ask(repair)))
    except _InvalidReplyError as error:
        raise LlmReplyError(f"the LLM's reply is invalid after one repair: {error}") from error


def _parse(reply: str) -> object:
    """The reply as JSON: the whole reply, or else what follows a <think> block, or else what is in a code fence."""
    thoughtless = _THOUGHT.sub("", reply)
    for text in (reply, thoughtless, _fenced(thoughtless)):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            continue
    raise _InvalidReplyError("it is empty" if not reply.strip() else "it is not JSON")


def _fenced(text: str) -> str:
    """What is in the first code fence, without the name of its language; empty without a fence."""
    inner, closed, _ = text.partition(_FENCE)[2].partition(_FENCE)
    return _FENCED_LANGUAGE.sub("", inner, count=1) if closed else ""


def _facts(reply: object, request: ExtractionRequest) -> list[Fact]:
    if not isinstance(reply, dict):
        raise _InvalidReplyError('it is not a JSON object with the key "facts"')
    entries = reply.get("facts")
    if not isinstance(entries, list):
        raise _InvalidReplyError('its "facts" is not a list' if "facts" in reply else 'the key "facts" is missing')
    if len(entries) > MOST_FACTS:
        raise _InvalidReplyError(f"it has {len(entries)} facts; give the most important ones, at most {MOST_FACTS}")
    known = {_fold(memory.text) for memory in request.existing}
    facts = []
    for number, entry in enumerate(entries, 1):
        fact = _fact(entry, number, request)
        if fact is not None and _fold(fact.text) not in known:
            known.add(_fold(fact.text))
            facts.append(fact)
    return facts


def _fact(entry: object, number: int, request: ExtractionRequest) -> Fact | None:
    """The entry as a fact; None if its text is blank. Apart from the text, invalid values are ignored."""
    if not isinstance(entry, dict) or "text" not in entry:
        raise _InvalidReplyError(f'fact {number} is not an object with the key "text"')
    text = entry["text"]
    if text is not None and not isinstance(text, str):
        raise _InvalidReplyError(f'the "text" of fact {number} is not a string')
    if text is not None and len(text) > MOST_FACT_CHARS:
        raise _InvalidReplyError(f'the "text" of fact {number} is longer than {MOST_FACT_CHARS} characters')
    if not (cleaned := _clean(text or "")):
        return None
    said_by = entry.get("attributed_to")
    superseded = _numbers(entry.get("supersedes"), len(request.existing))
    sources = _numbers(entry.get("sources"), len(request.messages))
    if len(request.messages) == 1:
        sources = [1]
    return Fact(
        text=cleaned,
        attributed_to=said_by if said_by in ("user", "assistant") else None,
        supersedes=tuple(request.existing[position - 1].id for position in superseded),
        sources=tuple(request.messages[position - 1].ref for position in sources),
        categories=_categories(entry.get("categories"), request.categories),
    )


def _categories(value: object, known: Mapping[str, str]) -> tuple[str, ...]:
    """The known categories in a list, each once; everything else in it is ignored."""
    entries = value if isinstance(value, list) else []
    return tuple(dict.fromkeys(entry for entry in entries if isinstance(entry, str) and entry in known))


def _numbers(value: object, highest: int) -> list[int]:
    """The numbers from 1 to `highest` in a list, each once and in order; everything else in it is ignored."""
    entries = value if isinstance(value, list) else []
    numbers = dict.fromkeys(number for entry in entries if (number := _number(entry)) is not None)
    return [number for number in numbers if 1 <= number <= highest]


def _number(entry: object) -> int | None:
    if isinstance(entry, bool):
        return None
    if isinstance(entry, float):
        return int(entry) if entry.is_integer() else None
    if isinstance(entry, str):
        return int(entry) if re.fullmatch(r"[0-9]{1,6}", entry.strip()) else None
    return entry if isinstance(entry, int) else None


def _instructions(reply: object) -> tuple[str, str]:
    if not isinstance(reply, dict):
        raise _InvalidReplyError("it is not a JSON object")
    values = []
    for key in ("custom_instructions", "test_message"):
        value = reply.get(key)
        if not isinstance(value, str) or not value.strip():
            raise _InvalidReplyError(f'the key "{key}" is missing or empty')
        values.append(_clean(value))
    return values[0], values[1]


def _clean(text: str) -> str:
    """The text without white space at its ends and without lone surrogates, which no store can encode."""
    return text.encode("utf-8", "replace").decode("utf-8").strip()


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()
