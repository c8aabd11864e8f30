"""The ids that the `filters` of an add name: whose memory it is, as clients of the Platform's version 3 say it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from forgetless.domain.errors import FilterError
from forgetless.domain.identifiers import id_text
from forgetless.domain.scope import SCOPE_IDS

__all__ = ["ids_of_add"]

_ONLY = 'filters of an add say whose memory it is, by equality alone, such as {"user_id": "alice"}'


def ids_of_add(filters: Mapping[str, Any], beside: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """The ids of an add: those in `filters`, flat or in one AND, and those `beside` it, in the order of `names`.

    A null is left out. What an id may contain is judged later. Raises FilterError for any other condition, because it
    would say nothing of what is stored, for an id that is not among `names`, and for an id that has two values.
    """
    found = dict(beside)
    for name, value in _equalities(filters):
        if name not in names:
            raise FilterError(f"{_ONLY}; here, {name} is none of them: {', '.join(names)}")
        if not _same(found.setdefault(name, value), value):
            raise FilterError(f"{name}: filters name another one than the rest of the request; name one")
    return {name: found[name] for name in names if name in found}


def _equalities(filters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    groups = [filters]
    if "AND" in filters:
        items = filters["AND"]
        if not isinstance(items, list) or not all(isinstance(item, Mapping) and "AND" not in item for item in items):
            raise FilterError(f'{_ONLY} or in one list of AND, such as {{"AND": [{{"user_id": "alice"}}]}}')
        groups += items
    for group in groups:
        for name, condition in group.items():
            if name == "AND" or condition is None:
                continue
            yield name, _value(name, condition)


def _value(name: str, condition: Any) -> str:
    if name not in SCOPE_IDS:
        raise FilterError(f"{_ONLY}; leave out {name!r}")
    value = condition["eq"] if isinstance(condition, Mapping) and set(condition) == {"eq"} else condition
    value = id_text(value)
    if not isinstance(value, str):
        raise FilterError(f"{name}: {_ONLY}, and a value is a text or a whole number")
    return value


def _same(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one.strip()) == unicodedata.normalize("NFC", other.strip())
