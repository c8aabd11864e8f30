"""The texts of an event's results. They are in memories, of which a request reads no more than its answer can show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from forgetless.domain.limits import ANSWER_BYTES
from forgetless.service.reading.job_lists import AnyJob
from forgetless.service.reading.lists import ReadService

__all__ = ["EventTexts", "texts_of_event", "texts_of_events"]

#: How many portions of half a megabyte of memories a page of events reads. Its first event is complete nevertheless.
_MOST_PORTIONS = 32
#: What is kept of each text that follows when the texts alone are more than an answer holds: it shows less of them.
_KEPT_CHARS = 1000


@dataclass(slots=True)
class EventTexts:
    """The texts of memories by id, and the ids that were looked at: some memories are deleted, or unknown."""

    texts: dict[str, str] = field(default_factory=dict)
    looked: set[str] = field(default_factory=set)
    left: int = ANSWER_BYTES

    def add(self, ids: Iterable[str], found: dict[str, str]) -> None:
        """Note what a portion has found."""
        self.looked.update(ids)
        for id_, text in found.items():
            self.left -= len(text)
            self.texts[id_] = text if self.left >= 0 else text[:_KEPT_CHARS]

    def complete(self, job: AnyJob) -> bool:
        """Whether all results of the job were looked at."""
        return self.looked.issuperset(_ids(job))


def texts_of_event(reads: ReadService, tenant: str, job: AnyJob) -> dict[str, str]:
    """The texts of all results of a job; of very long ones the beginnings."""
    found = EventTexts()
    for ids, portion in reads.texts(tenant, _ids(job)):
        found.add(ids, portion)
    return found.texts


def texts_of_events(reads: ReadService, tenant: str, jobs: Sequence[AnyJob]) -> tuple[dict[str, str], Sequence[AnyJob]]:
    """The texts of the results of the first of these jobs, and these jobs; the others do not fit into the answer."""
    found = EventTexts()
    portions = reads.texts(tenant, [id_ for job in jobs for id_ in _ids(job)])
    for number, (ids, portion) in enumerate(portions, start=1):
        found.add(ids, portion)
        if (found.left < 0 or number >= _MOST_PORTIONS) and found.complete(jobs[0]):
            break
    return found.texts, list(takewhile(found.complete, jobs))


def _ids(job: AnyJob) -> list[str]:
    return [result["id"] for result in job.results]
