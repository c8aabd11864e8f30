"""Adds and changes of memories: turns the body of a request, in any dialect, into a checked request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Protocol

from fastapi import Header

from forgetless.api.field_checks import check_expiration_date, check_filters, check_metadata
from forgetless.api.json_response import json_bytes
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.filters.add_ids import ids_of_add
from forgetless.domain.limits import ADD_BYTES
from forgetless.domain.memory import Memory
from forgetless.domain.memory_fields import GIVEN, Dialect
from forgetless.domain.scope import Scope
from forgetless.service.requests import AddRequest, IncomingMessage, UpdateRequest

__all__ = [
    "IfMatch",
    "add_request",
    "check_no_if_match",
    "check_something_changes",
    "etag",
    "expected_versions",
    "ids_of",
    "update_request",
]

#: The request header If-Match; None if it was not sent.
IfMatch = Annotated[str | None, Header()]

#: The fields of an add whose values are checked here; pydantic has already checked the types of all fields.
_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "metadata": check_metadata,
    "expiration_date": check_expiration_date,
}
_ENTITY_TAG = re.compile(r'\s*(?:"(\d{1,18})"|(\d{1,18}))\s*')


class AddBody(Protocol):
    """The body of an add in every dialect; further fields follow from the table of fields."""

    metadata: dict[str, Any] | None
    expiration_date: str | None


class ScopedBody(Protocol):
    """The body of an add whose `filters` may name ids, as fields of the body do."""

    filters: dict[str, Any] | None


def ids_of(body: ScopedBody, names: tuple[str, ...]) -> dict[str, str]:
    """The ids that the body names, as they are given, in its fields and in `filters`; raises InvalidRequestError."""
    beside = {name: value for name in names if (value := getattr(body, name)) is not None}
    if not body.filters:
        return beside
    check_filters(body.filters)
    return ids_of_add(body.filters, beside, names)


def add_request(
    dialect: Dialect,
    body: AddBody,
    scope: Scope,
    messages: Iterable[IncomingMessage],
    *,
    infer: bool,
    source_key: str | None,
) -> AddRequest:
    """The part of an add that all dialects share; raises InvalidRequestError, which names the field that is wrong.

    Messages without text are left out: there is nothing in them to remember, and nothing to ask an LLM about.
    """
    given = {}
    for field in GIVEN:
        value = getattr(body, field.name) if dialect in field.given else None
        if value is not None:
            check = _CHECKS.get(field.name)
            given[field.name] = value if check is None else check(value)
    said = tuple(message for message in messages if message.content.strip())
    size = len(json_bytes(given["metadata"])) * len(said) if "metadata" in given else 0
    if size > ADD_BYTES:
        raise InvalidRequestError(
            f"metadata: each of the {len(said)} messages stores it, {size} bytes together; at most {ADD_BYTES} are "
            "allowed: send fewer messages or less metadata."
        )
    return AddRequest(scope, said, infer, source_key=source_key, **given)


def update_request(
    tenant: str,
    memory_id: str,
    *,
    text: str | None,
    metadata: Mapping[str, Any] | None,
    expiration_date: str | None,
    clear_expiration: bool = False,
    source_key: str | None,
    versions: frozenset[int] | None = None,
) -> UpdateRequest:
    """An update; what is None stays as it is. Raises InvalidRequestError, which names the field that is wrong."""
    if text is not None and not text.strip():
        raise InvalidRequestError("text must not be empty; to remove the memory, delete it.")
    return UpdateRequest(
        tenant=tenant,
        memory_id=memory_id,
        text=text,
        metadata=None if metadata is None else check_metadata(metadata, merges=True),
        expiration_date=None if expiration_date is None else check_expiration_date(expiration_date),
        clear_expiration=clear_expiration,
        source_key=source_key,
        expected_versions=versions,
    )


def check_something_changes(request: UpdateRequest, message: str) -> UpdateRequest:
    """The request; raises InvalidRequestError with the dialect's own message if it names no change."""
    if request.changes_nothing:
        raise InvalidRequestError(message)
    return request


def expected_versions(if_match: str | None) -> frozenset[int] | None:
    """The versions in If-Match; None if any is allowed (no header, or `*`). Raises InvalidRequestError for others."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = [_ENTITY_TAG.fullmatch(tag) for tag in if_match.split(",")]
    if not all(found):
        raise InvalidRequestError('If-Match: give the version that you read, in quotes, for example "3".')
    return frozenset(int(tag[1] or tag[2]) for tag in found if tag is not None)


def check_no_if_match(if_match: str | None) -> None:
    """Raise InvalidRequestError if a batch has If-Match: it cannot apply to many memories, and must not be ignored."""
    if if_match is not None:
        raise InvalidRequestError("If-Match: a batch cannot use it; change the memories one by one.")


def etag(memory: Memory) -> dict[str, str]:
    """The header ETag with the memory's version, for a later If-Match."""
    return {"ETag": f'"{memory.version}"'}
