"""Slots: how many requests of a tenant may wait for an LLM at once. Each slot is a lease, so a dead holder's ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

__all__ = ["Slots"]


@dataclass(frozen=True, slots=True)
class Slots:
    """One `owner` asks until a certain time for one of the slots, of which the tenant has `most`."""

    tenant: str
    most: int
    owner: str
    now: str
    until: str

    @property
    def first(self) -> str:
        """The slot that the owner looks at first: owners spread over the slots, so it is mostly free."""
        return self._name(crc32(self.owner.encode()) % self.most)

    @property
    def names(self) -> list[str]:
        """The leases, beginning with the first one that the owner looks at."""
        start = crc32(self.owner.encode()) % self.most
        return [self._name((start + number) % self.most) for number in range(self.most)]

    def chosen(self, names: Sequence[str], held: Mapping[str, tuple[str, str]]) -> str | None:
        """Of the slots `names`, the one that the owner has or may take; `held` are owner and end of what is taken."""
        mine = (name for name, (owner, _) in held.items() if owner == self.owner)
        free = (name for name in names if name not in held or held[name][1] <= self.now)
        return next(mine, None) or next(free, None)

    def _name(self, number: int) -> str:
        return f"waits:{number}:{self.tenant}"
