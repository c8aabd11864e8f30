"""StoreCheck: examines the ledger and compares it with the index, for all tenants.

A check changes nothing, its work is bounded, and others may write meanwhile. A difference that may come from a write
in progress is looked at again. If it may still come from one, it is not reported.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from forgetless.domain.errors import IndexDamagedError, LedgerDamagedError
from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.memory import Memory
from forgetless.domain.recipe import Recipe
from forgetless.domain.recipes import CURRENT
from forgetless.ports.clock import Clock
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger
from forgetless.service.stores.report import AFRESH, REINDEX, RESTORE, Finding, StoreReport, TenantReport, Verdict
from forgetless.service.stores.samples import Samples

__all__ = ["MOST_TENANTS", "SAMPLES", "StoreCheck", "damage"]

#: At most this many tenants are compared one by one. The total of all tenants is always compared.
MOST_TENANTS = 200
#: The most samples of one tenant, and of all tenants together.
SAMPLES, ALL_SAMPLES = 100, 2000
#: A tenant's memories are counted up to this number.
MOST_COUNTED = 1_000_000
#: A difference in the counts is reported only if this many counts in a row show it.
_LOOKS = 3
_PAUSE_S = 0.5
#: Duplicate rows do no harm. Surplus rows are a finding only if they exceed this number and a tenth of the memories.
_SOME_DOUBLES = 100


class StoreCheck:
    """Compares one collection with the ledger."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        index: Index,
        clock: Clock,
        collection: str,
        recipe: Recipe = CURRENT,
        past_is_filled: bool = False,
    ) -> None:
        """`past_is_filled` says whether the index should have all rows of the past; after an upgrade, it does later."""
        self._past_is_filled = past_is_filled
        self._ledger = ledger
        self._index = index
        self._recipe = recipe
        self._samples = Samples(ledger=ledger, index=index)
        self._collection = collection
        self._clock = clock

    def inside_the_ledger(self, *, seconds: float, thorough: bool) -> StoreReport:
        """Examine the ledger alone, for about so many `seconds`. A damaged ledger is a finding, not an exception."""
        try:
            faults = self._ledger.faults(seconds=seconds, thorough=thorough)
        except LedgerDamagedError as error:
            return StoreReport(self._collection, "nothing", findings=(damage(error.reason),))
        found = tuple(map(damage, faults.found))
        return StoreReport(self._collection, faults.looked_at, findings=found)

    def run(
        self, *, tenant: str | None = None, samples: int = SAMPLES, seconds: float = 60.0, thorough: bool = False
    ) -> StoreReport:
        """Examine the ledger and, if it is sound, compare the index with it.

        Raises IndexUnavailableError or LedgerError when one of them does not answer.
        """
        report = self.inside_the_ledger(seconds=seconds, thorough=thorough)
        return report if report.findings else self.beside_each_other(report, tenant=tenant, samples=samples)

    def beside_each_other(
        self, report: StoreReport, *, tenant: str | None = None, samples: int, tenants: int = MOST_TENANTS
    ) -> StoreReport:
        """Add to the report how the index compares with the ledger.

        If there are more than `tenants` tenants, that many are chosen at random.
        """
        try:
            return self._compared(report, tenant, samples, tenants)
        except IndexDamagedError as error:
            text = f"the index answers with an error: {error.message}"
            finding = Finding(Verdict.INDEX, text, AFRESH)
            return replace(report, findings=(*report.findings, finding), index_answers_with_errors=True)

    def _compared(self, report: StoreReport, only: str | None, samples: int, most: int) -> StoreReport:
        known, complete = ([only], True) if only is not None else self._ledger.tenants(limit=MOST_TENANTS)
        if len(known) > most:
            known, complete = random.sample(known, most), False
        each = min(samples, max(2, ALL_SAMPLES // max(1, len(known))))
        tenants, findings = [], []
        total = None
        if only is None:
            total, wrong = self._counted(None)
            findings += wrong
        for tenant in known:
            # If the index holds nothing at all, one count of each tenant is enough.
            gone = total is not None and not total.indexed
            counted, wrong = self._counted(tenant, looks=1 if gone else _LOOKS)
            sampled, worse = self._sampled(counted, tenant, each)
            tenants.append(sampled)
            findings += [*wrong, *worse]
        if total is not None and complete and total.indexed > sum(one.indexed for one in tenants):
            findings += self._of_nobody(known)
        return replace(
            report,
            total=total,
            tenants=tuple(tenants),
            tenants_complete=complete,
            findings=(*report.findings, *findings),
        )

    def _counted(self, tenant: str | None, *, looks: int = _LOOKS) -> tuple[TenantReport, list[Finding]]:
        """Count memories and rows. A difference beyond the pending memories is a finding if every look shows it."""
        for look in range(1, looks + 1):
            before = self._ledger.tally(tenant, limit=MOST_COUNTED)
            rows = self._index.count(tenant)
            after = self._ledger.tally(tenant, limit=MOST_COUNTED)
            pending = max(before.pending, after.pending)
            aside = max(before.set_aside, after.set_aside)
            least = min(before.live, after.live) - pending - aside
            most = max(before.live, after.live) + pending
            exact = before.exact and after.exact
            counted = TenantReport(tenant, after.live, after.pending, rows, exact, set_aside=after.set_aside)
            lacking = rows < least and (exact or rows == 0) and not self._may_be_erased(tenant, rows)
            surplus = exact and rows > most + max(_SOME_DOUBLES, most // 10)
            if not lacking and not surplus:
                return counted, []
            if look < looks:
                self._clock.sleep(_PAUSE_S)
        whose = "all tenants" if tenant is None else f"tenant {tenant!r}"
        if lacking:
            text = f"the index holds {rows:,} rows of {whose} for {least:,} memories that it should hold"
            return counted, [Finding(Verdict.INDEX, text, REINDEX)]
        text = f"the index holds {rows:,} rows of {whose} for {most:,} memories"
        return counted, [Finding(Verdict.INDEX, text, AFRESH)]

    def _may_be_erased(self, tenant: str | None, rows: int) -> bool:
        """Whether memories that the index lacks may be those that an erasure hides and has not removed yet."""
        if tenant is None:
            return bool(self._ledger.open_erasures(limit=1, each=1))
        if not self._ledger.erasure_state(tenant).hiding:
            return False
        shown = [] if rows else [memory.id for memory in self._ledger.sample(tenant, limit=SAMPLES)]
        return set(shown) == self._ledger.pending(tenant, shown)

    def _sampled(self, counted: TenantReport, tenant: str, limit: int) -> tuple[TenantReport, list[Finding]]:
        if limit <= 0 or not counted.indexed:
            return counted, []
        sampled, missing = self._samples.missing(tenant, limit)
        rows, stray = self._samples.stray(tenant, limit)
        findings = [*self._probed(tenant), *self._sampled_past(tenant, limit)]
        if missing:
            text = f"{len(missing)} of {sampled} sampled memories of tenant {tenant!r} are not in the index"
            findings.append(Finding(Verdict.INDEX, f"{text}, such as {missing[0][0]}", REINDEX))
        if stray:
            text = f"{len(stray)} of {rows} sampled rows of tenant {tenant!r} match no live memory in the ledger"
            findings.append(Finding(Verdict.INDEX, f"{text}, such as {stray[0][0]} version {stray[0][1]}", AFRESH))
        report = replace(counted, sampled=sampled, missing=len(missing), sampled_rows=rows, stray=len(stray))
        return report, findings

    def _sampled_past(self, tenant: str, limit: int) -> Iterator[Finding]:
        sampled, missing = self._samples.missing_past(tenant, limit) if self._past_is_filled else (0, [])
        rows, stray = self._samples.stray_past(tenant, limit)
        if missing:
            text = f"{len(missing)} of {sampled} sampled changed memories of tenant {tenant!r} lack past versions"
            yield Finding(Verdict.INDEX, f"in the index, {text}, such as {missing[0][0]}", REINDEX)
        if stray:
            text = f"{len(stray)} of {rows} sampled past rows of tenant {tenant!r} are of no memory in the ledger"
            yield Finding(Verdict.INDEX, f"{text}, such as {stray[0][0]} version {stray[0][1]}", AFRESH)

    def _probed(self, tenant: str) -> Iterator[Finding]:
        """Search by meaning and by words for a memory that the index holds; report a search that finds nothing."""
        sample = self._ledger.sample(tenant, limit=3)
        held = self._index.vectors(tenant, [(memory.id, memory.version) for memory in sample])
        found: Memory | None = next((one for one in sample if held.get((one.id, one.version))), None)
        if found is None:
            return
        if not self._index.search_vector(tenant, held[found.id, found.version], EVERYTHING, 1)[0]:
            yield Finding(Verdict.INDEX, f"no search by meaning finds anything of tenant {tenant!r}", AFRESH)
        words = self._recipe.probe(found.text)
        if words and not self._index.search_words(tenant, words, EVERYTHING, 1)[0]:
            yield Finding(Verdict.INDEX, f"no search by words finds anything of tenant {tenant!r}", AFRESH)

    def _of_nobody(self, known: Sequence[str]) -> list[Finding]:
        """Rows of tenants that the ledger does not know."""
        for look in range(1, _LOOKS + 1):
            rows = self._index.count()
            rest = rows - sum(self._index.count(tenant) for tenant in known)
            if rest <= 0:
                return []
            known, complete = self._ledger.tenants(limit=MOST_TENANTS)
            if not complete:
                return []
            if look < _LOOKS:
                self._clock.sleep(_PAUSE_S)
        return [Finding(Verdict.INDEX, f"{rest:,} rows of the index belong to no tenant of the ledger", AFRESH)]


def damage(reason: str) -> Finding:
    """The finding for a ledger that is damaged inside."""
    return Finding(Verdict.LEDGER, f"the ledger is damaged: {reason}", RESTORE)
