"""Bulk jobs: work of any size (an erasure, a rebuild of the index, retention) that is done in portions, and its record.

The record of a job is a document. Its version counts every change, so a message or a worker that knows an older version
knows that somebody else has moved the job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from forgetless.domain.digests import keyed_digest
from forgetless.domain.documents import Document
from forgetless.domain.jobs import JobState
from forgetless.domain.retention import DAY_S

__all__ = [
    "BULK_JOB",
    "FILTERS",
    "MOST_RANGES",
    "MUST_END",
    "OF_CLIENTS",
    "OWNERS",
    "REMOVING",
    "TENANT_NAME",
    "TRANSFER_IDLE_S",
    "TRANSFER_KEPT_S",
    "BulkJob",
    "BulkKind",
    "Progress",
    "open_kind",
    "owners_of",
]

#: The kind of the documents that hold bulk jobs.
BULK_JOB = "bulk-job"
#: The largest number of ranges of a tenant that a reindex works on side by side.
MOST_RANGES = 4
#: The keys in a job's request with the conditions of a filter, and with digests of the users that the job is about.
FILTERS, OWNERS = "filters", "owners"
#: The key in the request of a tenant's deletion with the tenant's name.
TENANT_NAME = "tenant"
#: What a deletion keeps until it ends: it may hold what is erased, and ids.
_UNTIL_ITS_END = frozenset({FILTERS, TENANT_NAME, "ids", "names", "users", "agents", "apps"})
#: The fields of a job that are fields of its document; all others are in the document's body.
_OF_THE_DOCUMENT = frozenset({"id", "tenant", "created_at", "version", "due_at"})


class BulkKind(StrEnum):
    """What a bulk job does."""

    ERASE = "erase"
    #: A delete of what matches a filter.
    DELETE = "delete"
    REINDEX = "reindex"
    RETENTION = "retention"
    #: The deletion of a whole tenant. Its record belongs to no tenant.
    TENANT = "tenant"
    #: The filling of another generation of the index, for all tenants. Its record belongs to no tenant.
    FILL = "fill"
    #: The filling of the collection of the past, for all tenants, after an upgrade. Its record belongs to no tenant.
    PAST = "past"
    #: The worker of these two is a client, which sends or fetches one portion after the other.
    IMPORT = "import"
    EXPORT = "export"

    @classmethod
    def _missing_(cls, value: object) -> BulkKind:
        """A kind that a later version made: it is shown under its name, and nobody here works on it."""
        later = str.__new__(cls, value)
        later._name_ = later._value_ = str(value)
        return later


#: The kinds that count what they remove. If a portion of theirs is done again, it does not find what is gone already.
REMOVING = frozenset({BulkKind.ERASE, BulkKind.DELETE, BulkKind.RETENTION, BulkKind.TENANT})
#: The kinds that cannot be cancelled and are never given up.
MUST_END = frozenset({BulkKind.ERASE, BulkKind.TENANT})
#: The kinds that clients work on. They are due when their client has not gone on for so long; they then end. Their
#: records are removed so long after the end.
OF_CLIENTS = frozenset({BulkKind.IMPORT, BulkKind.EXPORT})
TRANSFER_IDLE_S, TRANSFER_KEPT_S = 7 * DAY_S, 30 * DAY_S


def open_kind(kind: BulkKind) -> str:
    """The kind of the documents that stand for those jobs of a client's kind that have not ended; they are counted."""
    return f"open-{kind}"


