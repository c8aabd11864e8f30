"""Generations of the index: one serves; another is being filled, or is the old one that can still come back.

A generation is an embedding model, a dimension, a version of the recipe and one of the columns, with a collection of
its own. The record says which there are. All of its rules that need no store are here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from forgetless.domain.times import seconds_between

__all__ = ["COPY_S", "KEPT_DAYS", "KNOWN_S", "Dropped", "Generation", "Generations", "Phase", "collection_of"]

#: For how many days the old generation is kept, unless a setting says otherwise.
KEPT_DAYS = 7.0
#: A process reads the record again when its copy is older than this.
COPY_S = 30.0
#: After so many seconds, every process knows a change of the record.
KNOWN_S = COPY_S + 5.0
#: A dropped collection is dropped again for so long: a process that knew it may have written to it, and so made it
#: again. Nothing that began before lives longer (Lambda's limit, and a minute).
_DROPPED_AGAIN_S = 960.0


def collection_of(prefix: str, model: str, dimensions: int, recipe: int, columns: int) -> str:
    """The collection's name. It differs by embedding model, dimension, recipe version and version of the columns.

    The first version of the columns is not part of the name, because at that time there was only one.
    """
    named = re.sub(r"\W+", "_", model)
    return f"{prefix}_{named}_{dimensions}_r{recipe}" + (f"_c{columns}" if columns > 1 else "")


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation; its collection's name identifies it."""

    model: str
    dimensions: int
    recipe: int
    columns: int
    collection: str
    #: Where its model was last served; the settings of a process name a newer place for the models that they know.
    embedder_url: str = ""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Generation:
        """The generation that a record holds; what a later version added is left out."""
        return cls(**{one.name: body[one.name] for one in fields(cls) if one.name in body})


class Phase(StrEnum):
    """What becomes of the generation beside the one that serves."""

    #: There is none.
    ALONE = "alone"
    #: It is new. Until every process knows of it, some writers do not note what it lacks.
    SPREADING = "spreading"
    FILLING = "filling"
    #: It is filled and kept up to date; it waits for a switch.
    READY = "ready"
    #: It is about to serve: as soon as every process knows this, each write goes to both before it is acknowledged.
    JOINING = "joining"
    #: It has served until now. Until every process knows this, each write still goes to both.
    SETTLING = "settling"
    #: It served before and is kept up to date, so that it can serve again.
    OLD = "old"
    #: It served before, and its embedder is gone: it takes deletes and erasures only, and cannot serve again.
    STALE = "stale"

    @classmethod
    def _missing_(cls, value: object) -> Phase:
        """A phase that a later version made: here, the generation is kept up to date, and nobody works on it."""
        del value
        return cls.READY


#: In these phases a job works on the generation; in these, every write goes to both.
_WORKED_ON = frozenset({Phase.SPREADING, Phase.FILLING, Phase.JOINING, Phase.SETTLING})
_WRITTEN_TO = frozenset({Phase.JOINING, Phase.SETTLING})


@dataclass(frozen=True, slots=True)
class Dropped:
    """A generation that is no longer used, and since when."""

    generation: Generation
    at: str

    def is_gone(self, now: str) -> bool:
        """Whether nobody can write to it any more."""
        return seconds_between(self.at, now) >= _DROPPED_AGAIN_S


