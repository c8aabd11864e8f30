"""Extraction: turns messages into facts with one LLM call. The reply is validated, and repaired at most once."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from forgetless.domain.errors import LlmReplyError
from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.ports.clock import Clock
from forgetless.ports.llm import ChatMessage, Completion, Llm
from forgetless.service.writing import prompts
from forgetless.service.writing.replies import InvalidReplyError, clean, json_of, text_of

__all__ = [
    "ExtractionRequest",
    "Fact",
    "ask_export",
    "ask_summary",
    "extract",
    "folded",
    "generate_instructions",
    "summarise_procedure",
]

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: The keys of a list of facts: ours, and those of mem0's prompts, which many models have learnt.
_KEYS = frozenset({"facts", "memory", "memories"})
#: The keys of the text of a fact, the likeliest first.
_TEXT_KEYS = ("text", "fact", "memory", "content")
#: What mem0's prompts call an entry that adds nothing.
_NO_FACT = frozenset({"NONE", "DELETE"})
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
        wanted=_gives_facts,
        shown=[message.content for message in (*request.messages, *request.recent)],
        deadline_s=deadline_s,
        clock=clock,
    )


def summarise_procedure(
    llm: Llm, messages: Sequence[Message], prompt: str | None, *, recorded: str = "", deadline_s: float
) -> str:
    """The steps of an agent's work as one text, for a procedural memory; a `prompt` replaces the default instructions.

    With `recorded`, the end of what was recorded of earlier messages, the text is its continuation. Raises
    LlmReplyError when the summary is empty or cut off, and what `Llm.complete` raises.
    """
    reply = llm.complete(prompts.procedure_messages(messages, prompt, recorded), deadline_s=deadline_s)
    return text_of(reply, whole=True)


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
        wanted=lambda value: isinstance(value, dict) and "custom_instructions" in value,
        shown=[use_case],
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
            raise InvalidReplyError("it is not a JSON object")
        return reply

    # The strict modes of LLMs refuse most schemas of clients, so the schema is part of the data, and any JSON object
    # is accepted as the reply.
    return _ask_json(
        llm,
        prompts.export_messages(memories, schema, instructions),
        schema_name="export",
        schema=None,
        read=read,
        wanted=lambda value: isinstance(value, dict),
        deadline_s=deadline_s,
        clock=clock,
    )


def ask_summary(llm: Llm, memories: Sequence[Memory], *, deadline_s: float) -> str:
    """What the memories say, in a few sentences. Raises the same errors as `summarise_procedure`."""
    reply = llm.complete(prompts.summary_messages(memories), deadline_s=deadline_s)
    return text_of(reply)


def _ask_json(
    llm: Llm,
    asked: list[ChatMessage],
    *,
    schema_name: str,
    schema: Mapping[str, Any] | None,
    read: Callable[[object], _T],
    wanted: Callable[[object], bool],
    shown: Sequence[str] = (),
    deadline_s: float,
    clock: Clock,
) -> _T:
    """The result of `read` for the reply's JSON. An invalid reply is shown to the LLM once, with what is wrong.

    For `wanted` and `shown` see `json_of`. A reply that was cut off is not shown again: it would be cut off again.
    """
    end = clock.monotonic() + deadline_s

    def ask(messages: Sequence[ChatMessage]) -> Completion:
        left = end - clock.monotonic()
        if left <= 0:
            raise TimeoutError("there is no time left to ask the LLM")
        return llm.complete(messages, schema_name=schema_name, schema=schema, deadline_s=left)

    reply = ask(asked)
    try:
        return read(json_of(reply, wanted=wanted, shown=shown))
    except InvalidReplyError as error:
        _log.warning("the LLM's reply is invalid, asking once more: %s", error)
        repair = prompts.repair_messages(asked, reply.text, str(error))
    try:
        return read(json_of(ask(repair), wanted=wanted, shown=shown))
    except InvalidReplyError as error:
        raise LlmReplyError(f"the LLM's reply is invalid after one repair: {error}") from error


def _facts(reply: object, request: ExtractionRequest) -> list[Fact]:
    entries = _entries(reply)
    if len(entries) > MOST_FACTS:
        raise InvalidReplyError(f"it has {len(entries)} facts; give the most important ones, at most {MOST_FACTS}")
    known = {folded(memory.text) for memory in request.existing}
    facts = []
    for number, entry in enumerate(entries, 1):
        fact = _fact(entry, number, request)
        if fact is not None and folded(fact.text) not in known:
            known.add(folded(fact.text))
            facts.append(fact)
    return facts


def _gives_facts(value: object) -> bool:
    """Whether a value that stands among other text can be the answer."""
    held = _holder(value)
    return isinstance(held, dict) or (isinstance(held, list) and all(map(_is_fact, held)))


def _holder(value: object) -> object:
    """The object with one of _KEYS that is the value, or its only member that has one; a list as it is; else None."""
    if isinstance(value, list) and len(value) == 1 and _has_key(value[0]):
        return value[0]
    if isinstance(value, dict) and not _has_key(value):
        holders = [member for member in value.values() if _has_key(member)]
        return holders[0] if len(holders) == 1 else None
    return value if isinstance(value, dict | list) else None


def _has_key(value: object) -> bool:
    return isinstance(value, dict) and not _KEYS.isdisjoint(value)


def _is_fact(entry: object) -> bool:
    return isinstance(entry, str) or (isinstance(entry, dict) and any(key in entry for key in _TEXT_KEYS))


def _entries(reply: object) -> list[object]:
    """The facts of the reply in the forms in which weak models give them: a list, one alone, or none."""
    held = _holder(reply)
    if isinstance(held, list):
        return held
    if not isinstance(held, dict):
        raise InvalidReplyError('the key "facts" is missing')
    key = next(key for key in ("facts", "memory", "memories") if key in held)
    given = held[key]
    if given is None:
        return []
    if isinstance(given, list):
        return given
    if not _is_fact(given):
        raise InvalidReplyError(f'its "{key}" is not a list')
    return [given]


def _fact(entry: object, number: int, request: ExtractionRequest) -> Fact | None:
    """The entry as a fact; None if its text is blank. Apart from the text, invalid values are ignored."""
    entry = {"text": entry} if isinstance(entry, str) else entry
    key = next((key for key in _TEXT_KEYS if key in entry), None) if isinstance(entry, dict) else None
    if key is None or not isinstance(entry, dict):
        raise InvalidReplyError(f'fact {number} is not an object with the key "text"')
    text = entry[key]
    if text is not None and not isinstance(text, str):
        raise InvalidReplyError(f'the "text" of fact {number} is not a string')
    if text is not None and len(text) > MOST_FACT_CHARS:
        raise InvalidReplyError(f'the "text" of fact {number} is longer than {MOST_FACT_CHARS} characters')
    if not (cleaned := clean(text or "")) or str(entry.get("event", "")).upper() in _NO_FACT:
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
        raise InvalidReplyError("it is not a JSON object")
    values = []
    for key in ("custom_instructions", "test_message"):
        value = reply.get(key)
        if not isinstance(value, str) or not value.strip():
            raise InvalidReplyError(f'the key "{key}" is missing or empty')
        values.append(clean(value))
    return values[0], values[1]


def folded(text: str) -> str:
    """The text for comparison with others: case and white space do not count."""
    return " ".join(text.split()).casefold()
