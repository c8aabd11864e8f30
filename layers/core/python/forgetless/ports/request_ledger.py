"""The part of the ledger port for requests: the truth about memories, messages, jobs, leases and documents.

What only operators may do is in `forgetless.ports.ledger`. A use case that serves requests takes a type of this module,
so that it cannot reach the rest. Every method may raise LedgerError when the store cannot be reached, is full or stays
locked; then the call has changed nothing. All times are timestamps (`forgetless.domain.times`) that the caller gives:
no adapter reads a clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.documents import Document
from forgetless.domain.erasures import Erasure, ErasureMarker, ErasureState, Target
from forgetless.domain.jobs import Job
from forgetless.domain.known_names import NameOwner, NameRecord, NoteworthyName
from forgetless.domain.memory import Event, Memory, Message, MessageRef, VersionKey
from forgetless.domain.scope import Scope
from forgetless.domain.slots import Slots
from forgetless.domain.usage import Use

__all__ = [
    "ENTITY_KINDS",
    "NOTHING_SHOWN",
    "AcceptedJob",
    "DocumentStore",
    "Entity",
    "EntityCounts",
    "EntityPage",
    "ErasureStore",
    "ErasuresBeside",
    "IdempotencyRecord",
    "IdempotencyStore",
    "JobStore",
    "LeaseStore",
    "MemoryPage",
    "MemoryStore",
    "MessageStore",
    "PageEnd",
    "PageEndStore",
    "RequestLedger",
    "Shown",
    "Totals",
]


#: The kinds of entities, in the order of their lists.
ENTITY_KINDS = ("agent", "app", "run", "user")


@dataclass(frozen=True, slots=True)
class Totals:
    """The number of live memories of a tenant or an entity, and how many of them have an expiration date."""

    live: int
    expiring: int


@dataclass(frozen=True, slots=True)
class MemoryPage:
    """Some memories in order, and the cursor of the next page (None at the end)."""

    items: tuple[Memory, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Entity:
    """A user, agent, app or run (`kind` is one of these words) with the number and times of its live memories.

    The times may span more than those of the live memories, if the first or the last memory was deleted or superseded
    and to find the next one would mean to read more than SCANNED_ROWS rows (`forgetless.domain.limits`).
    """

    kind: str
    id: str
    total_memories: int
    created_at: str
    updated_at: str
    #: Whether the total may be too high, because erased memories that it counts wait to be removed.
    totals_pending: bool = False


@dataclass(frozen=True, slots=True)
class EntityPage:
    """Some entities in the order of their kinds, and the cursor of the next page (None at the end)."""

    items: tuple[Entity, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class EntityCounts:
    """The number of entities of each kind. Unless `exact`, there are at least so many."""

    by_kind: Mapping[str, int]
    exact: bool = True


@dataclass(frozen=True, slots=True)
class PageEnd:
    """Where a page of a list ended: the cursor `after` it, and how many items it and the pages before it have shown.

    `count` is the number of all items as it was counted for the page, or at least so many unless `exact`.
    """

    after: str
    seen: int
    count: int
    exact: bool


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """The record of a key: the request's fingerprint, and its answer, or None while it runs until `lease_until`."""

    fingerprint: str
    lease_until: str
    status: int | None = None
    body: str | None = None

    def runs_as(self, began: IdempotencyRecord) -> bool:
        """Whether this is still the record that the request stored when it `began`.

        A request that takes the record over gives it another lease.
        """
        return self.status is None and (self.fingerprint, self.lease_until) == (began.fingerprint, began.lease_until)

    def gives_way(self, other: IdempotencyRecord, *, now: str, over: IdempotencyRecord | None) -> bool:
        """Whether this record, which has not expired, is abandoned, so that `other` may replace it.

        A stored answer gives way only to a caller that knows it (`over`) and found that it must not be shown any more.
        """
        if self.status is not None:
            return over == self
        runs = self.status is None and self.fingerprint == other.fingerprint
        return runs and (self.lease_until <= now or (over is not None and self.runs_as(over)))


