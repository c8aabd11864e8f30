"""The whole ledger port: what requests use (`forgetless.ports.request_ledger`), and what only operators use.

Operators are the functions behind the queue and the schedule, the command line, authentication, and an administrator's
export. Their methods concern keys or all tenants at once, or cost more than a request may. SQLite implements the port
on one machine, DynamoDB in the deployed service.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.documents import Document
from forgetless.domain.erasures import Erasure, Target
from forgetless.domain.jobs import Job
from forgetless.domain.keys import ApiKey
from forgetless.domain.limits import HISTORIES_AT_ONCE, SCRUB_PATIENCE_S
from forgetless.domain.memory import Event, Memory, Message
from forgetless.ports.request_ledger import MemoryPage, RequestLedger
from forgetless.ports.usage import UsageStore

__all__ = [
    "Backlog",
    "Compaction",
    "EventPage",
    "Faults",
    "Inspection",
    "KeyStore",
    "Ledger",
    "Maintenance",
    "OperatorLedger",
    "Refusal",
    "SetAside",
    "Tally",
    "Tell",
]


@dataclass(frozen=True, slots=True)
class EventPage:
    """The complete histories of some memories in order, and the cursor of the next page (None at the end)."""

    items: tuple[Event, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """The numbers of live, pending, set-aside and behind memories (all but the first in any state).

    Unless `exact`, there are at least so many.
    """

    live: int
    pending: int
    exact: bool = True
    set_aside: int = 0
    #: What the other generation of the index lacks, of what is neither pending nor set aside.
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A version of a memory that embedder or index refused; the reason contains no text of the memory."""

    memory: Memory
    reason: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """A memory that is no longer indexed since `since`, because embedder or index kept refusing it."""

    tenant: str
    memory_id: str
    version: int
    since: str
    reason: str


@dataclass(frozen=True, slots=True)
class Faults:
    """What is broken, one sentence for each problem, and a description of how much was checked."""

    found: tuple[str, ...]
    looked_at: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the whole store: adds that have not ended or have failed, and memories for the index."""

    #: The oldest adds that have not ended, the oldest first, without what they ask for: their `request` is empty.
    oldest_jobs: tuple[Job, ...]
    #: How many adds have not ended, and how many have failed and are kept; counted up to a limit.
    open_jobs: int
    failed_jobs: int
    #: Since when the memory that waits longest for the index has waited; None if none waits.
    pending_since: str | None


#: Called with the amount of work that is done and the total amount, if that is known.
Tell = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Compaction:
    """How many rows a compaction removed or changed, and the bytes of the store's file before and after (0: none)."""

    rows: int
    bytes_before: int = 0
    bytes_after: int = 0


class Inspection(Protocol):
    """Checks of the whole store with a bounded amount of work, for `forgetless check`."""

    def tenants(self, *, limit: int) -> tuple[list[str], bool]:
        """Up to `limit` tenants that have memories (deleted ones count), and whether these are all tenants."""

    def list_tenants(self, *, limit: int, cursor: str | None = None) -> tuple[list[str], str | None]:
        """Tenants that have memories, and the cursor of the next page. For an operator's command, not for a function.

        A tenant may be on several pages, and a page may have fewer than `limit` or none although more follow.
        """

    def tally(self, tenant: str | None = None, *, limit: int) -> Tally:
        """The number of memories of the tenant (or of all tenants); counting stops at about `limit`."""

    def sample(self, tenant: str, *, limit: int) -> list[Memory]:
        """Up to `limit` live memories of the tenant: some old, some new and some in between."""

    def faults(self, *, seconds: float, thorough: bool = False) -> Faults:
        """What is broken inside the store itself; the check stops after the given number of seconds.

        With `thorough` it reads everything, which only an administrator asks for; otherwise it does the quick checks.
        Raises LedgerDamagedError when nothing can be read at all.
        """


