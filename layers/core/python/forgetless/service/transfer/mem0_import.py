"""Memories as mem0 writes them: items of its lists, and payloads of its vector stores (Qdrant, pgvector)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.memory import Event, EventKind, Memory, line_event_id
from forgetless.domain.scope import SCOPE_IDS, Scope
from forgetless.domain.times import timestamp

__all__ = ["foreign_event"]

#: Fields that address the memory, in lists and in payloads; `text_lemmatized` is mem0's index, `hash` the text's md5.
_KNOWN = frozenset(
    {
        *SCOPE_IDS, "id", "memory", "data", "hash", "created_at", "updated_at", "role", "actor_id", "attributed_to",
        "expiration_date", "categories", "metadata", "text_lemmatized", "score", "score_details", "event",
    }
)  # fmt: skip
#: What the index can hold.
_MAX_ID_BYTES = 255
_MAX_METADATA_CHARS = 64 * 1024
#: The namespace of the job that stands for an import, and of ids that are no UUIDs.
_IMPORTS = uuid.uuid5(uuid.NAMESPACE_URL, "https://mem0.ai/#import")


def foreign_event(tenant: str, record: Mapping[str, Any], *, now: str) -> Event:
    """The ADD of one memory; raises InvalidRequestError naming what is missing.

    `record` is an item of a list ({"id", "memory", …}) or a point ({"id", "payload": {"data", …}}). Ids, times,
    metadata, scope and text (and so the hash) stay as they are; times become UTC.
    """
    payload = record.get("payload")
    fields = {**payload, "id": record.get("id")} if isinstance(payload, Mapping) else dict(record)
    text = fields.get("memory", fields.get("data"))
    if not isinstance(text, str):
        raise InvalidRequestError("no text: expected memory, or payload.data")
    scope = Scope(tenant, **{name: _identifier(name, fields[name]) for name in SCOPE_IDS if fields.get(name)})
    if not scope.ids():
        raise InvalidRequestError(f"nobody's memory: expected one of {', '.join(SCOPE_IDS)}")
    created_at = _time("created_at", fields.get("created_at")) or now
    return Event(
        EventKind.ADD,
        Memory(
            id=_id(fields.get("id")),
            version=1,
            scope=scope,
            text=text,
            created_at=created_at,
            updated_at=_time("updated_at", fields.get("updated_at")) or created_at,
            job_id=str(_IMPORTS),
            metadata=_metadata(fields, in_payload=payload is not None),
            role=_word("role", fields),
            actor_id=_word("actor_id", fields),
            attributed_to=_word("attributed_to", fields),
            categories=_categories(fields.get("categories")),
            expiration_date=_day(_word("expiration_date", fields)),
            event_id=line_event_id(json.dumps(record, sort_keys=True, default=str).encode()),
        ),
    )


def _id(given: Any) -> str:
    if given is None or given == "":
        raise InvalidRequestError("no id")
    try:
        return str(uuid.UUID(str(given)))
    except ValueError:
        # Qdrant's ids may be whole numbers: the same one becomes the same UUID each time.
        return str(uuid.uuid5(_IMPORTS, str(given)))


def _identifier(name: str, given: Any) -> str:
    """As the API would take it: what the index cannot hold, or nobody could ask for, is refused."""
    word = str(given).strip()
    if not word or word == "*" or any(char.isspace() or not char.isprintable() for char in word):
        raise InvalidRequestError(f"{name}: {given!r} has white space or characters that no identifier may have")
    if len(word.encode()) > _MAX_ID_BYTES:
        raise InvalidRequestError(f"{name}: longer than {_MAX_ID_BYTES} bytes")
    return word


def _word(name: str, fields: Mapping[str, Any]) -> str | None:
    given = fields.get(name)
    if given is None or isinstance(given, str):
        return given or None
    raise InvalidRequestError(f"{name}: expected text")


def _categories(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, list) and all(isinstance(one, str) for one in given):
        return tuple(given)
    raise InvalidRequestError("categories: expected a list of text")


def _day(given: str | None) -> str | None:
    try:
        return given and date.fromisoformat(given[:10]).isoformat()
    except ValueError:
        raise InvalidRequestError(f"expiration_date: {given!r} is not a day YYYY-MM-DD") from None


def _time(name: str, given: Any) -> str | None:
    if given is None or given == "":
        return None
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError:
        raise InvalidRequestError(f"{name}: {given!r} is not a time in ISO 8601") from None
    return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _metadata(fields: Mapping[str, Any], *, in_payload: bool) -> dict[str, Any]:
    nested = fields.get("metadata")
    metadata = dict(nested) if isinstance(nested, Mapping) else {}
    if in_payload:  # a payload keeps metadata beside its own fields
        metadata |= {name: value for name, value in fields.items() if name not in _KNOWN}
    # The unscoped list of mem0's server lets its own fields through into metadata.
    metadata.pop("text_lemmatized", None)
    if len(json.dumps(metadata)) > _MAX_METADATA_CHARS:
        raise InvalidRequestError(f"metadata: more than {_MAX_METADATA_CHARS} characters of JSON")
    return metadata
