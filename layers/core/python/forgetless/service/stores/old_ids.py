"""Ids that earlier versions stored in a form that new data cannot have: listed for operators, by bounded work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from forgetless.domain.identifiers import in_old_form
from forgetless.ports.request_ledger import Entity, MemoryStore
from forgetless.service.stores.report import OldId, OldIds, StoreReport

__all__ = ["with_old_ids"]

#: At most this many users, agents, apps and runs are looked at, and so many of those in an old form are listed.
MOST_LOOKED_AT, MOST_LISTED = 20_000, 100
_PAGE = 500


def with_old_ids(ledger: MemoryStore, report: StoreReport) -> StoreReport:
    """The report with the ids in an old form that its tenants have memories under."""
    tenants = [one.tenant for one in report.tenants if one.tenant is not None]
    looked, found = 0, []
    for tenant, entity in islice(_entities(ledger, tenants), MOST_LOOKED_AT):
        looked += 1
        if in_old_form(entity.id):
            found.append(OldId(tenant, entity.kind, entity.id))
            if len(found) > MOST_LISTED:
                break
    complete = report.tenants_complete and looked < MOST_LOOKED_AT and len(found) <= MOST_LISTED
    return replace(report, old_ids=OldIds(tuple(found[:MOST_LISTED]), complete))


def _entities(ledger: MemoryStore, tenants: Sequence[str]) -> Iterator[tuple[str, Entity]]:
    for tenant in tenants:
        cursor: str | None = None
        while True:
            page = ledger.entities(tenant, limit=_PAGE, cursor=cursor)
            yield from ((tenant, entity) for entity in page.items)
            cursor = page.cursor
            if cursor is None:
                break
