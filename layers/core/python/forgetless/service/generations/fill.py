"""FillWork: the job that fills another generation of the index and lets it serve, in portions.

The record says how far it has come, and each step begins with one conditional write of it:

1. SPREADING: wait until every process notes what the new generation lacks. What its collection may hold is dropped.
2. FILLING: mark every memory as behind that it lacks, then bring what is behind. Whatever changes meanwhile is behind
   again, so nothing that changed since the beginning has to be looked for. A way back begins here, too.
3. READY: compare, and go on only if the new generation holds and finds what the serving one does.
4. JOINING: wait until every write goes to both, bring the rest, and switch.
5. SETTLING: wait until every process searches in the new one, and bring the old one what it lacks.

It may be killed at any moment: a portion that is done again marks and brings again, which is harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from forgetless.domain.bulk_jobs import BulkJob, Progress
from forgetless.domain.errors import DependencyError
from forgetless.domain.generations import KNOWN_S, Generations, Phase
from forgetless.domain.memory import Memory
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.generations.agreement import AgreementCheck
from forgetless.service.generations.beside import OtherGenerations
from forgetless.service.generations.drain import Drain
from forgetless.service.generations.opened import Openings
from forgetless.service.generations.record import GenerationRecord
from forgetless.service.generations.walk import Walk, lacking_past
from forgetless.service.jobs.bulk import has_moved

__all__ = ["FillWork"]

#: How many memories are marked at once.
PAGE = 500
#: The most set-aside memories that are tried in the new generation.
_ASIDE = 1000
#: A switch that is not done after so long is given up: until then, every write takes longer.
_LONGEST_JOINING_S = 900.0
#: A request that began before every process knew of a switch has ended after this.
_REQUEST_S = 30.0
#: How long the job waits for an erasure that has not ended: its rows count in the ledger and may be gone in an index.
_ERASURE_S = 5.0


class FillWork:
    """The portions of the job; `job.done` counts the memories that were brought."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        record: GenerationRecord,
        openings: Openings,
        beside: OtherGenerations,
        drain: Drain,
        check: AgreementCheck,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._record = record
        self._openings = openings
        self._beside = beside
        self._drain = drain
        self._check = check
        self._clock = clock
        self._steps: Mapping[Phase, Callable[[BulkJob, Generations, float], Progress]] = {
            Phase.SPREADING: self._spread,
            Phase.FILLING: self._fill,
            Phase.READY: self._decide,
            Phase.JOINING: self._join,
            Phase.SETTLING: self._settle,
        }

    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        """See `service.jobs.bulk.PortionWork`."""
        known = self._record.now()
        if known.job != job.id:
            return _ended(job)  # another job has taken its place, or the generation was dropped
        step = self._steps.get(known.phase)
        return _ended(job) if step is None else step(job, known, deadline)

    def _spread(self, job: BulkJob, known: Generations, deadline: float) -> Progress:
        del deadline
        assert known.other is not None
        if job.cursor is None:
            self._openings.of(known.other).index.drop_all()
        if (wait_s := KNOWN_S - known.seconds(self._clock.now())) > 0:
            return _at({"step": "wait"}, job, wait_s=wait_s)
        self._enter(job, Phase.SPREADING, Phase.FILLING)
        return _at({"step": "mark"}, job)

    def _fill(self, job: BulkJob, known: Generations, deadline: float) -> Progress:
        cursor = dict(job.cursor or {})
        if cursor.get("step") != "bring":
            total = self._ledger.tally(limit=PAGE * PAGE).live
            cursor = self._mark(job, known, cursor, deadline)
            return replace(_at(cursor, job), total=max(total, job.done))
        stopped = self._stopped(job, deadline)
        drained = self._drain.run(known, stopped)
        progress = replace(_at(cursor, job), done=job.done + drained.brought, set_aside=job.set_aside + drained.refused)
        if not drained.ended:
            return progress
        tried, ended = self._bring_set_aside(known, int(cursor.get("aside", 0)), stopped)
        progress = replace(progress, cursor={**cursor, "aside": tried})
        if ended:
            filled = known.other.collection if known.other is not None else ""
            self._record.change(lambda held: held.with_past(filled))
            self._enter(job, Phase.FILLING, Phase.READY)
        return progress

    def _mark(self, job: BulkJob, known: Generations, cursor: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """Mark those of the next memories as behind that the other generation lacks; returns the place after them."""
        walk, stopped = Walk.of(cursor), self._stopped(job, deadline)
        while not walk.ended:
            walk, memories = walk.step(self._ledger, limit=PAGE)
            self._ledger.mark_behind(self._lacking(known, memories), at=self._clock.now())
            if stopped():
                return {"step": "mark", **walk.cursor()}
        return {"step": "bring"}

    def _lacking(self, known: Generations, memories: Sequence[Memory]) -> list[Memory]:
        """Those of these memories of one tenant that the other generation does not hold, or not with their past."""
        assert known.other is not None
        index = self._openings.of(known.other).index
        keys = [(memory.id, memory.version) for memory in memories if memory.live]
        held = index.held(memories[0].scope.tenant, keys) if keys else set()
        without_past = {memory.id for memory in lacking_past(index, memories)}
        return [
            memory
            for memory in memories
            if memory.id in without_past or (memory.live and (memory.id, memory.version) not in held)
        ]

    def _bring_set_aside(self, known: Generations, tried: int, stopped: Callable[[], bool]) -> tuple[int, bool]:
        """Try what embedder or index of the serving generation refuse: those of the new one may take it.

        Of their list, `tried` were tried before. Returns how many are tried now, and whether that is all.
        """
        assert known.other is not None
        for one in self._ledger.set_aside(limit=_ASIDE)[tried:]:
            self._beside.bring(known.other, list(self._ledger.read(one.tenant, [one.memory_id]).values()))
            tried += 1
            if stopped():
                return tried, False
        return tried, True

    def _decide(self, job: BulkJob, known: Generations, deadline: float) -> Progress:
        if not known.switching:
            return _ended(job)
        progress, ended = self._bring_rest(job, known, deadline)
        if not ended:
            return progress
        if not known.forced and (refusal := self._refusal(known)):
            return self._refused(job, progress, refusal)
        self._enter(job, Phase.READY, Phase.JOINING)
        return replace(progress, wait_s=KNOWN_S)

    def _join(self, job: BulkJob, known: Generations, deadline: float) -> Progress:
        now = self._clock.now()
        if known.seconds(now) > _LONGEST_JOINING_S:
            self._refuse(job, f"after {_LONGEST_JOINING_S:.0f} s it still lacked memories, so it was not switched")
            return _ended(job)
        if (wait_s := KNOWN_S - known.seconds(now)) > 0:
            return _at({"step": "bring"}, job, wait_s=wait_s)
        progress, ended = self._bring_rest(job, known, deadline)
        if not ended:
            return progress
        if not known.forced and (refusal := self._rows_refusal(known)):
            return self._refused(job, progress, refusal)
        now = self._clock.now()
        self._record.change(lambda held: held.switched(now) if _is_at(held, job, Phase.JOINING) else None)
        return replace(progress, wait_s=KNOWN_S + _REQUEST_S)

    def _bring_rest(self, job: BulkJob, known: Generations, deadline: float) -> tuple[Progress, bool]:
        """Bring what is behind and then what is pending; whether nothing of that was left."""
        stopped = self._stopped(job, deadline)
        after = str((job.cursor or {}).get("pending", ""))
        drained = self._drain.run(known, stopped)
        progress = replace(_at({"step": "bring", "pending": after}, job), done=job.done + drained.brought)
        if not drained.ended:
            return progress, False
        place = self._drain.bring_pending(known, stopped, after=after)
        cursor = {"step": "bring"} if place is None else {"step": "bring", "pending": place}
        return replace(progress, cursor=cursor), place is None

    def _settle(self, job: BulkJob, known: Generations, deadline: float) -> Progress:
        if (wait_s := KNOWN_S + _REQUEST_S - known.seconds(self._clock.now())) > 0:
            return _at({"step": "bring"}, job, wait_s=wait_s)
        drained = self._drain.run(known, self._stopped(job, deadline))
        if not drained.ended:
            return replace(_at({"step": "bring"}, job), done=job.done + drained.brought)
        # What the old one refused, the new one may take.
        self._ledger.retry_set_aside(at=self._clock.now())
        reason = self._is_gone(known)
        self._enter(job, Phase.SETTLING, Phase.STALE if reason else Phase.OLD, reason=reason)
        return _ended(job)

    def _is_gone(self, known: Generations) -> str:
        """Why the old generation cannot be kept up to date; empty if it can."""
        assert known.other is not None
        try:
            self._openings.of(known.other).embedder.ping()
        except DependencyError as error:
            return error.message
        return ""

    def _refused(self, job: BulkJob, progress: Progress, reason: str) -> Progress:
        """The end of a job whose generation may not serve, unless an erasure explains it that has not ended."""
        if self._ledger.open_erasures(limit=1, each=1):
            return replace(progress, wait_s=_ERASURE_S)
        self._refuse(job, reason)
        return replace(progress, cursor=None)

    def _refusal(self, known: Generations) -> str:
        """Why the other generation may not serve; empty if it may."""
        if reason := self._rows_refusal(known):
            return reason
        agreement = self._check.measure(known)
        return "" if agreement.enough else f"only {agreement.shown}"

    def _rows_refusal(self, known: Generations) -> str:
        if resting := self._drain.resting():
            return f"its embedder or index refuse {resting} memories, which the log names"
        rows = self._check.rows(known)
        return "" if rows.agree else f"it holds {rows.other:,} rows, and the serving one {rows.serving:,}"

    def _refuse(self, job: BulkJob, reason: str) -> None:
        now = self._clock.now()

        def refused(held: Generations) -> Generations | None:
            # It waits, filled and kept up to date. One that served before is as old as it was.
            waits = Phase.OLD if held.declined else Phase.READY
            ours = held.job == job.id and held.phase in {Phase.READY, Phase.JOINING}
            changes = {"switching": False, "forced": False, "declined": "", "reason": reason}
            return held.entering(waits, now, **changes) if ours else None

        self._record.change(refused)

    def _enter(self, job: BulkJob, phase: Phase, following: Phase, *, reason: str = "") -> None:
        """Enter the next phase, unless another worker has done so."""
        now = self._clock.now()
        self._record.change(
            lambda held: held.entering(following, now, reason=reason) if _is_at(held, job, phase) else None
        )

    def _stopped(self, job: BulkJob, deadline: float) -> Callable[[], bool]:
        return lambda: self._clock.monotonic() >= deadline or has_moved(self._ledger, job)


def _is_at(held: Generations, job: BulkJob, phase: Phase) -> bool:
    return held.job == job.id and held.phase is phase


def _at(cursor: Mapping[str, Any], job: BulkJob, *, wait_s: float = 0.0) -> Progress:
    return Progress(cursor, job.done, job.total, job.set_aside, wait_s=wait_s)


def _ended(job: BulkJob) -> Progress:
    return Progress(None, job.done, job.total, job.set_aside)
