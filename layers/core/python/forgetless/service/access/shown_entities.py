"""ShownEntities: which users, agents, apps and runs of a tenant have something to show while erasures hide data.

Totals count rows, hidden ones too, until they are removed. So a bounded look at the memories must tell.
"""

from __future__ import annotations

from dataclasses import dataclass

from forgetless.domain.erasures import Markers
from forgetless.domain.limits import SCANNED_ROWS
from forgetless.ports.request_ledger import Entity, RequestLedger

__all__ = ["ShownEntities"]

#: How many memories are read at once.
_PAGE = 500
#: How many pages are read to find something to show of an entity that a marker names, or one that it may touch.
_PAGES_NAMED, _PAGES_TOUCHED = SCANNED_ROWS // _PAGE, 1
#: How many entities that a marker does not name, but may touch, are looked at.
_LOOKS = 200


@dataclass(frozen=True, slots=True)
class _Newest:
    """The ids, with their names, of what is shown among the newest memories of the tenant."""

    ids: frozenset[tuple[str, str]]
    #: Whether these are all memories, and whether there was anything hidden among them.
    complete: bool
    hidden: bool


class ShownEntities:
    """Judges the entities of one tenant for one call; `ledger` leaves out what the markers cover."""

    def __init__(self, ledger: RequestLedger, tenant: str, markers: Markers) -> None:
        self._ledger = ledger
        self._tenant = tenant
        self._markers = markers
        self._looks = _LOOKS
        self._known: _Newest | None = None

    def is_touched(self, entity: Entity) -> bool:
        """Whether a marker may cover some of it; otherwise all of it is shown."""
        return self._markers.may_touch(_name(entity), entity.id)

    def is_shown(self, entity: Entity) -> bool:
        """Whether the entity belongs in a list. Where looks do not tell, what is more likely decides."""
        named = self._markers.names(_name(entity), entity.id)
        there = self._looked_up(entity)
        if there is None and (named or self._spend()):
            there = self.has_something(entity, pages=_PAGES_NAMED if named else _PAGES_TOUCHED)
        if there is None:
            # A marker that names the entity most likely covers the rest as well; one that does not, hardly. One that
            # covers all such entities does, unless the newest memories of the tenant are all from after it.
            swept = self._markers.sweep(_name(entity)) and self._newest().hidden
            return not named and not swept
        return there

    def counts(self, entity: Entity) -> bool | None:
        """Whether the entity has something to show; None if no look decides."""
        there = self._looked_up(entity)
        if there is None and self._spend():
            there = self.has_something(entity, pages=_PAGES_TOUCHED)
        return there

    def has_something(self, entity: Entity, *, pages: int = _PAGES_NAMED) -> bool | None:
        """Whether the entity has a live memory that is not hidden; None if so many pages do not tell."""
        cursor: str | None = None
        for _ in range(pages):
            page = self._ledger.list_memories(self._tenant, {_name(entity): entity.id}, limit=1, cursor=cursor)
            cursor = page.cursor
            if page.items or cursor is None:
                return bool(page.items)
        return None

    def _looked_up(self, entity: Entity) -> bool | None:
        """What the newest memories of the tenant tell, which are read only if a marker covers all such entities."""
        if not self._markers.sweep(_name(entity)):
            return None
        newest = self._newest()
        return True if (_name(entity), entity.id) in newest.ids else (False if newest.complete else None)

    def _spend(self) -> bool:
        """Whether another entity may be looked at."""
        self._looks -= 1
        return self._looks >= 0

    def _newest(self) -> _Newest:
        if self._known is None:
            self._known = self._read_newest()
        return self._known

    def _read_newest(self) -> _Newest:
        ids: set[tuple[str, str]] = set()
        hidden, cursor = False, None
        for _ in range(_PAGES_NAMED):
            page = self._ledger.list_memories(self._tenant, {}, limit=_PAGE, cursor=cursor)
            ids.update(pair for memory in page.items for pair in memory.scope.ids().items())
            hidden, cursor = hidden or len(page.items) < _PAGE, page.cursor
            if cursor is None:
                break
        return _Newest(frozenset(ids), cursor is None, hidden)


def _name(entity: Entity) -> str:
    return f"{entity.kind}_id"
