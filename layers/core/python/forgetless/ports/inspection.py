"""The ledger's part of `forgetless check`: looks at the whole store, each of bounded work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.memory import Memory

__all__ = ["Faults", "Inspection", "Tally"]


@dataclass(frozen=True, slots=True)
class Tally:
    """Live memories, and memories of any state whose index is pending; not `exact`: there are at least so many."""

    live: int
    pending: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Faults:
    """What is broken, one sentence each; and in words how much was looked at."""

    found: tuple[str, ...]
    looked_at: str


class Inspection(Protocol):
    """Looks at the whole store that cost a bounded amount of work, for `forgetless check`."""

    def tenants(self, *, limit: int) -> tuple[list[str], bool]:
        """Up to `limit` tenants that have memories, deleted ones too, and whether these are all."""

    def tally(self, tenant: str | None = None, *, limit: int) -> Tally:
        """How many memories the tenant has (or all tenants); counting ends at about `limit` of them."""

    def sample(self, tenant: str, *, limit: int) -> list[Memory]:
        """Up to `limit` live memories of the tenant, taken from all over: old ones, new ones, some between."""

    def faults(self, *, seconds: float, thorough: bool = False) -> Faults:
        """What is broken inside the store itself, looked for during so many seconds.

        `thorough` reads everything, as an administrator asks for; otherwise what is quick to see. Raises
        LedgerDamagedError where nothing can be read at all.
        """
