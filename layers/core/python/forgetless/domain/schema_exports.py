"""Exports to a JSON schema: the documents that hold their requests, how long these are kept, and whom they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, product
from typing import Any

from forgetless.domain.erasures import Target
from forgetless.domain.errors import FilterError
from forgetless.domain.filters.parse_platform import parse_platform_filter
from forgetless.domain.identifiers import id_text, spellings
from forgetless.domain.retention import DAY_S
from forgetless.domain.scope import SCOPE_IDS, Scope

__all__ = ["ACCEPTED", "EXPORT", "KEPT_S", "is_about", "scopes_named"]

#: The kind of these documents.
EXPORT = "export"
#: Seconds after which the request of an export is removed.
KEPT_S = 30 * DAY_S
#: The key in its body with the tenant's last erasure when the request was accepted; earlier versions have none.
ACCEPTED = "erasures_before"

_MOST_SCOPES = 1000


def is_about(targets: Iterable[Target], filters: Any) -> bool:
    """Whether the filters name a target: one of its ids in a field of this name, or any id of one of its names.

    Filters that cannot be read may mean anything. They name each text and number that stands in them.
    """
    if not _is_readable(filters):
        words = set(_words(filters))
        return any(_is_whole(one) or not words.isdisjoint((*one.ids.values(), *one.names)) for one in targets)
    named = set(_pairs(filters))
    names = {name for name, _ in named}
    return any(
        _is_whole(one) or not named.isdisjoint(one.ids.items()) or not names.isdisjoint(one.names) for one in targets
    )


def scopes_named(filters: Any, tenant: str) -> Iterator[Scope]:
    """The scopes that an erasure may have had that the filters name, at most 1,000 of them."""
    named: dict[str, list[str | None]] = {}
    for name, value in _pairs(filters):
        if value:
            named.setdefault(name, [None]).append(value)
    for values in islice(product(*named.values()), _MOST_SCOPES):
        yield Scope(tenant, **{name: value for name, value in zip(named, values, strict=True) if value})


def _is_whole(target: Target) -> bool:
    return not target.ids and not target.names


def _is_readable(filters: Any) -> bool:
    try:
        parse_platform_filter(filters)
    except FilterError:
        return False
    return True


def _pairs(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The fields of ids in the filters, with each value that stands in them, as ids are spelled."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _pairs(inner, key if key in SCOPE_IDS else name)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner, name)
    elif name and isinstance(text := id_text(value), str):
        for spelled in _spelled(text):
            yield name, spelled


def _words(value: Any) -> Iterator[str]:
    """Each key, text and number."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _spelled(str(key))
            yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)
    elif isinstance(text := id_text(value), str):
        yield from _spelled(text)


def _spelled(text: str) -> Iterator[str]:
    """What the filter compares an id with may have spaces around it, or another normal form."""
    return iter(dict.fromkeys((text, *spellings(text.strip()))))