class KeyStore(Protocol):
    """API keys by their hash."""

    def put_key(self, key: ApiKey, *, held: ApiKey | None = None, most: int | None = None, now: str = "") -> bool:
        """Store a new key, or replace the stored key if it still equals `held`; otherwise return False, unchanged.

        With `most`, raises TooManyKeysError if its tenant has as many that are neither revoked nor ended at `now`,
        whoever else stores keys meanwhile.
        """

    def key(self, hash_: str) -> ApiKey | None:
        """The key with this hash, even if it is revoked."""

    def keys(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[ApiKey], str | None]:
        """The tenant's keys that are not revoked, newest first by (created_at, id), and the cursor of the next page.

        A page ends early after KEYS_AT_ONCE bytes, and may be shorter or empty although a cursor says that more follow.
        """

    def all_keys(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[ApiKey], str | None]:
        """The same for all keys of the tenant, also revoked ones. The order is open; one may come twice."""

    def keys_by_id(self, tenant: str, ids: Collection[str]) -> dict[str, ApiKey]:
        """The tenant's keys with these ids, even if they are revoked."""

    def remove_keys(self, tenant: str, *, limit: int) -> int:
        """Remove up to `limit` keys of the tenant; returns how many there were, 0 when none are left."""

    def tenants_with_keys(self) -> list[str]:
        """All tenants that have keys. It reads the whole store, so only a restore calls it."""


