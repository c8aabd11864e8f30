"""Checks imported memories and jobs: every field has the type and form that an add would give it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.identifiers import named_identifier
from forgetless.domain.jobs import LLM_CALLS, RETRIED, Job, JobState
from forgetless.domain.limits import (
    INT64,
    MAX_IMPORTED_BYTES,
    MAX_IMPORTED_JOB_CHARS,
    MAX_IMPORTED_MESSAGES,
    MAX_IMPORTED_RESULTS,
    MAX_IMPORTED_VALUES,
    MAX_MEMORY_ID_BYTES,
    MAX_WORD_CHARS,
    RequestLimits,
)
from forgetless.domain.memory import MEMORY_ID, Memory, Message, MessageRef
from forgetless.domain.memory_fields import GIVEN, STORED, Kind
from forgetless.domain.metadata import count_values, metadata_bytes
from forgetless.domain.times import timestamp

__all__ = ["check_imported", "check_imported_job", "check_imported_messages", "kept_request"]

#: Control characters and lone surrogates, which no filter of the index can name.
_NO_ID = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
#: How the index marks ids that it stores as digests.
_DIGEST = "sha256:"
#: The most characters of an error.
_MOST_ERROR = 20_000
#: The numbers of calls of the LLM that a long add may need.
_MOST_CALLS = range(1_000_000)
_SMALL = f"at most {MAX_IMPORTED_BYTES:,} bytes of JSON, and {MAX_IMPORTED_VALUES:,} keys and list entries"
#: The most levels of an object. Requests may have fewer, but earlier versions may have stored more.
_MAX_DEPTH = 100


def check_imported(memory: Memory, *, most_chars: int, most_sources: int = 1000) -> None:
    """Raise InvalidRequestError, which names the field, if the memory could never be stored or indexed.

    Its text has at most `most_chars` characters, and it comes from at most `most_sources` messages.
    """
    for field in STORED:
        value = getattr(memory, field.name)
        check, expected = _CHECKS[field.kind]
        if value is None and field.empty() is None and not field.required:
            continue
        if field.kind is Kind.SCOPE and _is_nobodys(memory):
            continue
        if not check(value):
            raise InvalidRequestError(f"memory.{field.name}: expected {expected}")
        most = most_sources if field.kind is Kind.REFS else _MOST.get(field.kind)
        if field.name != "text" and most is not None and len(value) > most:
            raise InvalidRequestError(f"memory.{field.name}: expected {expected}, at most {most:,} long")
    if sum(map(len, memory.categories)) > MAX_IMPORTED_BYTES:
        raise InvalidRequestError(f"memory.categories: expected at most {MAX_IMPORTED_BYTES:,} characters in all")
    if len(memory.text) > most_chars:
        raise InvalidRequestError(
            f"memory.text: it has {len(memory.text):,} characters; at most {most_chars:,} are imported, or more if "
            "FORGETLESS_MAX_MESSAGE_CHARS allows it"
        )
    if not _is_small(memory.metadata):
        raise InvalidRequestError(f"memory.metadata: expected {_SMALL}")
    if memory.version < 1:
        raise InvalidRequestError("memory.version: expected 1 or more")
    unusable = _NO_ID.search(memory.id) or memory.id.startswith(_DIGEST) or not memory.id
    if unusable or len(memory.id.encode()) > MAX_MEMORY_ID_BYTES:
        raise InvalidRequestError(
            f"memory.id: expected 1 to {MAX_MEMORY_ID_BYTES} bytes without control characters, not beginning "
            f"with {_DIGEST}; the index cannot hold another id"
        )


def check_imported_job(job: Job, messages: Sequence[Message], *, prompt_chars: int, message_chars: int) -> None:
    """Raise InvalidRequestError, which names the field, if the job or a message could not be shown or run later.

    What is to run has no instruction to the LLM of more than `prompt_chars` characters, as that of a request, and asks
    for nothing that a request cannot ask for. No message has more than `message_chars`.
    """
    for name, check, expected, value in _job_values(job):
        if not check(value):
            raise InvalidRequestError(f"job.{name}: expected {expected}")
    if job.state is not JobState.SUCCEEDED:
        _check_asked(job.request, prompt_chars)
    if not job.finished and not any(message.scope == job.scope for message in messages):
        raise InvalidRequestError("messages: expected one of the scope of the job, which has not ended")
    for message in messages:
        for name, check, expected, value in _message_values(message):
            if not check(value):
                raise InvalidRequestError(f"messages.{name}: expected {expected}")
        if len(message.content) > message_chars:
            raise InvalidRequestError(
                f"messages.content: it has {len(message.content):,} characters; at most {message_chars:,} are "
                "imported, or more if FORGETLESS_MAX_MESSAGE_CHARS allows it"
            )
        if job.state is not JobState.SUCCEEDED:
            _check_speaker(message)


def check_imported_messages(messages: Sequence[Message], limits: RequestLimits) -> None:
    """Raise InvalidRequestError if a job has too many messages, or they are too long together."""
    if len(messages) > (count := max(limits.messages, MAX_IMPORTED_MESSAGES)):
        raise InvalidRequestError(
            f"messages: the job has {len(messages):,}; at most {count:,} are imported, or more if "
            "FORGETLESS_MAX_MESSAGES allows it"
        )
    if (chars := sum(len(message.content) for message in messages)) > MAX_IMPORTED_JOB_CHARS:
        raise InvalidRequestError(
            f"messages: the job's messages have {chars:,} characters together; at most {MAX_IMPORTED_JOB_CHARS:,} are "
            "imported"
        )


def kept_request(job: Job) -> Mapping[str, Any]:
    """What the ledger keeps of the request of an imported add that may run here: no more than this ledger can use.

    The message of a queue elsewhere cannot be shown here. What calls of the LLM have given is left out, because who
    wrote the file may have made it up: they are made again.
    """
    kept = {name: value for name, value in job.request.items() if name in {*_INSTRUCTIONS, *_ASKED}}
    trace = job.request.get(_TRACE)
    if isinstance(trace, list) and len(trace) == 2 and all(map(_is_id, trace)):
        kept[_TRACE] = trace
    if (calls := job.llm_calls) is not None and calls[1] in _MOST_CALLS:
        kept[LLM_CALLS] = {"done": 0, "left": calls[1], "context": None, "refused": False, "calls": []}
    return kept


def _check_speaker(message: Message) -> None:
    for name in ("role", "name"):
        if len(getattr(message, name) or "") > MAX_WORD_CHARS:
            raise InvalidRequestError(f"messages.{name}: expected at most {MAX_WORD_CHARS} characters")


def _check_asked(request: Mapping[str, Any], prompt_chars: int) -> None:
    """What the add asked for steers a worker and the LLM here: each field has the type that a request gives it.

    Workers that serve all tenants read it again and again, so it has the bounds of a request, too.
    """
    unknown = next((name for name in request if name not in _KNOWN), None)
    if unknown is not None:
        raise InvalidRequestError(
            f"job.request.{unknown[:MAX_WORD_CHARS]}: this Forgetless knows no such field; a later one wrote the file"
        )
    for name in _INSTRUCTIONS:
        value = request.get(name)
        if not (value is None or (isinstance(value, str) and len(value) <= prompt_chars)):
            raise InvalidRequestError(
                f"job.request.{name}: expected a text of at most {prompt_chars:,} characters, or null"
            )
    for name, (check, expected) in _ASKED.items():
        if not _absent_or(check)(request.get(name)):
            raise InvalidRequestError(f"job.request.{name}: expected {expected}, or null")
        value = request.get(name)
        if isinstance(value, Mapping) and not _is_small(value):
            raise InvalidRequestError(f"job.request.{name}: expected {_SMALL}")


_Values = Iterator[tuple[str, Callable[[Any], bool], str, Any]]


def _job_values(job: Job) -> _Values:
    yield "id", _is_uuid, "a UUID, from which the ids of its memories are made", job.id
    if job.scope.ids() or job.request or not job.finished:  # what was erased is nobody's
        yield "scope", *_CHECKS[Kind.SCOPE], job.scope
    for name in ("created_at", "updated_at"):
        yield name, *_CHECKS[Kind.TIME], getattr(job, name)
    for name in ("started_at", "completed_at", "lease_until"):
        yield name, _absent_or(_is_time), f"{_CHECKS[Kind.TIME][1]}, or null", getattr(job, name)
    for name in ("lease_owner", "error"):
        expected = f"a text of at most {_MOST_ERROR:,} characters, or null"
        yield (
            name,
            _absent_or(lambda value: _is_text(value) and len(value) <= _MOST_ERROR),
            expected,
            getattr(job, name),
        )
    yield "attempts", lambda value: _is_number(value) and value >= 0, "a whole number from 0 on", job.attempts
    yield "request", *_CHECKS[Kind.OBJECT], job.request
    expected = f"a list of at most {MAX_IMPORTED_RESULTS:,} objects, each with the id of a memory"
    yield "results", _are_results, expected, job.results


def _message_values(message: Message) -> _Values:
    yield "position", *_CHECKS[Kind.NUMBER], message.ref.position
    yield "scope", *_CHECKS[Kind.SCOPE], message.scope
    for name in ("role", "content"):
        yield name, _is_text, "a text", getattr(message, name)
    yield "created_at", *_CHECKS[Kind.TIME], message.created_at
    yield "name", _absent_or(_is_text), "a text or null", message.name


def _is_nobodys(memory: Memory) -> bool:
    """Whether the line is of a deleted memory, which has neither content nor the ids of whose it was."""
    return not memory.scope.ids() and (memory.deleted or not (memory.text or memory.metadata or memory.categories))


def _absent_or(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_MEMORY_ID_BYTES and not _NO_ID.search(value)


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and MEMORY_ID.fullmatch(value) is not None


def _are_results(value: Any) -> bool:
    return len(value) <= MAX_IMPORTED_RESULTS and all(_is_object(one) and _is_id(one.get("id")) for one in value)


def _is_object(value: Any) -> bool:
    """Whether it is an object that every store can hold: not too deep, and with finite numbers."""
    if not isinstance(value, Mapping):
        return False
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        inner = [one.values() if isinstance(one, Mapping) else one for one in level]
        level = [item for items in inner for item in items if isinstance(item, Mapping | list | float)]
        if not all(math.isfinite(item) for item in level if isinstance(item, float)):
            return False
        level = [item for item in level if not isinstance(item, float)]
        if not level:
            return True
    return False


def _is_small(value: Mapping[str, Any]) -> bool:
    return count_values(value) <= MAX_IMPORTED_VALUES and metadata_bytes(value) <= MAX_IMPORTED_BYTES


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_WORD_CHARS


def _is_object_of(check: Callable[[Any], bool], value: Any) -> bool:
    return _is_object(value) and all(map(check, value.values()))


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_object, value))


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and timestamp(datetime.fromisoformat(value)) == value
    except (ValueError, OverflowError):
        return False


def _is_day(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in INT64


def _are_texts(value: Any) -> bool:
    return isinstance(value, tuple) and all(map(_is_text, value))


def _are_refs(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(ref, MessageRef) and _is_text(ref.job_id) and _is_number(ref.position) for ref in value
    )


def _is_scope(value: Any) -> bool:
    return bool(value.ids()) and all(map(_is_named, value.ids().values()))


def _is_named(value: Any) -> bool:
    """Whether a request can name the id. An export keeps old spellings: its lines are what was stored."""
    try:
        return bool(named_identifier("id", value) == value)
    except InvalidRequestError:
        return False


_CHECKS: Mapping[Kind, tuple[Callable[[Any], bool], str]] = {
    Kind.STRING: (_is_text, "a text"),
    Kind.TEXT: (_is_text, "a text or null"),
    Kind.TIME: (_is_time, "a time of the form 2026-01-31T12:00:00.000000+00:00"),
    Kind.DAY: (_is_day, "a date of the form YYYY-MM-DD"),
    Kind.NUMBER: (_is_number, "a whole number of at most 64 bits"),
    Kind.FLAG: (lambda value: isinstance(value, bool), "true or false"),
    Kind.TEXTS: (_are_texts, "a list of texts"),
    Kind.REFS: (_are_refs, "a list of pairs of a job's id and a position"),
    Kind.OBJECT: (_is_object, f"an object of at most {_MAX_DEPTH} levels with finite numbers"),
    Kind.SCOPE: (_is_scope, "at least one of user_id, agent_id, app_id and run_id, as texts that a request can name"),
}

#: The most characters, or entries of a list. Each source is a row, all of them are written in one transaction.
_MOST: Mapping[Kind, int] = {Kind.STRING: 20_000, Kind.TEXT: 20_000, Kind.TEXTS: 1000}

#: What an add may ask for in its own words.
_INSTRUCTIONS = ("prompt", "agent_prompt", "includes", "excludes")
#: The other fields of an add's request that this version reads; of `llm_calls` it reads what has its own form.
_ASKED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **{field.name: _CHECKS[field.kind] for field in GIVEN},
    "memory_type": (_is_short, f"a text of at most {MAX_WORD_CHARS} characters"),
    "source_key": (_is_id, "the id of a key"),
    "categorised": _CHECKS[Kind.FLAG],
    "categories": (lambda value: _is_object_of(_is_text, value), "an object of texts"),
    "attachments": (lambda value: _is_object_of(_are_objects, value), "an object of lists of objects"),
    RETRIED: (lambda value: _is_object_of(_is_id, value), "an object of texts without control characters"),
}
#: The request's trace, and what a held add notes of its message in the queue.
_TRACE, _RECEIPT = "trace", "receipt"
#: All names that any version has written.
_KNOWN = frozenset({*_INSTRUCTIONS, *_ASKED, LLM_CALLS, _TRACE, _RECEIPT})
