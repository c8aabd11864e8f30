"""The part of the ledger port that serves requests: the truth about memories, messages, jobs, leases and documents.

What only operators may do is in `forgetless.ports.ledger`. A use case that serves requests takes a type of this module,
so that it cannot reach the rest. Every method may raise LedgerError when the store cannot be reached, is full or stays
locked; then nothing of the call has happened. All times are timestamps of `forgetless.domain.times`, given by the
caller: no adapter reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.documents import Document
from forgetless.domain.jobs import Job
from forgetless.domain.memory import Event, Memory, Message, MessageRef
from forgetless.domain.scope import Scope

__all__ = [
    "DocumentStore",
    "Entity",
    "IdempotencyRecord",
    "IdempotencyStore",
    "JobStore",
    "LeaseStore",
    "MemoryPage",
    "MemoryStore",
    "MessageStore",
    "RequestLedger",
]


@dataclass(frozen=True, slots=True)
class MemoryPage:
    """Some memories in order, and the cursor of the next page (None at the end)."""

    items: tuple[Memory, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Entity:
    """A user, agent, app or run (`kind` user/agent/app/run) with its live memories' count and times."""

    kind: str
    id: str
    total_memories: int
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """What is known of a key: the request's fingerprint; the answer, or None while it runs until `lease_until`."""

    fingerprint: str
    lease_until: str
    status: int | None = None
    body: str | None = None

    def runs_as(self, began: IdempotencyRecord) -> bool:
        """Whether this is still the record of the request that `began` so.

        Who takes it over holds one with another lease.
        """
        return self.status is None and (self.fingerprint, self.lease_until) == (began.fingerprint, began.lease_until)

    def gives_way(self, other: IdempotencyRecord, *, now: str, over: IdempotencyRecord | None) -> bool:
        """Whether this record, which has not expired, is abandoned, so that `other` may stand in its place."""
        runs = self.status is None and self.fingerprint == other.fingerprint
        return runs and (self.lease_until <= now or (over is not None and self.runs_as(over)))


class MemoryStore(Protocol):
    """Events and the current state of memories."""

    def append(
        self,
        events: Sequence[Event],
        *,
        completing: Job | None = None,
        messages: Sequence[Message] = (),
        unique: bool = True,
    ) -> None:
        """Write all events, their memories' new state, `messages` and the job `completing`, or nothing.

        A job that the ledger does not have yet is inserted (an add done in one go); one that it has is replaced
        if it is not finished and its lease_owner is that of `completing`, else LeaseLostError and nothing is
        written; one that the same owner has finished already stays as it is, and its events are repeats.
        Messages that are there already are left alone.

        An event that the ledger already holds is skipped, so a repeat is harmless; `domain.memory.is_repeat` says
        what a repeat is. Any other event at a version that is taken is a conflict. Several events of one memory may
        come in one call, in order. A memory's index is marked pending in the same transaction. DELETE blanks text,
        metadata, categories and context in all the memory's events.
        Raises VersionConflictError when a version is not the current one plus one, and DuplicateTextError when an
        ADD with `extracted` has the text of another live extracted memory of its exact scope (not asked with
        `unique=False`: an import repeats what another ledger allowed).
        """

    def read(self, tenant: str, ids: Sequence[str]) -> dict[str, Memory]:
        """The current state (deleted and superseded too) of those ids that the tenant has; consistent."""

    def history(self, tenant: str, memory_id: str) -> list[Event]:
        """All events of a memory by version; empty when unknown."""

    def list_memories(
        self,
        tenant: str,
        ids: Mapping[str, str],
        *,
        limit: int,
        cursor: str | None = None,
        superseded: bool = False,
    ) -> MemoryPage:
        """Memories whose scope has all `ids` (none: the whole tenant), newest first by (created_at, position, id).

        Live ones, with `superseded` also those superseded, never deleted ones. Reads its own writes.
        """

    def entities(self, tenant: str) -> list[Entity]:
        """Every id of the tenant's live memories with its totals, sorted by (kind, id)."""

    def pending(self, tenant: str, ids: Sequence[str]) -> set[str]:
        """Those of these memories whose index is pending; consistent."""

    def mark_indexed(self, memories: Sequence[Memory], *, by_writer: bool = False) -> None:
        """The index holds exactly these versions now; a memory that has moved on stays pending.

        `by_writer`: whoever made these versions says so, right after. One that was pending still when it moved on to
        this version stays so: who made the version before may yet write its row, and die before taking it out again.
        """


