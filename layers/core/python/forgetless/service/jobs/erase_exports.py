"""Removes the requests of schema exports that are about something erased: their filters, words and schema name it."""

from __future__ import annotations

from forgetless.domain.erasures import Erasure
from forgetless.domain.schema_exports import ACCEPTED, EXPORT, is_about
from forgetless.ports.request_ledger import DocumentStore

__all__ = ["erase_exports", "has_exports"]

_PAGE = 100


def has_exports(ledger: DocumentStore, tenant: str) -> bool:
    """Whether the tenant has requests of exports: then there may be many, and a job looks through them."""
    return ledger.count_documents(tenant, EXPORT, limit=1) > 0


def erase_exports(ledger: DocumentStore, erasure: Erasure, cursor: str | None) -> str | None:
    """Remove those of one page whose filters name an id of the erasure; returns the cursor of the next page.

    An erasure of a whole tenant takes all of them, and one of any value of an id takes those that name such an id. What
    was accepted after the erasure stays.
    """
    found, following = ledger.documents(erasure.tenant, EXPORT, limit=_PAGE, cursor=cursor)
    for document in found:
        older = int(document.body.get(ACCEPTED, 0)) < erasure.number
        if older and is_about(erasure.targets, document.body.get("filters")):
            ledger.delete_document(erasure.tenant, EXPORT, document.id)
    return following
