"""What `forgetless check` found: counts, samples, and findings, each with the command that repairs it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["AFRESH", "REINDEX", "RESTORE", "Finding", "OldId", "OldIds", "StoreReport", "TenantReport", "Verdict"]

#: The commands that repair a finding: for users of `make up`, and in parentheses for everybody else.
REINDEX = "make reindex (without make: forgetless reindex)"
AFRESH = "make reindex ARGS=--afresh (without make: forgetless reindex --afresh)"
RESTORE = "make restore FILE=... ARGS=--replace (without make: forgetless restore FILE --replace)"


class Verdict(StrEnum):
    """The worst that was found."""

    SOUND = "sound"
    INDEX = "the index must be rebuilt"
    LEDGER = "the ledger is damaged or lost"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and the command that repairs it."""

    about: Verdict
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class TenantReport:
    """How ledger and index of one tenant compare; `tenant` is None for all tenants together.

    `memories` and `pending` are counts in the ledger, `indexed` is the number of rows in the index. Of the `sampled`
    memories, `missing` had no row. Of the `sampled_rows` rows, `stray` had no memory. If not `exact`, the counts are
    lower limits.
    """

    tenant: str | None
    memories: int
    pending: int
    indexed: int
    exact: bool = True
    sampled: int = 0
    missing: int = 0
    sampled_rows: int = 0
    stray: int = 0
    #: Memories that embedder or index refuse, so that they are not indexed.
    set_aside: int = 0


@dataclass(frozen=True, slots=True)
class OldId:
    """An id that an earlier version stored; new data cannot have it (`forgetless.domain.identifiers`)."""

    tenant: str
    #: user, agent, app or run.
    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class OldIds:
    """Some such ids, or all of them if `complete`."""

    found: tuple[OldId, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class StoreReport:
    """The whole result of a check; `tenants_complete` is false if some tenants were left out."""

    collection: str
    looked_at: str
    total: TenantReport | None = None
    tenants: tuple[TenantReport, ...] = ()
    tenants_complete: bool = True
    findings: tuple[Finding, ...] = ()
    #: The errors may have been temporary, so check again before acting on them.
    index_answers_with_errors: bool = False
    #: They are no fault: such ids are read and erased by their exact spelling.
    old_ids: OldIds = OldIds()

    @property
    def verdict(self) -> Verdict:
        """The worst verdict among the findings."""
        about = {finding.about for finding in self.findings}
        return next((one for one in (Verdict.LEDGER, Verdict.INDEX) if one in about), Verdict.SOUND)
