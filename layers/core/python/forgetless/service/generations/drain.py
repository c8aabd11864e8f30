"""Drain: brings the other generation what it lacks, a portion of each tenant in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forgetless.domain.generations import Generation, Generations, Phase
from forgetless.domain.memory import Memory
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.generations.beside import OtherGenerations
from forgetless.service.generations.opened import Openings
from forgetless.service.jobs.reindex import Refreshed, refreshed_in_portions
from forgetless.service.writing.indexer import by_tenant

__all__ = ["Drain", "Drained"]

#: How many memories are read, embedded and written at once, and the most tenants that are looked at.
PORTION = 100
#: How many pending memories of a tenant are looked at before a switch. While an import goes on, there are more.
_PENDING, _PENDING_BYTES = 2000, 32 * 1024 * 1024
_TENANTS = 1000
#: Later than any memory rests that was refused.
_RESTING_S = 7200.0
#: In these, a write may have gone to the old generation alone, when the new one did not serve everywhere yet.
_LATE_SERVING = frozenset({Phase.SETTLING, Phase.OLD, Phase.STALE})


@dataclass(frozen=True, slots=True)
class Drained:
    """How many memories were brought; `ended` says that nothing was left that was behind when it began."""

    brought: int
    refused: int
    ended: bool


class Drain:
    """The work of the job that fills a generation, and of sweep for one that is kept up to date."""

    def __init__(self, *, ledger: Ledger, openings: Openings, beside: OtherGenerations, clock: Clock) -> None:
        self._ledger = ledger
        self._openings = openings
        self._beside = beside
        self._clock = clock

    def run(self, known: Generations, stopped: Callable[[], bool]) -> Drained:
        """Bring what is behind now, until `stopped`, which is asked within a portion and after it."""
        # After a switch, nothing rests any more: what the new one refused is noted in the ledger as for every write.
        settling = known.phase is Phase.SETTLING
        before = later(self._clock.now(), _RESTING_S if settling else 0.0)
        brought = refused = 0
        for tenant in self._ledger.behind_tenants(limit=_TENANTS):
            seen: set[str] = set()
            while True:
                found = self._ledger.behind(tenant, before=before, limit=PORTION)
                memories = [memory for memory in found if memory.id not in seen]
                if not memories:
                    break
                seen |= {memory.id for memory in memories} if settling else set()
                done = self._bring(known, memories, stopped)
                refused += done.refused
                brought += len(memories) - done.left
                if stopped():
                    return Drained(brought, refused, ended=False)
        return Drained(brought, refused, ended=True)

    def bring_pending(self, known: Generations, stopped: Callable[[], bool], *, after: str = "") -> str | None:
        """Bring what is pending and still in the serving generation, such as memories whose context was erased.

        Sweep indexes them anew and so marks them as behind, but a switch may come before that. It looks at the tenants
        that come later than `after`, and returns the last one that it ended with when it was stopped before the end.
        """
        for tenant in sorted(self._ledger.pending_tenants(limit=_TENANTS)):
            if tenant <= after:
                continue
            pending = self._ledger.unindexed(
                before=self._clock.now(), limit=_PENDING, tenant=tenant, most=_PENDING_BYTES
            )
            live = [memory for memory in pending if memory.live]
            for start in range(0, len(live), PORTION):
                if self._bring_held(known, tenant, live[start : start + PORTION], stopped) and stopped():
                    return after
            after = tenant
            if stopped():
                return after
        return None

    def _bring_held(
        self, known: Generations, tenant: str, memories: Sequence[Memory], stopped: Callable[[], bool]
    ) -> bool:
        """Bring those that only the serving generation holds, in time; returns whether there are any."""
        assert known.other is not None
        keys = [(memory.id, memory.version) for memory in memories]
        lacking = self._held(known.serving, tenant, keys) - self._held(known.other, tenant, keys)
        brought = [one for one in memories if (one.id, one.version) in lacking]
        if brought:
            self._beside.bring(known.other, brought, in_time=lambda: not stopped())
        return bool(brought)

    def _held(self, generation: Generation, tenant: str, keys: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        return self._openings.of(generation).index.held(tenant, keys)

    def resting(self) -> int:
        """How many memories the other generation refused; counted up to PORTION for each tenant."""
        now = self._clock.now()
        count = 0
        for tenant in self._ledger.behind_tenants(limit=_TENANTS):
            behind = self._ledger.behind(tenant, before=later(now, _RESTING_S), limit=PORTION)
            due = {memory.id for memory in self._ledger.behind(tenant, before=now, limit=PORTION)}
            count += sum(memory.id not in due for memory in behind)
        return count

    def _bring(self, known: Generations, memories: Sequence[Memory], stopped: Callable[[], bool]) -> Refreshed:
        """Bring them as far as there is time; what is left stays behind."""
        if known.other is None:  # nothing lacks them any more
            self._ledger.mark_caught_up(memories)
            return Refreshed()

        def in_time() -> bool:
            return not stopped()

        if known.phase not in _LATE_SERVING:
            return self._beside.bring(known.other, memories, in_time=in_time)
        # A portion is brought to both before the next one, so that it is no longer behind if the time ends then.
        return refreshed_in_portions(memories, lambda portion: self._bring_both(known, portion, in_time), in_time)

    def _bring_both(self, known: Generations, memories: Sequence[Memory], in_time: Callable[[], bool]) -> Refreshed:
        assert known.other is not None
        if left := self._bring_serving(known, memories, in_time):
            return Refreshed(left=left)
        if known.phase is Phase.STALE:
            self._drop_outdated(known, memories)
            return Refreshed()
        return self._beside.bring(known.other, memories, in_time=in_time)

    def _bring_serving(self, known: Generations, memories: Sequence[Memory], in_time: Callable[[], bool]) -> int:
        """Bring the serving generation what was written before it served everywhere; returns how many are left."""
        if known.phase is not Phase.SETTLING:
            live = by_tenant(memory for memory in memories if memory.live)
            keys = {tenant: [(one.id, one.version) for one in portion] for tenant, portion in live.items()}
            held = {tenant: self._held(known.serving, tenant, some) for tenant, some in keys.items()}
            memories = [
                one for tenant, some in live.items() for one in some if (one.id, one.version) not in held[tenant]
            ]
        if not memories:
            return 0
        return self._beside.bring(known.serving, memories, serves=True, in_time=in_time).left

    def _drop_outdated(self, known: Generations, memories: Sequence[Memory]) -> None:
        assert known.other is not None
        for tenant, portion in by_tenant(memories).items():
            self._openings.of(known.other).index.drop_older(tenant, portion)
        self._ledger.mark_caught_up(memories)
