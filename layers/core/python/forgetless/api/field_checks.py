"""Checks that pydantic cannot express: identifiers, metadata and dates. Each error names the field and the fix."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from fastapi import Query
from pydantic import AfterValidator, BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError
from starlette.datastructures import QueryParams

from forgetless.domain.errors import FilterError, InvalidRequestError, NotFoundError
from forgetless.domain.filters.parse_common import MAX_DEPTH, TOO_DEEP
from forgetless.domain.identifiers import named_identifier, new_identifier
from forgetless.domain.limits import INT64
from forgetless.domain.metadata import check_metadata_size
from forgetless.domain.moments import Moment
from forgetless.domain.scope import SCOPE_IDS
from forgetless.domain.times import read_time
from forgetless.ports.named_ids import note_id

__all__ = [
    "ENTITY_IDS",
    "Cursor",
    "Number",
    "Text",
    "Whole",
    "check_all_named",
    "check_expiration_date",
    "check_filters",
    "check_identifier",
    "check_identifiers",
    "check_ids_once",
    "check_json",
    "check_metadata",
    "check_moment",
    "check_named",
    "check_time",
    "check_trailing_slash",
    "check_unicode",
    "no_truth",
]

#: The parameter of every paged list that says where the page begins.
Cursor = Annotated[str | None, Query(max_length=4096)]
#: The identifiers of the self-hosted dialect.
ENTITY_IDS = ("user_id", "agent_id", "run_id")
#: The most levels of JSON in metadata.
_MAX_DEPTH = 20
#: The same for filters: a level of AND is an object and a list, and the innermost one may have metadata with a list.
#: How deeply AND, OR and NOT may nest is judged by the parsers.
_MAX_FILTER_DEPTH = 2 * MAX_DEPTH + 4

#: These keys are removed from metadata, which must not suggest whose memory it is.
_IDENTITY_KEYS = frozenset({*ENTITY_IDS, "app_id", "actor_id"})
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def check_identifier(name: str, value: Any) -> str:
    """The identifier under which something is stored; raises InvalidRequestError, see `new_identifier`."""
    return note_id(name, new_identifier(name, value))


def check_identifiers(**given: str | None) -> dict[str, str]:
    """The identifiers that were given, checked. An empty one is an error, because ignoring it would widen the scope."""
    return {name: check_identifier(name, value) for name, value in given.items() if value is not None}


def check_named(name: str, value: Any) -> str:
    """The identifier of what a request reads or erases, as it is spelled there; see `named_identifier`."""
    return note_id(name, named_identifier(name, value))


def check_all_named(**given: str | None) -> dict[str, str]:
    """The same for all identifiers that were given."""
    return {name: check_named(name, value) for name, value in given.items() if value is not None}


def check_expiration_date(value: str) -> str:
    """The date, unchanged; raises InvalidRequestError unless it is a date `YYYY-MM-DD`."""
    try:
        if _DATE.fullmatch(value):
            date.fromisoformat(value)
            return value
    except ValueError:
        pass
    raise InvalidRequestError("Invalid expiration_date: it must be a date in the form YYYY-MM-DD.")


def check_metadata(metadata: Mapping[str, Any], *, merges: bool = False) -> dict[str, Any]:
    """The metadata without identity keys; raises InvalidRequestError if it cannot be stored.

    If it `merges` with what a memory has, its values are counted there: what an earlier version stored may come back.
    """
    kept = {key: value for key, value in metadata.items() if key not in _IDENTITY_KEYS}
    check_json("metadata", kept)
    check_metadata_size(kept, merges=merges)
    return kept


def check_filters(filters: Mapping[str, Any]) -> None:
    """Raise InvalidRequestError unless a parser can read the filter and every store can hold its values."""
    if _deeper(filters, _MAX_FILTER_DEPTH):
        raise FilterError(TOO_DEEP)
    _check_values("filters", filters)


def check_ids_once(query: QueryParams) -> None:
    """Raise InvalidRequestError if a query has one of the scope ids twice: only one of them would count."""
    for name in SCOPE_IDS:
        if (times := len(query.getlist(name))) > 1:
            raise InvalidRequestError(f"{name}: the query has it {times} times; give it once.")


def check_json(path: str, value: Any) -> None:
    """Raise InvalidRequestError unless every store can hold the value; checks its depth, its text and its numbers."""
    if _deeper(value, _MAX_DEPTH):
        raise InvalidRequestError(f"{path} nests deeper than {_MAX_DEPTH} levels; flatten it.")
    _check_values(path, value)


def _deeper(value: Any, most: int) -> bool:
    """Whether objects and lists nest deeper than this."""
    level = [value]
    for _ in range(most + 1):
        inner = [one.values() if isinstance(one, Mapping) else one for one in level if isinstance(one, Mapping | list)]
        level = [item for items in inner for item in items]
    return bool(level)


def _check_values(path: str, value: Any) -> None:
    if isinstance(value, str):
        check_unicode(path, value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequestError(f"{path}: numbers must be finite.")
    elif isinstance(value, int) and value not in INT64:
        raise InvalidRequestError(f"{path}: whole numbers must lie within 64 bits.")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_unicode(path, key)
            _check_values(f"{path}.{key}", item)
    elif isinstance(value, list):
        for item in value:
            _check_values(path, item)


def check_moment(as_of: str | None, known_at: str | None) -> Moment | None:
    """The requested moment in the past, None for the present; raises InvalidRequestError for an invalid time."""
    if as_of is None and known_at is None:
        return None
    return Moment(check_time("as_of", as_of), check_time("known_at", known_at))


def check_trailing_slash(id_: str) -> None:
    """Raise NotFoundError for an id from a path that ends with a slash; call it if nothing was found under the id.

    The slash was probably meant to end the path. The client must not conclude that the memory does not exist.
    """
    if id_.endswith("/"):
        raise NotFoundError(f"Not Found: there is nothing under {id_!r}. Paths here end without a slash.")


def check_time(name: str, value: str | None) -> str | None:
    """The timestamp of a day or a time; raises InvalidRequestError for anything else."""
    try:
        return None if value is None else read_time(value)
    except ValueError:
        raise InvalidRequestError(
            f"Invalid {name}: it must be a day YYYY-MM-DD or a time like 2026-05-01T12:00:00Z."
        ) from None


def check_unicode(name: str, text: str) -> None:
    """Raise InvalidRequestError for text that UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequestError(f"{name}: it contains half of a surrogate pair; send valid Unicode.") from None


def no_truth(wanted: str) -> BeforeValidator:
    """The refusal of true and false where something else is `wanted`: pydantic would take true for 1."""

    def checked(value: Any) -> Any:
        if isinstance(value, bool):
            raise PydanticCustomError("no_truth", f"Input should be {wanted}, not true or false")
        return value

    return BeforeValidator(checked)


Whole = Annotated[int, no_truth("a whole number")]
Number = Annotated[float, no_truth("a number")]


def _checked(value: str, info: ValidationInfo) -> str:
    check_unicode(info.field_name or "text", value)
    return value


#: A string without lone surrogates, which JSON can express and UTF-8 cannot. In any field, they are answered with 400.
Text = Annotated[str, AfterValidator(_checked)]