@dataclass(frozen=True, slots=True)
class AcceptedJob:
    """A job as it stands in the ledger, and the slot in which its caller may wait for it (None if none is free)."""

    job: Job
    slot: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a piece of work has seen and depends on: memories by id, and messages."""

    memories: tuple[str, ...] = ()
    messages: tuple[MessageRef, ...] = ()


NOTHING_SHOWN = Shown()


class ErasuresBeside(Protocol):
    """The erasure state that a read has brought along."""

    @property
    def state(self) -> ErasureState | None:
        """The state; None if no read has brought it."""


class MemoryStore(Protocol):
    """The events and the current states of memories."""

    def append(
        self,
        events: Sequence[Event],
        *,
        completing: Job | None = None,
        messages: Sequence[Message] = (),
        unique: bool = True,
        shown: Shown = NOTHING_SHOWN,
        erasing: Sequence[MessageRef] = (),
        used: Sequence[Use] = (),
    ) -> None:
        """Write all events, the new states of their memories, `messages` and the job `completing`, or nothing.

        What `erase_messages` does to the messages `erasing` is part of it, so that nobody can die in between. So are
        the counts of `used`, unless the call is a repeat, and the erasure of the documents (`OF_MEMORIES`) of
        memories that are deleted.

        A job that the ledger does not have yet is inserted (an add that is done in one call). An unfinished job is
        replaced if its lease_owner is that of `completing`; otherwise LeaseLostError is raised and nothing is
        written. A job that the same owner has already finished stays as it is, and its events are repeats.
        Existing messages stay unchanged.

        An event that the ledger already has is skipped, so a repeat is harmless; `domain.memory.is_repeat` defines
        a repeat. Any other event at a version that exists is a conflict. One call may contain several events of one
        memory, in order. The memory is marked pending in the same transaction. DELETE erases text, metadata,
        categories and context in all events of the memory.
        Raises VersionConflictError when a version is not the current one plus one, and DuplicateTextError when an
        ADD with `extracted` has the text of another live extracted memory of its exact scope (not checked with
        `unique=False`, because an import repeats what another ledger allowed).

        What an erasure marker covers is as good as gone: ErasedError is raised for a new memory, a message or a job
        that is covered, VersionConflictError for a change of a memory that is covered, and a text that only covered
        memories have counts as new. Deletions are never refused. ShownErasedError is raised when anything of `shown`
        is deleted or covered. (DynamoDB may miss an erasure that happens during the call. What it then writes is
        covered.)

        TenantDeletedError, which is an ErasedError, is raised for all but deletions if the tenant is being deleted.
        """

    def read(self, tenant: str, ids: Sequence[str]) -> dict[str, Memory]:
        """The current state of those ids that the tenant has, also of deleted and superseded ones; consistent."""

    def read_some(self, tenant: str, ids: Sequence[str], *, most: int) -> tuple[dict[str, Memory], int]:
        """`read` for the first of these ids, until they store `most` bytes, and for how many of them it was.

        It looks at one at least, and perhaps not at all, even if the others store little.
        """

    def known_ids(self, tenant: str, ids: Sequence[str]) -> dict[str, bool]:
        """Those of these ids that the tenant has, each with whether its memory is deleted; consistent.

        No content is held, so there may be very many.
        """

    def history(self, tenant: str, memory_id: str) -> list[Event]:
        """All events of a memory by version; empty for an unknown memory."""

    def history_portion(self, tenant: str, memory_id: str, first: int, *, most: int) -> tuple[list[Event], bool]:
        """The events of a memory from the version `first` on until they store `most` bytes, and whether more follow.

        It has one event at least, if there is any.
        """

    def versions(self, tenant: str, keys: Collection[VersionKey]) -> dict[VersionKey, Memory]:
        """Those of these versions of memories that exist. Of a deleted memory, none is among them.

        A version that becomes an earlier one during the call may be missing.
        """

    def list_memories(
        self,
        tenant: str,
        ids: Mapping[str, str],
        *,
        limit: int,
        cursor: str | None = None,
        superseded: bool = False,
    ) -> MemoryPage:
        """Memories whose scope has all `ids` (all of the tenant without ids), newest first.

        The order is by (created_at, position, id). Superseded memories are included only with `superseded`, deleted
        ones never. The method sees all earlier writes of its caller. A page ends early after HISTORIES_AT_ONCE bytes.
        While an erasure hides memories, a page of the ledger that hides them may even be empty, although a cursor says
        that more follow.
        """

    def superseded_ids(self, tenant: str, memory_id: str, *, limit: int) -> list[str]:
        """The ids of what this memory superseded, directly or indirectly, the nearest first; at most `limit`.

        Deleted memories, and what only they superseded, are not among them. It sees all earlier writes of its caller.
        """

    def kept_totals(self, tenant: str, ids: Mapping[str, str]) -> Totals | None:
        """The kept totals of the tenant (without ids) or of the one scope id in `ids`; None if they are not known.

        They are changed in the transaction that changes the memories, so they include every acknowledged write. They
        count rows that an erasure hides, until these are removed; the ledger that hides them does not know a total
        that an erasure may touch.
        """

    def entity(self, tenant: str, kind: str, id_: str) -> Entity | None:
        """The entity with its totals; None if it has no live memories."""

    def entities(
        self, tenant: str, *, limit: int, cursor: str | None = None, kinds: Sequence[str] = ENTITY_KINDS
    ) -> EntityPage:
        """Users, agents, apps and runs of the tenant's live memories with their totals, in the order of ENTITY_KINDS.

        Within a kind the order is the ledger's own. A page may be shorter than `limit`, even empty, although a cursor
        says that more follow.
        """

    def count_entities(self, tenant: str, *, limit: int) -> EntityCounts:
        """The number of entities of each kind; counting stops at about `limit` rows."""

    def pending(self, tenant: str, ids: Sequence[str]) -> set[str]:
        """Those of these memories whose current version the index lacks, or holds without a vector; consistent.

        These are the pending and the set-aside ones.
        """

    def mark_indexed(
        self, memories: Sequence[Memory], *, by_writer: bool = False, behind: bool = False
    ) -> list[Memory]:
        """Record that the index now has exactly these versions; returns those that are not current, or not so any more.

        Of these, the ledger has another version, or the same one with less context, or none; they stay as they are.
        The caller must remove their rows: whoever changed them may have looked for rows before they were written.

        With `by_writer` the caller is the writer of these versions, right after it wrote them. In that case a memory
        stays pending if its version before was still pending when this one was written: the writer of that version
        may still write its row, and die before it removes the row again.

        With `behind`, those that were pending are behind from now on, in the same write: the other generation of the
        index lacks them (see Maintenance.mark_behind).
        """


class MessageStore(Protocol):
    """Raw messages: the context of short statements and the source of extractions."""

    def read_messages(
        self, tenant: str, refs: Sequence[MessageRef], *, most_chars: int | None = None
    ) -> dict[MessageRef, Message]:
        """Those of these messages that still exist; with `most_chars`, only the beginning of what each says.

        Then the work holds no more than JOBS_AT_ONCE bytes of whole messages at once, unless one has more.
        """

    def job_messages(self, tenant: str, job_id: str) -> list[Message]:
        """The messages of a job by position; empty when they no longer exist."""

    def messages_of_jobs(self, tenant: str, job_ids: Sequence[str]) -> tuple[dict[str, list[Message]], int]:
        """The messages of the first of these jobs, each by position, and how many jobs it has looked at.

        It looks at one at least, and at no more than have JOBS_AT_ONCE bytes of messages together. Jobs without
        messages are left out.
        """

    def messages_without_job(
        self, tenant: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Message], str | None]:
        """A message of each job that no longer exists but has messages, and the cursor of the next page.

        A call looks at about `limit` jobs, so a page may be empty although a cursor says that more follow. It ends
        early after JOBS_AT_ONCE bytes. A job whose messages are in several scopes occurs once for each scope.
        """

    def recent_messages(self, scope: Scope, *, since: str, before: str, limit: int) -> list[Message]:
        """The last `limit` messages of the exact scope with since <= created_at < before, the oldest first.

        There are fewer if the last ones have HISTORIES_AT_ONCE bytes, but at least one, if there is any.
        """

    def erase_messages(self, tenant: str, refs: Sequence[MessageRef], *, at: str) -> int:
        """Remove messages for good. Memories that have them as context lose that context and are marked pending.

        Returns the number of messages that existed. Repeating the call is harmless.
        """

    def erase_scope_messages(self, tenant: str, ids: Mapping[str, str], *, at: str) -> int:
        """`erase_messages` for every message whose scope has all `ids` (all of the tenant without ids)."""


class JobStore(Protocol):
    """Jobs, and which worker runs each."""

    def put_job(self, job: Job, messages: Sequence[Message], *, used: Sequence[Use] = ()) -> Job:
        """Store a new job with its messages atomically and count `used`. If the id exists, only return that job.

        Raises ErasedError for a new job that an erasure marker covers.
        """

    def accept_job(
        self, job: Job, messages: Sequence[Message], slots: Slots, *, used: Sequence[Use] = ()
    ) -> AcceptedJob:
        """`put_job`, and take one of the slots in the same transaction, if one is free and the job has not succeeded.

        It costs no call more than `put_job`, unless the slot that it looks at first is taken. See `take_slot`.
        """

    def job(self, tenant: str, job_id: str) -> Job | None:
        """The job, or None when it does not exist."""

    def jobs(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[Job], str | None]:
        """The tenant's jobs, newest first by (created_at, id), and the cursor of the next page.

        A page may be shorter than `limit`, even empty, although a cursor says that more follow. It ends early after
        JOBS_AT_ONCE bytes.
        """

    def count_jobs(self, tenant: str, *, limit: int) -> int | None:
        """The number of jobs, counted up to `limit` + 1; None if it cannot be counted without reading them."""

    def claim_job(self, tenant: str, job_id: str, *, owner: str, now: str, until: str) -> Job | None:
        """Make a PENDING job, or a RUNNING one with an expired lease, RUNNING for `owner` and count the attempt.

        Returns None when the job is finished or unknown, when another worker's lease is still valid, or when a marker
        that hides data covers the job.
        """

    def update_job(self, job: Job, *, held: Job, used: Sequence[Use] = ()) -> bool:
        """Replace the job if it is still as the caller read it (`held`); otherwise return False and change nothing.

        What it used is counted in the same transaction.

        It is unchanged while state, lease_owner, lease_until, attempts and updated_at are the same. So a job that
        has ended in the meantime stays ended; only a caller that read it as FAILED can make it PENDING again.
        """


class LeaseStore(Protocol):
    """Leases by name, so that there is one writer at a time."""

    def acquire_lease(self, name: str, *, owner: str, now: str, until: str) -> bool:
        """Take or extend the lease; False while another owner's lease has not expired."""

    def lease_until(self, name: str) -> str | None:
        """When the lease ends or has ended; None when there is none."""

    def release_lease(self, *names: str, owner: str) -> None:
        """Give up the leases, in one call; harmless for those that `owner` does not hold."""

    def take_slot(self, slots: Slots) -> str | None:
        """Take a slot that is free or whose time is over; None while the others have all of them.

        The slot is a lease, which `release_lease` gives up.
        """


