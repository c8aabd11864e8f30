"""Walk: a way through all memories of all tenants, a page at a time, that can go on after its process has died."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from forgetless.domain.bulk_jobs import MOST_RANGES
from forgetless.domain.memory import Memory
from forgetless.domain.moments import has_past, told_early
from forgetless.ports.index import Index, Key
from forgetless.ports.ledger import Ledger
from forgetless.service.history_portions import light_page

__all__ = ["Walk", "lacking_past"]

#: How many tenants are read at once.
_TENANTS = 100


@dataclass(frozen=True, slots=True)
class Walk:
    """A place on the way: the tenants that were read and are left, and the place within the first of them."""

    tenants: tuple[str, ...] = ()
    #: The cursor of the next tenants; None before the first ones, and after the last ones.
    page: str | None = None
    range: int = 0
    after: str | None = None
    begun: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self.begun and not self.tenants and self.page is None

    def step(self, ledger: Ledger, *, limit: int) -> tuple[Walk, Sequence[Memory]]:
        """The next place, and the memories on the way there, superseded ones too; there may be none."""
        if not self.tenants:
            tenants, page = ledger.list_tenants(limit=_TENANTS, cursor=self.page)
            return Walk(tuple(tenants), page, begun=True), ()
        tenant = self.tenants[0]
        found = light_page(lambda few: ledger.list_range(tenant, self.range, limit=few, cursor=self.after), limit)
        if found.cursor is not None:
            return replace(self, after=found.cursor), found.items
        if self.range + 1 < MOST_RANGES:
            return replace(self, range=self.range + 1, after=None), found.items
        return replace(self, tenants=self.tenants[1:], range=0, after=None), found.items

    def cursor(self) -> dict[str, Any]:
        """The place as a part of the cursor of a bulk job."""
        return {"tenants": list(self.tenants), "page": self.page, "range": self.range, "after": self.after}

    @classmethod
    def of(cls, cursor: Mapping[str, Any]) -> Walk:
        """The place that `cursor` gave; the beginning if there is none in it."""
        if "tenants" not in cursor:
            return cls()
        return cls(tuple(cursor["tenants"]), cursor["page"], int(cursor["range"]), cursor["after"], begun=True)


def lacking_past(index: Index, memories: Sequence[Memory]) -> list[Memory]:
    """Those of these memories of one tenant of which the index does not hold all versions of the past."""
    wanted = {memory.id: _past_keys(memory) for memory in memories if has_past(memory)}
    keys = [key for some in wanted.values() for key in some]
    if not keys:
        return []
    held = index.past.held(memories[0].scope.tenant, keys)
    return [memory for memory in memories if not all(key in held for key in wanted.get(memory.id, ()))]


def _past_keys(memory: Memory) -> list[Key]:
    kept = memory.version if memory.live and not told_early(memory) else memory.version + 1
    return [(memory.id, version) for version in range(1, kept)]