class Maintenance(Protocol):
    """What sweep, webhook deliveries, exports and the command line do across the whole store."""

    def list_events(self, tenant: str, *, limit: int, cursor: str | None = None) -> EventPage:
        """All events of up to `limit` memories, including superseded and deleted ones. An export writes these.

        Memories are ordered by (created_at, position, id), the oldest first, and the events of each by version. A page
        ends early after HISTORIES_AT_ONCE bytes.
        """

    def documents_by_id(self, tenant: str, kind: str, ids: Collection[str]) -> dict[str, Document]:
        """The tenant's documents of a kind with these ids, in few calls."""

    def put_jobs(self, jobs: Sequence[tuple[Job, Sequence[Message]]]) -> None:
        """`put_job` for each of an import's jobs, in few transactions: all are in the ledger when it returns.

        If it raises, some may be; repeating the call is harmless.
        """

    def list_range(self, tenant: str, number: int, *, limit: int, cursor: str | None = None) -> MemoryPage:
        """Memories in a range of the tenant, superseded ones too, in an order that is fixed but otherwise open.

        The ranges have the numbers from 0 to MOST_RANGES - 1 (`forgetless.domain.bulk_jobs`) and about the same size. A
        memory is in one of them, and stays there. A page may have fewer memories than `limit`, even none, although more
        follow. What is added meanwhile may be left out.
        """

    def unindexed(
        self, *, before: str, limit: int, tenant: str | None = None, most: int = HISTORIES_AT_ONCE
    ) -> list[Memory]:
        """Memories in any state that have been pending since before the given time, the oldest first.

        At most `limit`, and as many as store `most` bytes, at least one.

        Those follow that are pending since a time beyond `far_after(before)`: an earlier version took it from a client.
        Set-aside memories are not pending. Without a tenant, the work grows with the number of tenants.
        """

    def pending_tenants(self, *, limit: int) -> list[str]:
        """Up to `limit` tenants that have pending memories; the work does not grow with the number of memories."""

    def mark_pending(self, memories: Sequence[Memory], *, at: str) -> None:
        """Mark these memories as pending since `at`, because the index lacks something of them.

        One that has another version or context by now, or is pending or set aside already, stays as it is.
        """

    def mark_behind(self, memories: Sequence[Memory], *, at: str) -> None:
        """Note that the other generation of the index lacks these memories, since `at`; a later time postpones them.

        One that has another version or context by now stays as it is. A memory that is behind stays so through all
        its events, and a change finds it contested as if it were pending. While it is pending or set aside, `behind`
        and `behind_tenants` leave it out, because the serving generation gets it first.
        """

    def mark_caught_up(self, memories: Sequence[Memory]) -> list[Memory]:
        """Note that the other generation holds these versions; returns those that are no longer current."""

    def behind(self, tenant: str, *, before: str, limit: int) -> list[Memory]:
        """Memories of the tenant in any state that have been behind since before the given time, the oldest first.

        Times beyond `far_after(before)` and bytes as in `unindexed`.
        """

    def behind_tenants(self, *, limit: int) -> list[str]:
        """Up to `limit` tenants that have memories that are behind, as `pending_tenants`."""

    def note_refusals(self, refusals: Sequence[Refusal], *, at: str, most: int) -> int:
        """Count one refusal of each of these versions, and set aside those that were refused `most` times.

        A memory that is refused less often is pending since `at`, so that others come first, even if it was indexed
        before. One that is set aside already, or has another version or context by now, stays as it is. Returns how
        many were set aside. Any event of the memory, an erasure of its context, `mark_indexed` and `mark_unindexed`
        end it and forget the refusals. A change finds it contested as if it were pending.
        """

    def set_aside(self, tenant: str | None = None, *, limit: int) -> list[SetAside]:
        """Up to `limit` set-aside memories of the tenant (or of all)."""

    def retry_set_aside(self, tenant: str | None = None, *, at: str) -> int:
        """Mark every set-aside memory of the tenant (or of all) as pending; returns their number."""

    def mark_unindexed(self, tenant: str | None = None, *, at: str) -> int:
        """Mark every memory of the tenant (or of all) except deleted ones as pending; returns their number."""

    def expire_messages(self, *, before: str, limit: int) -> int:
        """Remove up to `limit` messages older than the given time (retention); index rows keep their words."""

    def expire_page_ends(self, *, now: str) -> int:
        """Remove what `keep_page_end` stored and what has expired; returns their number. Sweep calls it."""

    def expire_jobs(self, *, succeeded_before: str | None, failed_before: str | None, limit: int) -> int:
        """Remove up to `limit` jobs that ended before these times, and the messages of the failed ones (retention).

        None keeps all jobs of this kind. A call may remove fewer, although more are left, if their messages are many.
        A ledger whose succeeded jobs end by themselves removes only failed ones. Memories keep everything.
        """

    def expire_records(self, *, before: str, limit: int) -> int:
        """Remove up to `limit` idempotency records that expired, and leases that ended, before the given time.

        A ledger where they end by themselves removes none.
        """

    def expire_keys(self, *, before: str, limit: int) -> list[ApiKey]:
        """Let up to `limit` API keys that ended before the given time be no more than `bare`; returns these.

        So are those that an earlier version revoked, as far as the ledger finds them by themselves.
        """

    def expiring_tenants(self, *, limit: int) -> list[str]:
        """Up to `limit` tenants that may have memories with an expiration date."""

    def stuck_jobs(self, *, now: str, pending_before: str, limit: int, after: Job | None = None) -> list[Job]:
        """RUNNING jobs with an expired lease and jobs PENDING since before the given time, the oldest hour first.

        Those of a tenant in an hour are in the order of their times. A PENDING job counts from its `next_try_at` if it
        has one. The first of them has the place after that of the job `after`, so a sweep that goes on after the last
        one sees each once, whatever their order within an hour. There may be fewer than `limit`, although more follow:
        they end after JOBS_AT_ONCE bytes.
        """

    def stuck_in_turn(self, *, now: str, pending_before: str, limit: int, each: int) -> list[Job]:
        """Up to `limit` stuck jobs, at most `each` of a tenant, and of each speaker only the oldest.

        One of every tenant comes first, then another one of every tenant, and so on, until they have JOBS_AT_ONCE
        bytes; chance decides which tenant is the first. If more than `each` speakers of a tenant wait, others may be
        found next time; a ledger may look at a tenant's oldest jobs alone.
        """

    def backlog(self, *, jobs: int, counted: int) -> Backlog:
        """What waits: the oldest `jobs`, and numbers up to `counted`; for metrics, so it may be seconds out of date.

        The work is bounded. Of very many tenants with pending memories or open jobs, only some may be looked at, and
        of jobs only those that have JOBS_AT_ONCE bytes.
        """

    def erasure(self, tenant: str, number: int) -> Erasure | None:
        """The erasure with this number, while it hides data; None when it has ended."""

    def late_writes_s(self) -> float:
        """For how long after an erasure a write that was accepted before it may still land, covered by its marker.

        0 where every write looks at the markers in its own transaction.
        """

    def open_erasures(self, *, limit: int, each: int) -> list[Erasure]:
        """Up to `limit` erasures that still hide data, at most `each` of a tenant; may be seconds out of date.

        The oldest of every tenant comes first, then the second of every tenant, and so on.
        """

    def scope_messages(
        self, tenant: str, ids: Mapping[str, str], *, limit: int, cursor: str | None = None
    ) -> tuple[list[Message], str | None]:
        """Messages whose scope has all `ids` (all of the tenant without ids), and the cursor of the next page.

        The order is fixed, and a page may hold fewer than `limit` or none although more follow. It ends early after
        JOBS_AT_ONCE bytes.
        """

    def erase_names(
        self, tenant: str, target: Target, *, before: int, limit: int, cursor: str | None = None
    ) -> str | None:
        """Remove names that were said in scopes that match, with a lower number than `before`; returns the next cursor.

        A call looks at about `limit` scopes or names.
        """

    def clear_entities(self, tenant: str, *, limit: int, cursor: str | None = None) -> str | None:
        """Remove what is still kept of users, agents, apps and runs without live memories; returns the next cursor.

        A call looks at about `limit` of them. A ledger that removes it with their last memory has nothing to do.
        """

    def end_erasure(self, tenant: str, number: int, *, expires_at: str) -> None:
        """Record that nothing is left of what the erasure covers: its marker hides nothing any more.

        Its targets in clear are removed at once, and its marker after `expires_at`. A repeat is harmless.
        """

    def close_tenant(self, tenant: str, *, at: str) -> Erasure:
        """Begin the erasure of everything of the tenant, after which nothing new may be written.

        From then on, `append` and `put_job` raise TenantDeletedError for anything but deletions. For a tenant that is
        closed already, it returns the erasure that began with that, whether or not it has ended.
        """

    def remove_tenant(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[int, str | None]:
        """Remove up to about `limit` records of a closed tenant; returns their number and the cursor of the next call.

        Of whatever kind they are, except keys and the records of its erasures. The index is not concerned. With
        DynamoDB it looks through the whole table, a page in each call. Nothing is removed if the tenant is not closed.
        """

    def forget_tenant(self, tenant: str, *, limit: int) -> bool:
        """Remove up to `limit` records of a closed tenant's erasures; False if there are more.

        The last one makes the tenant as good as one that never was: it is open again, and its numbers begin again.
        Nothing is removed if the tenant is not closed.
        """

    def incarnation(self) -> str:
        """The random name of this ledger and of its copies until a restore; empty if an earlier version made it."""

    def set_incarnation(self, name: str) -> None:
        """Give the ledger another name, because a copy has taken the place of a ledger. Nobody else may use it yet."""

    def raise_erasures(self, tenant: str, last: int) -> None:
        """Let the numbers of the tenant's next erasures be higher than `last`; harmless if they are already."""

    def due_documents(self, kind: str, *, now: str, limit: int) -> list[Document]:
        """Documents of any tenant whose `due_at` has come, the oldest hour first; may be seconds out of date.

        Within an hour they have any order, for who removes what is due. There may be fewer than `limit`, although more
        are due: they end after JOBS_AT_ONCE bytes.
        """

    def due_in_turn(self, kind: str, *, now: str, limit: int, each: int) -> list[Document]:
        """Up to `limit` documents whose `due_at` has come, at most `each` of a tenant; may be seconds out of date.

        The first of every tenant comes first, then the second of every tenant, and so on; those of a tenant are in the
        order of their times. So a tenant with very many cannot keep those of others out of sight. They end after
        JOBS_AT_ONCE bytes.
        """

    def tidy(self) -> int:
        """Finish or drop the changes that dead processes left unfinished; returns their number. Sweep calls it."""

    def scrub_erased(self, *, patience_s: float = SCRUB_PATIENCE_S) -> bool:
        """Remove the last copies of erased text from the store's own files; False if readers were in the way so long.

        Erased text is gone for all readers at once, but the files may still have it until this has returned True.
        Sweep calls it every minute, and an erasure of any size before it is reported as done.
        """

    def compact(self, tell: Tell) -> Compaction:
        """Remove what no record needs any more, and give its space back; only for administrators.

        The work grows with the store. Others may read and write meanwhile; writers may have to wait for a while.
        """

    def migrate(self) -> int:
        """Bring the store to this program's schema; returns the number of steps. Only for administrators."""

    def ping(self) -> None:
        """Raise LedgerError unless it can be read, and written: a write is tried only after an earlier one failed."""

    def close(self) -> None:
        """Close files and connections."""


class OperatorLedger(KeyStore, UsageStore, Inspection, Maintenance, Protocol):
    """What only operators may do, and no client's request."""


class Ledger(RequestLedger, OperatorLedger, Protocol):
    """The whole port, implemented by one store."""