class DocumentStore(Protocol):
    """Small records by (tenant, kind, id)."""

    def put_document(self, document: Document) -> bool:
        """Store version 1 of a new document, or the version after the stored one; otherwise return False, unchanged.

        A later version has the `created_at` of the first one, which distinguishes the document from an earlier one
        with the same id that was deleted. The content of the version before is erased.

        A document that belongs to a memory (`OF_MEMORIES`) is refused in the same way if the memory is deleted, and the
        `append` that deletes a memory erases its documents: neither leaves one, whichever is first.
        """

    def document(self, tenant: str, kind: str, id_: str) -> Document | None:
        """The document, or None when it does not exist; consistent."""

    def documents(
        self, tenant: str, kind: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Document], str | None]:
        """The tenant's documents of a kind, newest first by (created_at, id), and the cursor of the next page.

        A page may be shorter than `limit`, even empty, although a cursor says that more follow.
        """

    def count_documents(self, tenant: str, kind: str, *, limit: int) -> int:
        """How many documents of a kind the tenant has, at most `limit`; consistent. Their bodies are not read."""

    def delete_document(self, tenant: str, kind: str, id_: str) -> bool:
        """Erase the document for good; False when there was none."""


class IdempotencyStore(Protocol):
    """Answers by (tenant, name). The name contains the method, the path and the client's key."""

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
        """Store the record and return None, so that the caller may go on; or return the record that prevents it.

        A record is taken over when it has expired, or when it has the same fingerprint and its `lease_until` is over.
        So is `over`: an unfinished record that, as the caller knows, nobody works on, or an answer that shows what
        has been erased.
        """

    def finish_request(
        self, tenant: str, name: str, record: IdempotencyRecord, *, began: IdempotencyRecord, expires_at: str
    ) -> None:
        """Store the answer until `expires_at` in place of the record that the request `began` with.

        Nothing is stored when another request has taken the record over, or when a memory in the answer has been
        deleted.
        """

    def drop_request(self, tenant: str, name: str, *, began: IdempotencyRecord) -> None:
        """Remove the record that a failed request `began` with, so that it can be tried again; others' stay."""


