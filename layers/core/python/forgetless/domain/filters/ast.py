"""The filter AST: what a client's filter means, before any store expresses it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from forgetless.domain.memory_fields import FIELDS, Dialect
from forgetless.domain.scope import SCOPE_IDS

__all__ = ["ATTRIBUTES", "EVERYTHING", "And", "Compare", "Field", "Filter", "Not", "Operator", "Or"]

#: Names that address the memory itself; every other name addresses its metadata.
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
    """One condition; `value` is a JSON scalar, a tuple of them for IN and NIN, None for EXISTS."""

    field: Field
    op: Operator
    value: Any = None


@dataclass(frozen=True, slots=True)
class And:
    """All of `items`; none means everything."""

    items: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """Any of `items`; none means nothing."""

    items: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """Not `item`: the exact complement, so it matches where a key is absent."""

    item: Filter


Filter = Compare | And | Or | Not

#: The filter that lets everything pass.
EVERYTHING = And()
