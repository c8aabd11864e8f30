"""Rows: how a memory is stored in the collection, and in which form its values can be compared there.

Milvus Lite has no nulls, so an absent text is "". A row contains only the metadata that filters can compare (scalars).
If something had to be left out, `complete` is false; filters then let the row pass, and the evaluator decides.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from forgetless.adapters.index_milvus.word_columns import WordColumns
from forgetless.domain.errors import IndexRefusedError
from forgetless.domain.limits import INT64, MAX_MEMORY_ID_BYTES
from forgetless.domain.memory import Memory
from forgetless.domain.memory_fields import FIELDS, Kind
from forgetless.domain.moments import PastTimes
from forgetless.domain.recipe import is_same_vector
from forgetless.domain.scope import SCOPE_IDS
from forgetless.ports.index import IndexRow, PastMark

__all__ = [
    "COMPARED",
    "KEYED",
    "MADE_WITH",
    "MAX_KEY_BYTES",
    "PAST_TIMES",
    "TIMES",
    "is_literal",
    "is_same_row",
    "key_text",
    "mark_of",
    "past_columns",
    "pk_of",
    "row_of",
    "split_pk",
]

_COLUMNS = {field.name: field for field in FIELDS if field.column}
#: Times of fixed width, which sort as text.
TIMES = frozenset(name for name, field in _COLUMNS.items() if field.kind in {Kind.TIME, Kind.DAY})
#: Fields that are compared only for equality: the attribute and its column.
KEYED = {
    **{name: field.column for name, field in _COLUMNS.items() if name not in TIMES},
    **{name: name for name in SCOPE_IDS},
}
#: All fields that `row_of` writes, but for those of the words.
COMPARED = (
    "tenant",
    "pk",
    "version",
    *KEYED.values(),
    *sorted(TIMES),
    "categories",
    "metadata",
    "complete",
    "dense",
)

#: The further columns of the past: the times of PastTimes, and from how many messages of context the row was made.
PAST_TIMES = tuple(field.name for field in fields(PastTimes))
MADE_WITH = "made_with"
#: Its value where that is not known.
_MOVED = -1

#: Longer ids are stored as a digest, because a VARCHAR has a maximum length. A memory's own id must fit.
MAX_KEY_BYTES = MAX_MEMORY_ID_BYTES
MAX_CATEGORIES = 64
#: So much of metadata is in a row; beyond it the ledger judges. Milvus reads all of it for each condition of a filter.
MAX_METADATA_BYTES = 8192
MAX_METADATA_TEXT_BYTES = 1024

_DIGEST = "sha256:"
_NO_LITERAL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def is_literal(text: str) -> bool:
    """Whether a literal can contain the text in every version: it has no control characters or lone surrogates."""
    return _NO_LITERAL.search(text) is None


def key_text(value: str) -> str:
    """An id in the form that the index stores: itself, or a digest if it is too long or not possible as a literal."""
    fits = is_literal(value) and len(value.encode()) <= MAX_KEY_BYTES
    if fits and not value.startswith(_DIGEST):
        return value
    return _DIGEST + hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def pk_of(tenant: str, memory_id: str, version: int) -> str:
    """The primary key of one version of a memory. It contains the tenant, because Lite deletes by primary key alone."""
    return f"{memory_id}:{version}:{hashlib.sha256(tenant.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def split_pk(pk: str) -> tuple[str, int]:
    """The memory id and version in a primary key."""
    memory_id, version, _ = pk.rsplit(":", 2)
    return memory_id, int(version)


def row_of(row: IndexRow, words: WordColumns) -> dict[str, Any]:
    """The row in the form of the collection; raises IndexRefusedError for an id that a literal cannot contain."""
    memory = row.memory
    if key_text(memory.id) != memory.id:
        raise IndexRefusedError(f"a memory id must be printable and at most {MAX_KEY_BYTES} bytes long")
    metadata = dict(_comparable(memory.metadata))
    categories = [c for c in memory.categories if key_text(c) == c][:MAX_CATEGORIES]
    left_out = len(metadata) < _count_scalars(memory.metadata) or len(categories) < len(memory.categories)
    return {
        "tenant": key_text(memory.scope.tenant),
        "pk": pk_of(memory.scope.tenant, memory.id, memory.version),
        "version": memory.version,
        **{field: key_text(_attribute(memory, name)) for name, field in KEYED.items()},
        **{name: getattr(memory, name) or "" for name in TIMES},
        "categories": categories,
        "metadata": metadata,
        "complete": not left_out,
        "dense": list(row.vector),
        **words.values(row),
    }


def past_columns(mark: PastMark) -> dict[str, Any]:
    """What a row of the past holds besides."""
    return {**asdict(mark.times), MADE_WITH: _MOVED if mark.made_with is None else mark.made_with}


def mark_of(row: Mapping[str, Any]) -> PastMark:
    """The mark in the columns of such a row."""
    made_with = int(row[MADE_WITH])
    return PastMark(PastTimes(**{name: row[name] for name in PAST_TIMES}), None if made_with == _MOVED else made_with)


def is_same_row(one: Mapping[str, Any], other: Mapping[str, Any], words: WordColumns) -> bool:
    """Whether two rows, read or to be written, have the same content."""
    same = all(
        one[field] == other[field] for field in COMPARED if field in other and field not in {"categories", "dense"}
    )
    same = same and list(one["categories"]) == other["categories"] and words.is_same(one, other)
    return same and is_same_vector(one["dense"], other["dense"])


def _attribute(memory: Memory, name: str) -> str:
    return getattr(memory.scope if name in SCOPE_IDS else memory, name) or ""


def _comparable(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str | bool | int | float]]:
    """The scalars that a filter can address and compare, as many as fit into a row."""
    size = 0
    for name, value in metadata.items():
        if name and is_path(name) and _is_comparable(value):
            size += len(name.encode()) + len(str(value).encode()) + 8
            if size > MAX_METADATA_BYTES:
                return
            yield name, value


def is_path(name: str) -> bool:
    """Whether a filter expression can address this metadata key in every version."""
    return 0 < len(name) <= MAX_KEY_BYTES and is_literal(name) and not set(name) & {"[", "]"}


def _is_comparable(value: Any) -> bool:
    if isinstance(value, str):
        return is_literal(value) and len(value.encode()) <= MAX_METADATA_TEXT_BYTES
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and value in INT64


def _count_scalars(metadata: Mapping[str, Any]) -> int:
    return sum(isinstance(value, str | int | float) for value in metadata.values())
