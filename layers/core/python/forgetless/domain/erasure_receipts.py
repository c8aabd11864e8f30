"""Erasure receipts: what the record of an erasure still says when it is over, without the id of anybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from forgetless.domain.bulk_jobs import MUST_END, OWNERS, TENANT_NAME, BulkJob, owners_of
from forgetless.domain.digests import keyed_digest
from forgetless.domain.erasures import Erasure, Target, marked
from forgetless.domain.jobs import JobState

__all__ = ["Cleaning", "Receipt", "receipt_of", "request_of", "request_of_deletion", "scope_digests_of"]

#: Where rows are removed, and where the erasure is noted.
_STORES = ("ledger", "index", "log of erasures")
_MESSAGES = "messages"


@dataclass(frozen=True, slots=True)
class Cleaning:
    """One rewriting of the index's files, which then hold nothing that was deleted from the index before `at`.

    It says nothing of tenants that had `pending` memories when sweep looked before it, at `since`, nor of deletions
    after that: their rows may not have been deleted from the index yet.
    """

    at: str
    since: str
    pending: tuple[str, ...] = ()

    def covers(self, job: BulkJob) -> bool:
        """Whether the rows of the erasure are gone from the files."""
        return job.completed_at is not None and job.completed_at <= self.since and job.tenant not in self.pending


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased: the kind of its scope, digests of its ids with a key, when, from which stores, and how much.

    `index_clean_at` is None until the index's files were rewritten, and always where Forgetless does not do that.
    """

    kind: tuple[str, ...]
    scope: tuple[Mapping[str, Any], ...]
    begun_at: str
    completed_at: str | None
    stores: tuple[str, ...]
    counts: Mapping[str, int]
    #: Whether more may have been removed than `counts` says, because a worker died before it recorded it.
    counts_are_lower_bounds: bool
    index_clean_at: str | None

    def record(self) -> dict[str, Any]:
        """The receipt as plain JSON."""
        return asdict(self)


def request_of(key: bytes, erasure: Erasure) -> dict[str, Any]:
    """What the record of the erasure's job says. The ids stay in the erasure, which loses them when it ends."""
    names = {name for target in erasure.targets for name in (*target.ids, *target.names)}
    kind = sorted(name.removesuffix("_id") for name in names) or ["tenant"]
    users = [target.ids.get("user_id", "") for target in erasure.targets]
    return {
        # A key that is limited to all of these users may see it.
        **({OWNERS: owners_of(key, erasure.tenant, users)} if all(users) else {}),
        "number": erasure.number,
        "kind": kind,
        "scope": scope_digests_of(key, erasure.tenant, erasure.targets),
        "begun_at": erasure.begun_at,
    }


def request_of_deletion(key: bytes, tenant: str, *, begun_at: str) -> dict[str, Any]:
    """What the record of a tenant's deletion says; the name goes when it ends."""
    digest = keyed_digest(key, "receipts", "tenant", tenant)
    return {TENANT_NAME: tenant, "kind": ["tenant"], "scope": [{"tenant": digest}], "begun_at": begun_at}


def scope_digests_of(key: bytes, tenant: str, targets: Iterable[Target]) -> list[dict[str, Any]]:
    """The targets as a receipt names them; the same ids of a tenant give the same digests."""
    own = keyed_digest(key, "receipts", tenant).encode()
    return [{**target.digests, **dict.fromkeys(target.names, "*")} for target in marked(own, tuple(targets))]


def receipt_of(job: BulkJob, cleanings: Iterable[Cleaning]) -> Receipt | None:
    """The receipt of an erasure's or a tenant's deletion's job, also while it runs; None for any other job.

    There is none for an erasure that an earlier version began.

    `cleanings` are in the order of their times.
    """
    if job.kind not in MUST_END or "scope" not in job.request:
        return None
    ended = job.state is JobState.SUCCEEDED
    return Receipt(
        kind=tuple(job.request["kind"]),
        scope=tuple(job.request["scope"]),
        begun_at=str(job.request["begun_at"]),
        completed_at=job.completed_at if ended else None,
        stores=_STORES,
        counts={"memories": job.done, _MESSAGES: 0, **job.counts},
        counts_are_lower_bounds=job.done_at_least,
        index_clean_at=next((one.at for one in cleanings if ended and one.covers(job)), None),
    )
