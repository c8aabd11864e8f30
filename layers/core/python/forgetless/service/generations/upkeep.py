"""GenerationUpkeep: begins, switches, goes back and drops, and does in each sweep what the generations need."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, replace

from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.errors import ConflictError, DependencyError
from forgetless.domain.generations import KEPT_DAYS, Generation, Generations, Phase
from forgetless.domain.times import seconds_between
from forgetless.ports.clock import Clock
from forgetless.service.generations.drain import Drain
from forgetless.service.generations.opened import Openings
from forgetless.service.generations.record import GenerationRecord
from forgetless.service.jobs.bulk import BulkService

__all__ = ["GenerationUpkeep", "UpkeepRules"]

_logger = logging.getLogger(__name__)

#: An old generation that could not be kept up to date for so long is stale.
_STALE_AFTER_S = 3600.0
#: The seconds after which a sweep brings no further portion.
_PART_S = 10.0
#: The jobs belong to no tenant.
_NOBODY = ""


@dataclass(frozen=True, slots=True)
class UpkeepRules:
    """`wanted` is the generation that the settings ask for; with `by_itself`, sweep fills it and lets it serve."""

    wanted: Generation
    by_itself: bool = False
    kept_s: float | None = KEPT_DAYS * 86_400


class GenerationUpkeep:
    """Changes of the record that people or time ask for. The job does what the record says."""

    def __init__(
        self,
        *,
        record: GenerationRecord,
        openings: Openings,
        bulk: BulkService,
        drain: Drain,
        rules: UpkeepRules,
        clock: Clock,
    ) -> None:
        self.record = record
        self.rules = rules
        self._openings = openings
        self._bulk = bulk
        self._drain = drain
        self._clock = clock

    def begin(self, *, switching: bool) -> Generations:
        """Fill the generation that the settings ask for, and let it serve then, if asked.

        One that is there already goes on, or goes back to serve. Raises ConflictError if it serves already.
        """
        wanted, now, job = self.rules.wanted, self._clock.now(), str(uuid.uuid4())

        def begun(held: Generations) -> Generations | None:
            if held.serving.collection == wanted.collection:
                raise ConflictError(f"{wanted.collection} serves already")
            if held.other is None or held.other.collection != wanted.collection or held.phase is Phase.STALE:
                return held.filling(wanted, now, job, switching=switching)
            if held.worked_on:
                return replace(held, switching=held.switching or switching)
            return held.entering(Phase.FILLING, now, job=job, switching=switching, reason="", declined="")

        return self._working(self.record.change(begun))

    def switch(self, *, force: bool = False) -> Generations:
        """Let the filled generation serve, if it finds what the serving one does. Raises ConflictError without one."""
        now, job = self._clock.now(), str(uuid.uuid4())

        def asked(held: Generations) -> Generations:
            # One that is not filled yet lacks what nobody has noted, so nobody could bring it later.
            if held.phase is not Phase.READY:
                raise ConflictError(_not_there("switch to", held))
            return replace(
                held, phase=Phase.READY, since=now, job=job, switching=True, forced=force, reason="", declined=""
            )

        return self._working(self.record.change(asked))

    def back(self, *, force: bool = False) -> Generations:
        """Let the generation serve again that served before. Raises ConflictError without one."""
        now, job = self._clock.now(), str(uuid.uuid4())

        def asked(held: Generations) -> Generations:
            if held.phase is not Phase.OLD:
                raise ConflictError(_not_there("go back to", held))
            declined = held.serving.collection
            return held.entering(
                Phase.FILLING, now, job=job, switching=True, forced=force, reason="", declined=declined
            )

        return self._working(self.record.change(asked))

    def drop(self) -> Generation:
        """Drop the generation beside the one that serves, and return it. Raises ConflictError without one."""
        now, gone = self._clock.now(), self.record.now().other

        def dropped(held: Generations) -> Generations:
            if held.other is None or held.other != gone:
                raise ConflictError("there is no generation beside the one that serves")
            if held.written_to:
                raise ConflictError("a switch is going on; it takes about two minutes: try again then")
            # One that waits to serve would be filled again by the next sweep.
            declined = held.other.collection if held.phase is not Phase.OLD else held.declined
            return replace(held.without_other(now), declined=declined)

        self.record.change(dropped)
        assert gone is not None
        self._drop_rows()
        return gone

    def job(self) -> BulkJob | None:
        """The job that works on the other generation, or did so last."""
        known = self.record.now()
        return self._bulk.job(_NOBODY, known.job) if known.job else None

    def look(self) -> int:
        """A sweep's part: returns how many memories were brought to the other generation."""
        try:
            return self._look()
        except ConflictError as error:  # somebody else changes the record; the next sweep sees what they did
            _logger.warning("sweep: a part was postponed", extra={"part": "generations", "reason": error.message})
            return 0

    def _look(self) -> int:
        known = self.record.now()
        if known.dropped:
            self._drop_rows()
        wanted = self.rules.wanted.collection
        self.record.keep()
        self._fill_past(known)
        if self.rules.by_itself and known.lacks(wanted):
            known = self.begin(switching=True)
            _logger.warning("another generation of the index is being filled", extra={"collection": wanted})
        if known.worked_on or (known.phase is Phase.READY and known.switching):
            self._working(known)
            return 0
        kept = self.rules.kept_s
        if known.phase in {Phase.OLD, Phase.STALE} and kept is not None and known.seconds(self._clock.now()) >= kept:
            self.drop()
            return 0
        if known.phase is Phase.ALONE and not known.dropped:
            return 0
        return self._keep_up(known)

    def _keep_up(self, known: Generations) -> int:
        give_up = self._clock.monotonic() + _PART_S
        try:
            drained = self._drain.run(known, lambda: self._clock.monotonic() >= give_up)
        except DependencyError as error:
            self._note_failure(known, error.message)
            raise
        if known.failing_since:
            self.record.change(lambda held: replace(held, failing_since="") if held.failing_since else None)
        return drained.brought

    def _note_failure(self, known: Generations, reason: str) -> None:
        """Note since when an old generation cannot be kept up to date; in the end it is stale."""
        now = self._clock.now()

        def noted(held: Generations) -> Generations | None:
            if held.phase is not Phase.OLD:
                return None
            if not held.failing_since:
                return replace(held, failing_since=now)
            if seconds_between(held.failing_since, now) < _STALE_AFTER_S:
                return None
            return replace(held, phase=Phase.STALE, reason=f"it cannot be kept up to date: {reason}")

        if known.phase is Phase.OLD:
            self.record.change(noted)

    def _working(self, known: Generations) -> Generations:
        """Make sure that a job works on the other generation. Its id is in the record before it begins."""
        job = self._bulk.job(_NOBODY, known.job)
        if job is not None and job.finished:
            following = str(uuid.uuid4())
            seen = known.job
            known = self.record.change(lambda held: replace(held, job=following) if held.job == seen else None)
            job = None
        if job is None:
            self._bulk.start(_NOBODY, BulkKind.FILL, {}, job_id=known.job)
        return known

    def _fill_past(self, known: Generations) -> None:
        """Make sure that a job fills the rows of the past of the serving generation, if they are not all there."""
        seen = known.past_job
        if known.past_is_filled or ((job := self._bulk.job(_NOBODY, seen)) is not None and not job.finished):
            return
        following = str(uuid.uuid4())
        known = self.record.change(
            lambda held: (
                replace(held, past_job=following) if held.past_job == seen and not held.past_is_filled else None
            )
        )
        if known.past_job == following:
            self._bulk.start(_NOBODY, BulkKind.PAST, {}, job_id=following)

    def past_job(self) -> BulkJob | None:
        """The job that fills the rows of the past, or did so last."""
        known = self.record.now()
        return self._bulk.job(_NOBODY, known.past_job) if known.past_job else None

    def _drop_rows(self) -> None:
        """Drop the collections of dropped generations, again and again until nobody can make them anew."""
        now = self._clock.now()
        for one in self.record.now().dropped:
            self._openings.of(one.generation).index.drop_all()
        self.record.change(
            lambda held: (
                replace(held, dropped=left)
                if (left := tuple(one for one in held.dropped if not one.is_gone(now))) != held.dropped
                else None
            )
        )


def _not_there(what: str, held: Generations) -> str:
    if held.other is None:
        return f"there is no generation to {what}: {held.serving.collection} is the only one"
    why = f" ({held.reason})" if held.reason else ""
    return f"{held.other.collection} is {held.phase}{why}, so there is nothing to {what} yet"