class MessageStore(Protocol):
    """Raw messages: context of short statements, source of extractions."""

    def read_messages(self, tenant: str, refs: Sequence[MessageRef]) -> dict[MessageRef, Message]:
        """Those that are still there."""

    def job_messages(self, tenant: str, job_id: str) -> list[Message]:
        """The messages of a job by position; empty once they are gone."""

    def recent_messages(self, scope: Scope, *, since: str, before: str, limit: int) -> list[Message]:
        """The last `limit` messages of the exact scope with since <= created_at < before, oldest first."""

    def erase_messages(self, tenant: str, refs: Sequence[MessageRef], *, at: str) -> int:
        """Remove messages for good; marks memories that carry them as context pending and drops them from context.

        Returns how many messages were there. Repeating is harmless.
        """

    def erase_scope_messages(self, tenant: str, ids: Mapping[str, str], *, at: str) -> int:
        """`erase_messages` for every message whose scope has all `ids` (none: the whole tenant)."""


class JobStore(Protocol):
    """Jobs and who runs them."""

    def put_job(self, job: Job, messages: Sequence[Message]) -> Job:
        """Store a new job with its messages, atomically; when the id exists, change nothing and return that job."""

    def job(self, tenant: str, job_id: str) -> Job | None:
        """The job, or None."""

    def jobs(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[Job], str | None]:
        """The tenant's jobs, newest first, and the next cursor."""

    def claim_job(self, tenant: str, job_id: str, *, owner: str, now: str, until: str) -> Job | None:
        """Make a PENDING job, or a RUNNING one whose lease has expired, RUNNING for `owner`; attempts + 1.

        None when it is finished, unknown, or another's lease holds.
        """

    def update_job(self, job: Job, *, held: Job) -> bool:
        """Replace the job if it still stands as `held`, which the writer has read; else False and no change.

        It stands so while state, lease_owner, lease_until, attempts and updated_at are the same. So a job that has
        ended meanwhile stays ended; only who has seen it FAILED may let it wait again.
        """


class LeaseStore(Protocol):
    """Leases by name: one writer at a time."""

    def acquire_lease(self, name: str, *, owner: str, now: str, until: str) -> bool:
        """Take or prolong the lease; False while another owner's has not expired."""

    def lease_until(self, name: str) -> str | None:
        """When the standing lease ends or has ended; None when nobody has one."""

    def release_lease(self, name: str, *, owner: str) -> None:
        """Give it up; harmless when it is not ours."""


class DocumentStore(Protocol):
    """Small records by (tenant, kind, id)."""

    def put_document(self, document: Document) -> bool:
        """Store version 1 of a new document, or the version after the one that is held; else False and no change.

        A later version bears the `created_at` of the first: it tells a document from another one of the same id that
        was deleted. The words of the version before are erased.
        """

    def document(self, tenant: str, kind: str, id_: str) -> Document | None:
        """The document, or None; consistent."""

    def documents(
        self, tenant: str, kind: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Document], str | None]:
        """The tenant's documents of a kind, newest first by (created_at, id), and the next cursor."""

    def delete_document(self, tenant: str, kind: str, id_: str) -> bool:
        """Erase it for good; False when there was none."""


class IdempotencyStore(Protocol):
    """Answers by (tenant, name), where name holds method, path and the client's key."""

    def begin_request(
        self,
        tenant: str,
        name: str,
        record: IdempotencyRecord,
        *,
        now: str,
        expires_at: str,
        over: IdempotencyRecord | None = None,
    ) -> IdempotencyRecord | None:
        """None when the record was stored and the caller may go on; else the record that stands.

        A record that has expired, or that runs past its `lease_until` with the same fingerprint, is taken over; so is
        `over`, which runs and whose work the caller knows to be in nobody's hands.
        """

    def finish_request(
        self, tenant: str, name: str, record: IdempotencyRecord, *, began: IdempotencyRecord, expires_at: str
    ) -> None:
        """Keep the answer until `expires_at`, in the place of what the request `began` with.

        Nothing is kept when another request has taken the record over, or when a memory that the answer names has
        been deleted.
        """

    def drop_request(self, tenant: str, name: str, *, began: IdempotencyRecord) -> None:
        """Forget what the request `began` with: it failed and may be tried again; another's record stays."""


class RequestLedger(MemoryStore, MessageStore, JobStore, LeaseStore, DocumentStore, IdempotencyStore, Protocol):
    """What serving a request needs, in one store, so that what belongs together is one transaction."""