class ErasureStore(Protocol):
    """The erasures of each tenant, their numbers, and the markers that hide what they cover.

    The other stores show what a marker covers: `service/access/hiding_ledger.py` hides it.
    """

    def erasure_state(self, tenant: str) -> ErasureState:
        """The tenant's last number and how many markers hide data; consistent. One small read."""

    def erasures_beside(self, tenant: str) -> AbstractContextManager[ErasuresBeside]:
        """While the context is open, the next read of this thread brings the erasure state along, at no call more.

        It is read before what it judges, or in the same batch (DynamoDB). That holds for `read`, `read_some`,
        `history_portion`, `read_messages`, `recent_messages`, `list_memories`, `kept_totals`, `entity`, `job`, `jobs`,
        `known_names` and `page_end`, if they find anything. What other reads find must be judged by an `erasure_state`
        that was read before them.
        """

    def erasure_markers(self, tenant: str, *, beyond: int) -> list[ErasureMarker]:
        """The markers with a higher number than `beyond` that hide data, by number; others may be among them.

        It contains every marker that hid data when `erasure_state` was last read.
        """

    def digest_key(self) -> bytes:
        """The key of the digests that stand for ids in records that outlive them; the same in each copy, for ever.

        The adapters use it for the names of requests, leases and page ends, too.
        """

    def begin_erasure(self, tenant: str, targets: Sequence[Target], *, at: str) -> Erasure:
        """Take the tenant's next number and write the marker of these targets, in one transaction.

        From then on, `append` and `put_job` refuse what the marker covers, except deletions.
        """


