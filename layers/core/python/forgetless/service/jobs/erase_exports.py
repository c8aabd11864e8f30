"""Removes the requests of schema exports that are about something erased: their filters, words and schema name it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

from forgetless.domain.erasures import Erasure, Target
from forgetless.domain.identifiers import id_text, spellings
from forgetless.domain.schema_exports import EXPORT
from forgetless.domain.scope import SCOPE_IDS, Scope
from forgetless.ports.request_ledger import DocumentStore

__all__ = ["erase_exports", "has_exports", "scopes_named"]

_PAGE = 100
_MOST_SCOPES = 1000


def has_exports(ledger: DocumentStore, tenant: str) -> bool:
    """Whether the tenant has requests of exports: then there may be many, and a job looks through them."""
    return ledger.count_documents(tenant, EXPORT, limit=1) > 0


def erase_exports(ledger: DocumentStore, erasure: Erasure, cursor: str | None) -> str | None:
    """Remove those of one page whose filters name an id of the erasure; returns the cursor of the next page.

    An erasure of a whole tenant takes all of them, and one of any value of an id takes those that name such an id.
    """
    found, following = ledger.documents(erasure.tenant, EXPORT, limit=_PAGE, cursor=cursor)
    for document in found:
        named = list(_pairs(document.body.get("filters")))
        if any(_is_about(target, named) for target in erasure.targets):
            ledger.delete_document(erasure.tenant, EXPORT, document.id)
    return following


def scopes_named(filters: Any, tenant: str) -> Iterator[Scope]:
    """The scopes that an erasure may have had that the filters of an export name, at most 1,000 of them."""
    named: dict[str, list[str | None]] = {}
    for name, value in _pairs(filters):
        if name in SCOPE_IDS and value:
            named.setdefault(name, [None]).append(value)
    for values in islice(product(*named.values()), _MOST_SCOPES):
        yield Scope(tenant, **{name: value for name, value in zip(named, values, strict=True) if value})


def _is_about(target: Target, named: list[tuple[str, str]]) -> bool:
    if not target.ids and not target.names:
        return True
    values = {value for _, value in named}
    return any(id_ in values for id_ in target.ids.values()) or any(name in target.names for name, _ in named)


def _pairs(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text in the filters, and what is compared with an id, as ids are spelled; with the name of the field."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _pairs(inner, key if key.endswith("_id") else name)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner, name)
    elif isinstance(text := id_text(value) if name in SCOPE_IDS else value, str):
        # What the filter compares an id with may be a number, have spaces around it, or another normal form.
        for spelled in dict.fromkeys((text, *spellings(text.strip()))):
            yield name, spelled
