"""What `forgetless check` found: counts, samples, and findings with the command that mends each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["AFRESH", "REINDEX", "RESTORE", "Finding", "StoreReport", "TenantReport", "Verdict"]

#: What mends what, as it is typed: by who uses `make up`, and by everybody else.
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
    """One thing that is wrong, and the command that mends it."""

    about: Verdict
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class TenantReport:
    """Ledger and index of one tenant (or of all: `tenant` is None) beside each other.

    `memories` and `pending` are the ledger's, `indexed` are the index's rows. Of `sampled` memories `missing` had no
    row, of `sampled_rows` rows `stray` had no memory. Not `exact`: there are at least so many.
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


@dataclass(frozen=True, slots=True)
class StoreReport:
    """The whole of it; `tenants_complete`: no tenant was left out."""

    collection: str
    looked_at: str
    total: TenantReport | None = None
    tenants: tuple[TenantReport, ...] = ()
    tenants_complete: bool = True
    findings: tuple[Finding, ...] = ()
    #: It may have been for a moment: who acts on it should ask again.
    index_answers_with_errors: bool = False

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings."""
        about = {finding.about for finding in self.findings}
        return next((one for one in (Verdict.LEDGER, Verdict.INDEX) if one in about), Verdict.SOUND)
