"""The whole ledger port: what requests do (`forgetless.ports.request_ledger`), and what only operators do.

Operators are the functions behind the queue and the schedule, the command line, authentication, and an administrator's
export. What they do concerns keys or all tenants at once, or costs more than a request may cost. SQLite fulfils the
port on one machine, DynamoDB where the service is deployed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.documents import Document
from forgetless.domain.jobs import Job
from forgetless.domain.keys import ApiKey
from forgetless.domain.memory import Event, Memory
from forgetless.ports.request_ledger import RequestLedger

__all__ = ["EventPage", "Faults", "Inspection", "KeyStore", "Ledger", "Maintenance", "OperatorLedger", "Tally"]


@dataclass(frozen=True, slots=True)
class EventPage:
    """The whole histories of some memories in order, and the cursor of the next page (None at the end)."""

    items: tuple[Event, ...]
    cursor: str | None


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


class KeyStore(Protocol):
    """API keys by hash."""

    def put_key(self, key: ApiKey, *, held: ApiKey | None = None) -> bool:
        """Store a new key, or replace the one that is still as `held` says; else False and no change."""

    def key(self, hash_: str) -> ApiKey | None:
        """The key with this hash, revoked or not."""

    def keys(self, tenant: str) -> list[ApiKey]:
        """All keys of the tenant, revoked ones too, oldest first by (created_at, hash)."""


class Maintenance(Protocol):
    """What sweep, the delivery of webhooks, the export and the command line do over the whole store."""

    def list_events(self, tenant: str, *, limit: int, cursor: str | None = None) -> EventPage:
        """All events of up to `limit` memories, superseded and deleted ones too; what an export writes.

        Memories come oldest first by (created_at, position, id), each with its events by version.
        """

    def unindexed(self, *, before: str, limit: int, tenant: str | None = None) -> list[Memory]:
        """Memories (any state) whose index has been pending since before the time given, oldest first."""

    def mark_unindexed(self, tenant: str | None = None, *, at: str) -> int:
        """Mark every memory of the tenant (or of all) that is not deleted pending; returns how many: a rebuild."""

    def expire_messages(self, *, before: str, limit: int) -> int:
        """Remove up to `limit` messages older than the time given (retention); context rows keep their words."""

    def stuck_jobs(self, *, now: str, pending_before: str, limit: int) -> list[Job]:
        """RUNNING jobs with an expired lease and jobs PENDING since before the time given, oldest first."""

    def due_documents(self, kind: str, *, now: str, limit: int) -> list[Document]:
        """Documents of any tenant whose `due_at` has come, the longest due first; may lag behind by seconds."""

    def tidy(self) -> int:
        """Finish or drop what processes that died left half-way; returns how many. For sweep."""

    def migrate(self) -> int:
        """Bring the store to this program's schema; returns the number of steps. For administrators."""

    def ping(self) -> None:
        """Raise LedgerError unless it can be read now, and written: that is tried only after a write has failed."""

    def close(self) -> None:
        """Release files and connections."""


class OperatorLedger(KeyStore, Inspection, Maintenance, Protocol):
    """What no request of a client does by itself."""


class Ledger(RequestLedger, OperatorLedger, Protocol):
    """All of it, in one store."""
