"""Finds and removes documents whose memory is deleted: earlier versions could leave feedback so."""

from __future__ import annotations

from collections.abc import Iterator

from forgetless.domain.documents import OF_MEMORIES, Document
from forgetless.ports.ledger import Ledger

__all__ = ["left_documents", "remove_left_documents"]

#: How many documents or tenants are read at once.
_PAGE = 200


def left_documents(ledger: Ledger, tenant: str) -> Iterator[Document]:
    """The documents of the tenant that belong to deleted memories; `ledger` must show all rows.

    It goes through all documents that belong to memories, so it is for an operator's commands.
    """
    for kind in sorted(OF_MEMORIES):
        cursor: str | None = None
        while True:
            page, cursor = ledger.documents(tenant, kind, limit=_PAGE, cursor=cursor)
            held = ledger.read(tenant, [document.id for document in page])
            yield from (one for one in page if one.id in held and held[one.id].deleted)
            if cursor is None:
                break


def remove_left_documents(ledger: Ledger) -> int:
    """Remove these documents of all tenants; returns how many. It can be repeated without harm."""
    removed = 0
    for tenant in _tenants(ledger):
        for left in left_documents(ledger, tenant):
            removed += ledger.delete_document(tenant, left.kind, left.id)
    return removed


def _tenants(ledger: Ledger) -> list[str]:
    found: dict[str, None] = {}
    cursor: str | None = None
    while True:
        page, cursor = ledger.list_tenants(limit=_PAGE, cursor=cursor)
        found |= dict.fromkeys(page)
        if cursor is None:
            return list(found)
