"""The fields of a memory in one table, from which storing, exporting, indexing, filtering and answering take theirs.

A test compares the table with the dataclass `Memory`. docs/architecture.md ("Adding a field to a memory") says which
other files a new field needs, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass
from enum import Enum, Flag, auto
from typing import Any

__all__ = [
    "COLUMNS",
    "COLUMNS_VERSION",
    "FIELDS",
    "GIVEN",
    "STORED",
    "Dialect",
    "Kind",
    "MemoryField",
    "given_fields",
    "labels",
]


class Kind(Enum):
    """What a field holds, which decides how it is written as JSON and how a filter compares it."""

    #: Text that is never null.
    STRING = auto()
    #: Text or null.
    TEXT = auto()
    #: A timestamp (domain/times.py) or null.
    TIME = auto()
    #: A day `YYYY-MM-DD` or null.
    DAY = auto()
    NUMBER = auto()
    FLAG = auto()
    #: A tuple of texts.
    TEXTS = auto()
    #: A tuple of references to raw messages.
    REFS = auto()
    #: A JSON object.
    OBJECT = auto()
    #: The ids of the user, agent, app and run.
    SCOPE = auto()


#: What stands for "no value" where that is not None.
_EMPTY: Mapping[Kind, Callable[[], Any]] = {
    Kind.STRING: str,
    Kind.NUMBER: int,
    Kind.FLAG: bool,
    Kind.TEXTS: tuple,
    Kind.REFS: tuple,
    Kind.OBJECT: dict,
}


class Dialect(Flag):
    """The three interfaces. Filters of MCP are those of the self-hosted dialect."""

    NONE = 0
    SELFHOSTED = auto()
    PLATFORM = auto()
    MCP = auto()
    ALL = SELFHOSTED | PLATFORM | MCP


@dataclass(frozen=True, slots=True)
class MemoryField:
    """One field, and who reads it."""

    name: str
    kind: Kind
    _: KW_ONLY
    #: Whether an erasure removes the value because it may tell what the memory said.
    erased: bool
    #: Whether every memory has a value, so that `Memory` has no default for it.
    required: bool = False
    #: False for what is computed from other fields.
    stored: bool = True
    #: Where an add may set it: it goes from the body into the job's request, and from there to each memory.
    given: Dialect = Dialect.NONE
    #: Its text column in the index. A new column needs a new version in COLUMNS. A filter on a field without a column
    #: is applied only to what the index has found.
    column: str = ""
    #: Where a filter may name it.
    filtered: Dialect = Dialect.NONE
    #: Where answers show it as it is, under its own name. What a dialect shows in a form or under a name of its own
    #: is written out in its serialize.py.
    label: Dialect = Dialect.NONE
    #: Whether a property of a schema export (service/transfer/schema_shape.py) with this name gets it.
    shaped: bool = False

    def empty(self) -> Any:
        """What the field holds when it has no value."""
        make = _EMPTY.get(self.kind)
        return None if make is None else make()


_FILTERS = Dialect.SELFHOSTED | Dialect.PLATFORM

#: In the order of the dataclass, which is the order of an export's lines.
FIELDS = (
    MemoryField(
        "id",
        Kind.STRING,
        erased=False,
        required=True,
        column="memory_id",
        filtered=Dialect.SELFHOSTED,
        shaped=True,
    ),
    MemoryField(
        "hash", Kind.STRING, erased=True, required=True, stored=False, column="hash", filtered=Dialect.SELFHOSTED
    ),
    MemoryField("version", Kind.NUMBER, erased=False, required=True),
    MemoryField("scope", Kind.SCOPE, erased=False, required=True),
    MemoryField("text", Kind.STRING, erased=True, required=True, shaped=True),
    MemoryField(
        "created_at",
        Kind.TIME,
        erased=False,
        required=True,
        column="created_at",
        filtered=_FILTERS,
        shaped=True,
    ),
    MemoryField(
        "updated_at",
        Kind.TIME,
        erased=False,
        required=True,
        column="updated_at",
        filtered=_FILTERS,
        shaped=True,
    ),
    MemoryField("job_id", Kind.STRING, erased=False, required=True),
    MemoryField("position", Kind.NUMBER, erased=False),
    MemoryField("metadata", Kind.OBJECT, erased=True, given=Dialect.ALL),
    MemoryField("role", Kind.TEXT, erased=False, column="role", filtered=Dialect.SELFHOSTED, label=Dialect.ALL),
    MemoryField(
        "actor_id",
        Kind.TEXT,
        erased=False,
        column="actor_id",
        filtered=Dialect.SELFHOSTED,
        label=Dialect.SELFHOSTED | Dialect.PLATFORM,
    ),
    MemoryField(
        "attributed_to",
        Kind.TEXT,
        erased=False,
        column="attributed_to",
        filtered=Dialect.SELFHOSTED,
        label=Dialect.SELFHOSTED | Dialect.PLATFORM,
    ),
    MemoryField("categories", Kind.TEXTS, erased=True, filtered=_FILTERS, shaped=True),
    MemoryField(
        "expiration_date",
        Kind.DAY,
        erased=False,
        given=Dialect.ALL,
        column="expiration_date",
        filtered=_FILTERS,
        label=Dialect.ALL,
    ),
    MemoryField("extracted", Kind.FLAG, erased=False),
    MemoryField("context", Kind.REFS, erased=True),
    MemoryField("sources", Kind.REFS, erased=True),
    MemoryField("superseded_by", Kind.TEXT, erased=False, label=Dialect.SELFHOSTED | Dialect.MCP),
    MemoryField("deleted", Kind.FLAG, erased=False),
    MemoryField("immutable", Kind.FLAG, erased=False, given=Dialect.PLATFORM, label=Dialect.PLATFORM),
    MemoryField("recorded_at", Kind.TIME, erased=False),
    # An event id that is a digest of the words goes with them: see Memory.blanked.
    MemoryField("event_id", Kind.STRING, erased=False),
)

#: The fields of the dataclass.
STORED = tuple(field for field in FIELDS if field.stored)
#: The fields that an add can set.
GIVEN = tuple(field for field in FIELDS if field.given)

#: The text columns of the index, by version: never change a version that was released, add the next one. Milvus
#: cannot add a column to a collection, so a new version means a new collection, which a reindex fills.
COLUMNS: Mapping[int, tuple[str, ...]] = {
    1: (
        "memory_id",
        "hash",
        "created_at",
        "updated_at",
        "role",
        "actor_id",
        "attributed_to",
        "expiration_date",
    ),
}
COLUMNS_VERSION = max(COLUMNS)


def given_fields(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a job's request says of each memory that comes of it, by field."""
    return {field.name: request.get(field.name, field.empty()) for field in GIVEN}


def labels(dialect: Dialect, *first: str, apart: Collection[str] = ()) -> tuple[str, ...]:
    """The fields that a dialect shows as they are: `first` in its own order, then the others of the table.

    Those `apart` are left out: the dialect shows them at another place.
    """
    others = [field.name for field in FIELDS if dialect in field.label and field.name not in {*first, *apart}]
    return (*first, *others)
