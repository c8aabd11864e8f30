"""The table of a memory's fields, which storage, export, index, filters and answers all use.

A test compares the table with the dataclass `Memory`. docs/architecture.md ("Adding a field to a memory") lists the
other files that a new field needs, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
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
    """The type of a field. It decides how the field is written as JSON and how a filter compares it."""

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


#: The values that mean "no value" for the kinds where that is not None.
_EMPTY: Mapping[Kind, Callable[[], Any]] = {
    Kind.STRING: str,
    Kind.NUMBER: int,
    Kind.FLAG: bool,
    Kind.TEXTS: tuple,
    Kind.REFS: tuple,
    Kind.OBJECT: dict,
}


class Dialect(Flag):
    """The three interfaces. MCP uses the filters of the self-hosted dialect."""

    NONE = 0
    SELFHOSTED = auto()
    PLATFORM = auto()
    MCP = auto()
    ALL = SELFHOSTED | PLATFORM | MCP


@dataclass(frozen=True, slots=True)
class MemoryField:
    """One field, and what uses it."""

    name: str
    kind: Kind
    _: KW_ONLY
    #: Whether an erasure removes the value because it may reveal the memory's text.
    erased: bool
    #: Whether every memory has a value. `Memory` then has no default for it.
    required: bool = False
    #: False for a field that is computed from other fields.
    stored: bool = True
    #: False for a field that means nothing outside this ledger: exports leave it out.
    exported: bool = True
    #: The dialects in which an add may set it. It goes from the body to the job's request, and then to each memory.
    given: Dialect = Dialect.NONE
    #: Its text column in the index. A new column needs a new version in COLUMNS. A filter on a field without a column
    #: is applied only to the candidates that the index returned.
    column: str = ""
    #: The dialects whose filters may name it.
    filtered: Dialect = Dialect.NONE
    #: The dialects whose answers show it unchanged and under its own name. What a dialect shows in another form or
    #: under another name is in its serialize.py.
    label: Dialect = Dialect.NONE
    #: Whether it fills a property of the same name in a schema export (service/transfer/schema_shape.py).
    shaped: bool = False

    def empty(self) -> Any:
        """The value of the field when it has none."""
        make = _EMPTY.get(self.kind)
        return None if make is None else make()


_FILTERS = Dialect.SELFHOSTED | Dialect.PLATFORM

#: All fields in the order of the dataclass, which is their order in the lines of an export.
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
    # The same value as job_id, for filters: a filter by job_id has always meant a key of the metadata.
    MemoryField("source_job", Kind.STRING, erased=False, required=True, stored=False, filtered=_FILTERS),
    MemoryField("position", Kind.NUMBER, erased=False),
    MemoryField("metadata", Kind.OBJECT, erased=True, given=Dialect.ALL),
    MemoryField("role", Kind.TEXT, erased=False, column="role", filtered=_FILTERS, label=Dialect.ALL),
    MemoryField(
        "actor_id",
        Kind.TEXT,
        erased=True,
        column="actor_id",
        filtered=Dialect.SELFHOSTED,
        label=Dialect.SELFHOSTED | Dialect.PLATFORM,
    ),
    MemoryField(
        "attributed_to",
        Kind.TEXT,
        erased=False,
        column="attributed_to",
        filtered=_FILTERS,
        label=Dialect.SELFHOSTED | Dialect.PLATFORM,
    ),
    MemoryField("source_key", Kind.TEXT, erased=False, filtered=_FILTERS, label=Dialect.SELFHOSTED | Dialect.PLATFORM),
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
    # An event id that is a digest of the text is erased with it: see Memory.blanked.
    MemoryField("event_id", Kind.STRING, erased=False),
    MemoryField("erasures_before", Kind.NUMBER, erased=False, exported=False),
    # It would tell how long an erased text was. An import counts it anew.
    MemoryField("history_bytes", Kind.NUMBER, erased=True, exported=False),
)

#: The fields of the dataclass.
STORED = tuple(field for field in FIELDS if field.stored)
#: The fields that an add can set.
GIVEN = tuple(field for field in FIELDS if field.given)

#: The text columns of the index, by version. Never change a released version; add a new one. Milvus
#: cannot add a column to a collection, so a new version is a new generation of the index.
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


def given_fields(request: Mapping[str, Any], positions: Iterable[int] = ()) -> dict[str, Any]:
    """The fields that a job's request sets on a memory of the messages at these positions.

    Their attachments are noted in its metadata, unless the client has put something else there.
    """
    given = {field.name: request.get(field.name, field.empty()) for field in GIVEN}
    noted = request.get("attachments", {})
    attachments = [note for place in positions for note in noted.get(str(place), ())]
    if attachments:
        given["metadata"] = {"attachments": attachments, **given["metadata"]}
    return given


def labels(dialect: Dialect, *first: str, apart: Collection[str] = ()) -> tuple[str, ...]:
    """The fields that a dialect shows unchanged: `first` in the given order, then the others in the table's order.

    Fields in `apart` are left out, because the dialect shows them elsewhere.
    """
    others = [field.name for field in FIELDS if dialect in field.label and field.name not in {*first, *apart}]
    return (*first, *others)