@dataclass(frozen=True, slots=True)
class Generations:
    """The record: at most two generations, and what becomes of the second one."""

    serving: Generation
    other: Generation | None = None
    phase: Phase = Phase.ALONE
    #: Since when the phase lasts, and the job that works on it.
    since: str = ""
    job: str = ""
    #: Whether it shall serve once it is filled, and even if that finds less than the other one.
    switching: bool = False
    forced: bool = False
    #: Why the other one does not serve, for people.
    reason: str = ""
    #: Since when the other one cannot be kept up to date; empty if it can.
    failing_since: str = ""
    #: The collection that an operator went back from: it is not filled by itself again.
    declined: str = ""
    dropped: tuple[Dropped, ...] = ()
    #: The collections of those generations that have all rows of the past, and the job that fills those of the serving
    #: one.
    past: tuple[str, ...] = ()
    past_job: str = ""

    @property
    def past_is_filled(self) -> bool:
        """Whether the serving generation has all rows of the past."""
        return self.serving.collection in self.past

    def with_past(self, collection: str) -> Generations | None:
        """The record once a generation has all rows of the past; None if it knows that, or has no such generation."""
        if collection in self.past or collection not in {one.collection for one in self.all}:
            return None
        return replace(self, past=(*self.past, collection))

    @property
    def all(self) -> tuple[Generation, ...]:
        """The generations that are kept up to date."""
        return (self.serving,) if self.other is None else (self.serving, self.other)

    @property
    def worked_on(self) -> bool:
        """Whether a job works on the other generation."""
        return self.phase in _WORKED_ON

    @property
    def written_to(self) -> bool:
        """Whether a write goes to the other generation before it is acknowledged."""
        return self.phase in _WRITTEN_TO

    def lacks(self, collection: str) -> bool:
        """Whether there is no such generation, and nobody has gone back from it."""
        return collection not in {self.declined, *(one.collection for one in self.all)}

    def seconds(self, now: str) -> float:
        """For how long the phase lasts."""
        return seconds_between(self.since, now)

    def entering(self, phase: Phase, at: str, **changes: Any) -> Generations:
        """The record in another phase."""
        return replace(self, phase=phase, since=at, **changes)

    def filling(self, generation: Generation, at: str, job: str, *, switching: bool) -> Generations:
        """The record with a new generation to be filled; one that was beside the serving one is dropped."""
        alone = self.without_other(at)
        dropped = tuple(one for one in alone.dropped if one.generation.collection != generation.collection)
        begun = Generations(
            self.serving, generation, Phase.SPREADING, since=at, job=job, switching=switching, dropped=dropped
        )
        return self._keeping_past(begun, without=generation.collection)

    def switched(self, at: str) -> Generations:
        """The record after the other generation has begun to serve."""
        assert self.other is not None
        following = Generations(
            self.other,
            self.serving,
            Phase.SETTLING,
            since=at,
            job=self.job,
            declined=self.declined,
            dropped=self.dropped,
        )
        return self._keeping_past(following)

    def alone(self, generation: Generation, at: str) -> Generations:
        """The record with this generation alone; the collections of all others are dropped."""
        others = [Dropped(one, at) for one in self.all if one.collection != generation.collection]
        before = [one for one in self.dropped if one.generation.collection != generation.collection]
        return self._keeping_past(Generations(generation, since=at, dropped=(*before, *others)))

    def without_other(self, at: str) -> Generations:
        """The record after the other generation was dropped."""
        gone = () if self.other is None else (Dropped(self.other, at),)
        alone = Generations(self.serving, since=at, declined=self.declined, dropped=(*self.dropped, *gone))
        return self._keeping_past(alone)

    def _keeping_past(self, following: Generations, *, without: str = "") -> Generations:
        """The following record, with what this one knows of the past of generations that it still has."""
        kept = {one.collection for one in following.all} - {without}
        past = tuple(name for name in self.past if name in kept)
        return replace(following, past=past, past_job=self.past_job)

    def body(self) -> dict[str, Any]:
        """The record as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Generations:
        """The record that a document holds; what a later version added is left out."""
        known = {one.name: body[one.name] for one in fields(cls) if one.name in body}
        known["serving"] = Generation.of(known["serving"])
        known["other"] = None if known.get("other") is None else Generation.of(known["other"])
        known["phase"] = Phase(known.get("phase", Phase.ALONE))
        known["past"] = tuple(known.get("past", ()))
        known["dropped"] = tuple(
            Dropped(Generation.of(one["generation"]), one["at"]) for one in known.get("dropped", ())
        )
        return cls(**known)
