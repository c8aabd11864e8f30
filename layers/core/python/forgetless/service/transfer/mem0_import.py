"""Import of mem0's memories: items of its lists, and payloads of its vector stores (Qdrant, pgvector)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.identifiers import id_text, new_identifier
from forgetless.domain.memory import Event, EventKind, Memory, line_event_id
from forgetless.domain.scope import SCOPE_IDS, Scope
from forgetless.domain.spoken import known_role
from forgetless.domain.times import timestamp

__all__ = ["foreign_event", "given_text", "given_time"]

#: The fields that are not metadata, in lists and in payloads. `text_lemmatized` serves mem0's search; `hash` is the MD5
#: of the text.
_KNOWN = frozenset(
    {
        *SCOPE_IDS, "id", "memory", "data", "hash", "created_at", "updated_at", "role", "actor_id", "attributed_to",
        "expiration_date", "categories", "metadata", "text_lemmatized", "score", "score_details", "event",
    }
)  # fmt: skip
_MAX_METADATA_CHARS = 64 * 1024
#: The id of the job that stands for all imports, and the namespace for ids that are not UUIDs.
_IMPORTS = uuid.uuid5(uuid.NAMESPACE_URL, "https://mem0.ai/#import")


def foreign_event(tenant: str, record: Mapping[str, Any], *, now: str, most_chars: int) -> Event:
    """The ADD event of one memory; raises InvalidRequestError, which names the field that is missing or invalid.

    `record` is an item of a list ({"id", "memory", …}) or a point ({"id", "payload": {"data", …}}). Id, metadata, scope
    and text (and so its hash) stay as they are. Times are converted to UTC; `now` is used if there is none. A text of
    more than `most_chars`, which no request could store, is refused.
    """
    payload = record.get("payload")
    fields = {**payload, "id": record.get("id")} if isinstance(payload, Mapping) else dict(record)
    name = "memory" if "memory" in fields else "data"
    text = given_text(name, fields.get(name), most_chars)
    scope = Scope(tenant, **{name: _scope_id(name, fields[name]) for name in SCOPE_IDS if fields.get(name)})
    if not scope.ids():
        expected = f"expected at least one of {', '.join(SCOPE_IDS)}"
        raise InvalidRequestError(f"the scope is missing: {expected}; `forgetless import --user ID` gives a user")
    created_at = given_time("created_at", fields.get("created_at")) or now
    return Event(
        EventKind.ADD,
        Memory(
            id=_id(fields.get("id")),
            version=1,
            scope=scope,
            text=text,
            created_at=created_at,
            updated_at=given_time("updated_at", fields.get("updated_at")) or created_at,
            job_id=str(_IMPORTS),
            metadata=_metadata(fields, in_payload=payload is not None),
            role=_role(fields),
            actor_id=_word("actor_id", fields),
            attributed_to=_word("attributed_to", fields),
            categories=_categories(fields.get("categories")),
            expiration_date=_day(_word("expiration_date", fields)),
            immutable=_immutable(fields, in_payload=payload is not None),
            event_id=line_event_id(json.dumps(record, sort_keys=True, default=str).encode()),
        ),
    )


def given_text(name: str, text: Any, most_chars: int) -> str:
    """The text; raises InvalidRequestError for what no request could store."""
    if text is None:
        raise InvalidRequestError("the text is missing: expected memory, or payload.data")
    if not isinstance(text, str):
        raise InvalidRequestError(f"{name}: expected a text")
    if len(text) > most_chars:
        raise InvalidRequestError(f"the text has {len(text)} characters; at most {most_chars} are allowed")
    _check_unicode(name, text)
    return text


def _check_unicode(name: str, value: Any) -> None:
    """Raise InvalidRequestError for a value, a text or JSON, with half of a surrogate pair, as an add does."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidRequestError(f"{name}: it contains half of a surrogate pair, which is no character") from None


def _scope_id(name: str, given: Any) -> str:
    if isinstance(id_text(given), str):
        return new_identifier(name, given)
    raise InvalidRequestError(f"{name}: expected a text or a whole number")


def _id(given: Any) -> str:
    if given is None or given == "":
        raise InvalidRequestError("id: it is missing")
    if not isinstance(given, str | int) or isinstance(given, bool):
        raise InvalidRequestError("id: expected a text or a whole number")
    try:
        return str(uuid.UUID(str(given)))
    except ValueError:
        pass
    try:
        # Ids in Qdrant may be whole numbers. The same number always becomes the same UUID.
        return str(uuid.uuid5(_IMPORTS, str(given)))
    except UnicodeEncodeError:
        raise InvalidRequestError(f"id: {given!r} has a lone surrogate, which is no character") from None


def _word(name: str, fields: Mapping[str, Any]) -> str | None:
    given = fields.get(name)
    if given is None or isinstance(given, str):
        _check_unicode(name, given)
        return given or None
    raise InvalidRequestError(f"{name}: expected a string")


def _role(fields: Mapping[str, Any]) -> str | None:
    """The role under the name that an add gives it."""
    given = _word("role", fields)
    return given and (known_role(given) or given)


def _categories(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, list) and all(isinstance(one, str) for one in given):
        _check_unicode("categories", given)
        return tuple(given)
    raise InvalidRequestError("categories: expected a list of strings")


def _immutable(fields: Mapping[str, Any], *, in_payload: bool) -> bool:
    given = None if in_payload else fields.get("immutable")  # in a payload, it would be metadata
    if given is None or isinstance(given, bool):
        return bool(given)
    raise InvalidRequestError("immutable: expected true or false")


def _day(given: str | None) -> str | None:
    try:
        return given and date.fromisoformat(given[:10]).isoformat()
    except ValueError:
        raise InvalidRequestError(f"expiration_date: {given!r} is not a date of the form YYYY-MM-DD") from None


def given_time(name: str, given: Any) -> str | None:
    """The time in UTC, in the form that is stored; None if there is none."""
    if given is None or given == "":
        return None
    try:
        moment = datetime.fromisoformat(str(given))
        return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise InvalidRequestError(f"{name}: {given!r} is not a time in ISO 8601") from None


def _metadata(fields: Mapping[str, Any], *, in_payload: bool) -> dict[str, Any]:
    nested = fields.get("metadata") or {}
    if not isinstance(nested, Mapping):
        raise InvalidRequestError("metadata: expected an object")
    metadata = dict(nested)
    if in_payload:  # in a payload, metadata is on the same level as mem0's own fields
        metadata |= {name: value for name, value in fields.items() if name not in _KNOWN}
    # When mem0's server lists memories of all scopes, this field of its own appears in the metadata.
    metadata.pop("text_lemmatized", None)
    _check_unicode("metadata", metadata)
    if len(json.dumps(metadata)) > _MAX_METADATA_CHARS:
        raise InvalidRequestError(f"metadata: it has more than {_MAX_METADATA_CHARS} characters as JSON")
    return metadata