def owners_of(key: bytes, tenant: str, users: Iterable[str]) -> list[str]:
    """What stands for the users of a job when it has ended."""
    return sorted(keyed_digest(key, "owner", tenant, user) for user in users)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come after a portion.

    `done`, `total` and `set_aside` count for the whole job, not for the portion. `cursor` is where the next portion
    begins; None means that the job is finished.
    """

    cursor: Mapping[str, Any] | None
    done: int
    total: int | None = None
    set_aside: int = 0
    #: Further numbers for the job's record; those that are missing stay as they are.
    counts: Mapping[str, int] = field(default_factory=dict)
    #: How long the next portion waits. Its message may come earlier, because queues have a longest delay.
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class BulkJob:
    """One bulk job; `request` says what was asked for, in the form that its kind defines.

    If `request["ids"]` holds the ids of a scope, a key that is limited to the `user_id` among them may see the job.
    If `request["users"]` holds users, the job works for a key that is limited to these, and only on their memories.
    When it has ended, `request["owners"]` still holds digests of these users (`owners_of`), so the key sees the end.
    """

    id: str
    tenant: str
    kind: BulkKind
    state: JobState
    created_at: str
    updated_at: str
    request: Mapping[str, Any]
    #: Where the next portion begins; None before the first one, and when the job has ended.
    cursor: Mapping[str, Any] | None = None
    version: int = 1
    done: int = 0
    total: int | None = None
    #: Whether more may be done than `done` says (and, at its end, `total`): a worker died before it recorded a portion.
    done_at_least: bool = False
    #: The number of rows that could not be processed and were left out.
    set_aside: int = 0
    #: Further numbers, such as of the messages that an erasure removed.
    counts: Mapping[str, int] = field(default_factory=dict)
    cancelled: bool = False
    #: Why it failed, or, if it has not ended, why its last portion did.
    error: str | None = None
    #: How many portions were begun since one was last recorded. A worker that dies records none.
    attempts: int = 0
    #: How many portions failed since the last one that succeeded.
    failures: int = 0
    started_at: str | None = None
    completed_at: str | None = None
    #: When sweep (or, without a queue, the worker) takes it up, or removes it if it has ended; None: never.
    due_at: str | None = None

    @property
    def finished(self) -> bool:
        """Whether it has ended, successfully or not."""
        return self.state in {JobState.SUCCEEDED, JobState.FAILED}

    @property
    def users(self) -> tuple[str, ...]:
        """The users whose memories it is about; none when it may be about all users'."""
        user = str(self.ids.get("user_id") or "")
        return (user,) if user else tuple(self.request.get("users") or ())

    @property
    def ids(self) -> Mapping[str, Any]:
        """The ids of the scope that it is about; none when it is about others or has ended."""
        ids = self.request.get("ids")
        return ids if isinstance(ids, Mapping) else {}

    @property
    def request_after_its_end(self) -> Mapping[str, Any]:
        """What remains of the request when the job has ended: digests of the users at most."""
        return {name: value for name, value in self.request.items() if name not in _UNTIL_ITS_END}

    @property
    def owners(self) -> tuple[str, ...]:
        """Digests of `users`, which remain when the job has ended."""
        return tuple(self.request.get(OWNERS) or ())

    @property
    def results(self) -> tuple[Mapping[str, Any], ...]:
        """The memories that it made, as a job of an add names them: none."""
        return ()

    @property
    def lane(self) -> str:
        """What only one job of a tenant at a time may use: one for all kinds but reindex, with four, fill and past."""
        if self.kind is BulkKind.REINDEX:
            return f"reindex-{int(self.request.get('range', 0)) % MOST_RANGES}"
        if self.kind in {BulkKind.FILL, BulkKind.PAST}:
            return str(self.kind)
        return "any"

    def changed(self, at: str, **changes: Any) -> BulkJob:
        """The next version of the record, changed at this time."""
        return replace(self, version=self.version + 1, updated_at=at, **changes)

    def document(self) -> Document:
        """The job as the document that the ledger stores."""
        body = {name: getattr(self, name) for name in self.__slots__ if name not in _OF_THE_DOCUMENT}
        return Document(self.tenant, BULK_JOB, self.id, body, self.created_at, self.version, self.due_at)

    @classmethod
    def of(cls, document: Document) -> BulkJob:
        """The job that a document holds; fields that an older program did not write have their defaults."""
        body = {name: document.body[name] for name in cls.__slots__ if name in document.body}
        return cls(
            **{**body, "kind": BulkKind(body["kind"]), "state": JobState(body["state"])},
            id=document.id,
            tenant=document.tenant,
            created_at=document.created_at,
            version=document.version,
            due_at=document.due_at,
        )