class NameStore(Protocol):
    """The names of speakers, as digests, by their owners (domain/known_names.py)."""

    def known_names(self, tenant: str, owners: Sequence[NameOwner]) -> dict[NameOwner, NameRecord]:
        """The records of those of these owners that have any; consistent, one read."""

    def note_names(self, scope: Scope, names: Sequence[NoteworthyName], *, erasures_before: int) -> None:
        """Note in the records of the scope's owners what is new; what others note at the same time stays.

        `erasures_before` is the number that the messages carry. Nothing is noted if a marker covers them, or if the
        tenant is being deleted.
        """


class PageEndStore(Protocol):
    """Where pages ended, by (tenant, name). The name identifies list, filter, page and asker; it holds no plain id."""

    def keep_page_end(self, tenant: str, name: str, end: PageEnd, *, now: str, expires_at: str) -> None:
        """Store the end of a page until `expires_at` in place of an earlier one. Ends expired by `now` may go."""

    def page_end(self, tenant: str, name: str, *, now: str) -> PageEnd | None:
        """The end of the page; None if it is unknown or has expired."""


class RequestLedger(
    MemoryStore,
    MessageStore,
    JobStore,
    LeaseStore,
    DocumentStore,
    IdempotencyStore,
    ErasureStore,
    PageEndStore,
    NameStore,
    Protocol,
):
    """What requests need, in one store, so that changes that belong together are one transaction."""
