"""Checks an imported memory: every field has the type and form that ledger and index need, as an add would give it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import INT64, MAX_MEMORY_ID_BYTES
from forgetless.domain.memory import Memory, MessageRef
from forgetless.domain.memory_fields import STORED, Kind
from forgetless.domain.times import timestamp

__all__ = ["check_imported"]

#: Control characters and lone surrogates, which no filter of the index can name.
_NO_ID = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
#: How the index marks ids that it stores as digests.
_DIGEST = "sha256:"


def check_imported(memory: Memory) -> None:
    """Raise InvalidRequestError, which names the field, if the memory could never be stored or indexed."""
    for field in STORED:
        value = getattr(memory, field.name)
        check, expected = _CHECKS[field.kind]
        if value is None and field.empty() is None and not field.required:
            continue
        if not check(value):
            raise InvalidRequestError(f"memory.{field.name}: expected {expected}")
    unusable = _NO_ID.search(memory.id) or memory.id.startswith(_DIGEST) or not memory.id
    if unusable or len(memory.id.encode()) > MAX_MEMORY_ID_BYTES:
        raise InvalidRequestError(
            f"memory.id: expected 1 to {MAX_MEMORY_ID_BYTES} bytes without control characters, not beginning "
            f"with {_DIGEST}; the index cannot hold another id"
        )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


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
    return bool(value.ids()) and all(map(_is_text, value.ids().values()))


_CHECKS: Mapping[Kind, tuple[Callable[[Any], bool], str]] = {
    Kind.STRING: (_is_text, "a text"),
    Kind.TEXT: (_is_text, "a text or null"),
    Kind.TIME: (_is_time, "a time of the form 2026-01-31T12:00:00.000000+00:00"),
    Kind.DAY: (_is_day, "a date of the form YYYY-MM-DD"),
    Kind.NUMBER: (_is_number, "a whole number of at most 64 bits"),
    Kind.FLAG: (lambda value: isinstance(value, bool), "true or false"),
    Kind.TEXTS: (_are_texts, "a list of texts"),
    Kind.REFS: (_are_refs, "a list of pairs of a job's id and a position"),
    Kind.OBJECT: (lambda value: isinstance(value, Mapping), "an object"),
    Kind.SCOPE: (_is_scope, "at least one of user_id, agent_id, app_id and run_id, as texts"),
}
