"""The filter AST: the meaning of a client's filter, independent of any store's query language."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from forgetless.domain.memory_fields import FIELDS, Dialect
from forgetless.domain.scope import SCOPE_IDS

__all__ = ["ATTRIBUTES", "EVERYTHING", "And", "Compare", "Field", "Filter", "Not", "Operator", "Or"]

#: Names that mean a field of the memory itself; every other name means a key of its metadata.
ATTRIBUTES = frozenset({*SCOPE_IDS, *(field.name for field in FIELDS if Dialect.SELFHOSTED in field.filtered)})


class Operator(StrEnum):
    """The operators of the grammar; EXISTS is the wildcard `*` (present and not null)."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    NIN = "nin"
    CONTAINS = "contains"
    ICONTAINS = "icontains"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the memory (`metadata` False, a name of ATTRIBUTES) or a top-level key of its metadata."""

    name: str
    metadata: bool = False


@dataclass(frozen=True, slots=True)
class Compare:
    """One condition. `value` is a JSON scalar, a tuple of scalars for IN and NIN, or None for EXISTS."""

    field: Field
    op: Operator
    value: Any = None


@dataclass(frozen=True, slots=True)
class And:
    """Matches when all `items` match; without items it matches everything."""

    items: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """Matches when any of `items` matches; without items it matches nothing."""

    items: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """Matches exactly when `item` does not, and so also where a key is absent."""

    item: Filter


Filter = Compare | And | Or | Not

#: The filter that matches everything.
EVERYTHING = And()
