"""ErasureCheck: looks in ledger, log and index for anything that an erasure should have removed.

Nothing is hidden from it: rows that wait to be removed are found. What was added after the last erasure is no finding.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob
from forgetless.domain.documents import OF_MEMORIES
from forgetless.domain.erasure_log import LoggedErasure, tenant_digest
from forgetless.domain.erasure_receipts import Cleaning, receipt_of
from forgetless.domain.erasures import Accepted, ErasureMarker, Markers, Target, marked_ids
from forgetless.domain.filters.scope_ids import all_ids
from forgetless.domain.identifiers import all_spellings
from forgetless.domain.known_names import NameOwner
from forgetless.domain.memory import Memory
from forgetless.domain.schema_exports import ACCEPTED, EXPORT, is_about
from forgetless.domain.scope import Scope
from forgetless.domain.webhook_deliveries import DELIVERY, Delivery
from forgetless.ports.erasure_log import ErasureLog
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger
from forgetless.service.access.key_pages import every_key
from forgetless.service.merged_lists import list_spelled
from forgetless.service.projects.left_documents import left_documents
from forgetless.service.transfer.person_export import PersonExport

__all__ = ["Checked", "ErasureCheck", "Verdict"]

_PAGE = 500
#: The most rows of the index that are looked at.
_ROWS = 1000


class Verdict(StrEnum):
    """What a look has shown."""

    CLEAN = "clean"
    FOUND = "FOUND"
    #: Something names the scope that no erasure removes.
    STAYS = "stays"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Checked:
    """One look: into what, and what it has shown."""

    part: str
    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True)
class _Erased:
    """Who was erased, and the number of the last erasure that covered it; 0 if there is none."""

    tenant: str
    ids: Mapping[str, str]
    number: int

    def is_older(self, thing: Accepted) -> bool:
        """Whether it should be gone."""
        return not self.number or thing.erasures_before < self.number

    def owns(self, scope: Scope) -> bool:
        return any(all(getattr(scope, name) == value for name, value in ids.items()) for ids in all_spellings(self.ids))

    def is_exported(self, request: Mapping[str, Any]) -> bool:
        """Whether the request of an export should be gone. Others have a word of the id in another field."""
        if self.number and int(request.get(ACCEPTED, 0)) >= self.number:
            return False
        return is_about(map(Target, all_spellings(self.ids)), request.get("filters"))


class ErasureCheck:
    """`ledger` must show all rows; `indexes` are those of all generations, each with the length of its vectors."""

    def __init__(
        self, *, ledger: Ledger, indexes: Sequence[tuple[Index, int]], log: ErasureLog, person: PersonExport
    ) -> None:
        self._ledger = ledger
        self._indexes = indexes
        self._log = log
        self._person = person

    def scope(self, tenant: str, ids: Mapping[str, str], cleanings: Iterable[Cleaning]) -> list[Checked]:
        """Look for everything that has these ids."""
        numbers = [line.number for line in self._logged(tenant) if self._names(line, Scope(tenant, **ids))]
        erased = _Erased(tenant, ids, max(numbers, default=0))
        found = [self._of_log(erased), *self._of_ledger(erased), self._of_feedback(tenant), self._of_index(erased)]
        documents = list(self._documents(erased))
        return [*found, *self._of_documents(erased, documents), *self._of_jobs(tenant, documents, list(cleanings))]

    def receipt(self, tenant: str, job: BulkJob, cleanings: Iterable[Cleaning]) -> list[Checked]:
        """Look for everything that the erasure of a receipt covers; the log has digests of its ids.

        It goes through all memories and messages of the tenant.
        """
        number = int(job.request["number"])
        lines = [line for line in self._logged(tenant) if line.number == number]
        done = [*self._of_receipt(job, list(cleanings)), self._of_feedback(tenant)]
        if not lines:
            text = f"the log of erasures has no erasure with the number {number}, so nobody knows what it covered"
            return [*done, Checked("log of erasures", Verdict.FOUND, text)]
        markers = Markers(self._log.key(), [ErasureMarker(number, line.targets) for line in lines])
        left = sum(markers.cover(thing) for thing in self._everything(tenant))
        noted = Checked("log of erasures", Verdict.CLEAN, f"the erasure is noted with the number {number}")
        text = "memories and messages that it covers"
        return [*done, noted, _counted("ledger", left, text)]

    def tenant(self, name: str) -> list[Checked]:
        """Look for anything of a deleted tenant."""
        state = self._ledger.erasure_state(name)
        if state.closed:
            text = "its deletion has not ended: see `forgetless tenants deletions`"
            return [Checked("ledger", Verdict.FOUND, text)]
        counts = {
            "keys": sum(1 for _ in every_key(self._ledger, name)),
            "memories and messages": sum(1 for _ in self._everything(name)),
            "jobs": len(self._ledger.jobs(name, limit=_PAGE)[0]),
            "bulk jobs": self._ledger.count_documents(name, BULK_JOB, limit=_PAGE),
            "feedback": sum(self._ledger.count_documents(name, kind, limit=_PAGE) for kind in OF_MEMORIES),
            "numbers of erasures": int(state.last > 0),
        }
        rows = sum(index.count(name) + index.past.count(name) for index, _ in self._indexes)
        return [*(_counted("ledger", count, what) for what, count in counts.items()), _counted("index", rows, "rows")]

    def _logged(self, tenant: str) -> Iterator[LoggedErasure]:
        digest = tenant_digest(self._log.key(), tenant)
        return (line for line in self._log.lines() if isinstance(line, LoggedErasure) and line.tenant == digest)

    def _names(self, line: LoggedErasure, scope: Scope) -> bool:
        return bool(Markers(self._log.key(), [ErasureMarker(1, line.targets)]).revealed(scope))

    def _of_log(self, erased: _Erased) -> Checked:
        if erased.number:
            return Checked(
                "log of erasures", Verdict.CLEAN, f"its last erasure is noted with the number {erased.number}"
            )
        text = "it has no erasure of this scope, so whatever is there counts (single memories are not noted)"
        return Checked("log of erasures", Verdict.UNKNOWN, text)

    def _of_ledger(self, erased: _Erased) -> Iterator[Checked]:
        memories, newer = 0, 0
        for memory in self._memories(erased.tenant, erased.ids):
            older = erased.is_older(memory)
            memories, newer = memories + older, newer + (not older)
        messages = 0
        for ids in all_spellings(erased.ids):
            cursor: str | None = None
            while True:
                found, cursor = self._ledger.scope_messages(erased.tenant, ids, limit=_PAGE, cursor=cursor)
                messages += sum(map(erased.is_older, found))
                if cursor is None:
                    break
        yield _counted("ledger", memories, "memories")
        yield _counted("ledger", messages, "raw messages")
        yield _counted("ledger", self._jobs(erased), "adds (events)")
        yield _counted("ledger", self._speakers(erased), "names of speakers")
        if newer:
            yield Checked("ledger", Verdict.STAYS, f"{newer} memories were added after the erasure")

    def _speakers(self, erased: _Erased) -> int:
        """How many names are known that were said in the scope. Those of an agent's users are under these users."""
        key = self._ledger.erasure_state(erased.tenant).key
        count = 0
        for ids in all_spellings(erased.ids):
            marks = marked_ids(key, ids).items()
            owners = NameOwner.all_of(Scope(erased.tenant, **ids))
            for record in self._ledger.known_names(erased.tenant, owners).values():
                said = [entry for entry in record.entries if marks <= entry.ids.items()]
                count += sum(not erased.number or entry.erasures_before < erased.number for entry in said)
        return count

    def _jobs(self, erased: _Erased) -> int:
        count, cursor = 0, None
        while True:
            jobs, cursor = self._ledger.jobs(erased.tenant, limit=_PAGE, cursor=cursor)
            count += sum(erased.owns(job.scope) and erased.is_older(job) for job in jobs)
            if cursor is None:
                return count

    def _of_feedback(self, tenant: str) -> Checked:
        """A deleted memory is nobody's, so this counts what is left of anybody in the tenant."""
        left = sum(1 for _ in left_documents(self._ledger, tenant))
        return _counted("ledger", left, "records of feedback on deleted memories")

    def _of_index(self, erased: _Erased) -> Checked:
        rows = 0
        for index, dimensions in self._indexes:
            vector = [1.0] + [0.0] * (dimensions - 1)
            where = all_ids(erased.ids)
            hits = index.search_vector(erased.tenant, vector, where, _ROWS)
            hits += index.past.search_vector(erased.tenant, vector, where, None, _ROWS)
            known = self._ledger.read(erased.tenant, list(dict.fromkeys(hit.memory_id for hit in hits)))
            rows += sum(self._is_stray(erased, known.get(hit.memory_id)) for hit in hits)
        return _counted("index", rows, "rows that searches may meet")

    def _is_stray(self, erased: _Erased, memory: Memory | None) -> bool:
        # The index may also give rows that the filter excludes: those are of living memories of others.
        if memory is None or memory.deleted:
            return True
        return erased.owns(memory.scope) and erased.is_older(memory)

    def _documents(self, erased: _Erased) -> Iterator[Mapping[str, Any]]:
        """The records that name the scope, but for the audit list, which has digests only."""
        cursor: str | None = f"{EXPORT}."
        while cursor is not None and not cursor.startswith("audit."):
            portion = self._person.portion(erased.tenant, erased.ids, cursor)
            yield from map(json.loads, portion.lines.splitlines())
            cursor = portion.cursor

    def _of_documents(self, erased: _Erased, documents: Iterable[Mapping[str, Any]]) -> Iterator[Checked]:
        exports, waiting, ended = 0, 0, 0
        for record in documents:
            kind = str(record["type"])
            if kind == EXPORT and erased.is_exported(record["request"]):
                exports += 1
            elif kind == DELIVERY:
                pending = self._is_pending(erased.tenant, str(record["id"]))
                waiting, ended = waiting + pending, ended + (not pending)
            elif kind != BULK_JOB:
                yield Checked("ledger", Verdict.STAYS, f"{kind} {record['id']} names it: {record['names']}")
        yield _counted("ledger", exports, "requests of exports")
        yield _counted("ledger", ended, "deliveries of webhooks")
        if waiting:
            text = f"{waiting:,} deliveries of webhooks name it until they have arrived, or have failed for a day"
            yield Checked("ledger", Verdict.STAYS, text)

    def _is_pending(self, tenant: str, delivery_id: str) -> bool:
        """Whether a delivery must still tell its receiver whose memories were deleted."""
        held = self._ledger.document(tenant, DELIVERY, delivery_id)
        return held is not None and Delivery.of(held).state == "pending"

    def _of_jobs(
        self, tenant: str, documents: Iterable[Mapping[str, object]], cleanings: list[Cleaning]
    ) -> Iterator[Checked]:
        """The newest receipt of an erasure of the scope."""
        ids = [str(record["id"]) for record in documents if (record["type"], record.get("kind")) == (BULK_JOB, "erase")]
        held = self._ledger.document(tenant, BULK_JOB, ids[0]) if ids else None
        if held is None:
            text = "there is no event of an erasure of this scope (events are removed after a while)"
            yield Checked("receipt", Verdict.UNKNOWN, text)
        else:
            yield from self._of_receipt(BulkJob.of(held), cleanings)

    def _of_receipt(self, job: BulkJob, cleanings: list[Cleaning]) -> Iterator[Checked]:
        receipt = receipt_of(job, cleanings)
        if receipt is None or receipt.completed_at is None:
            yield Checked(
                "receipt", Verdict.FOUND, f"{job.id}: the erasure has not ended: {job.state} {job.error or ''}"
            )
            return
        yield Checked("receipt", Verdict.CLEAN, f"{job.id}: ended at {receipt.completed_at}")
        if receipt.index_clean_at is None:
            text = "not rewritten since, as far as is known: with Milvus Lite, run forgetless compact"
            yield Checked("index file", Verdict.UNKNOWN, text)
        else:
            yield Checked("index file", Verdict.CLEAN, f"rewritten at {receipt.index_clean_at}")

    def _memories(self, tenant: str, ids: Mapping[str, str]) -> Iterator[Memory]:
        cursor: str | None = None
        while True:
            page = list_spelled(self._ledger, tenant, ids, limit=_PAGE, cursor=cursor, superseded=True)
            yield from page.items
            cursor = page.cursor
            if cursor is None:
                return

    def _everything(self, tenant: str) -> Iterator[Accepted]:
        yield from self._memories(tenant, {})
        cursor: str | None = None
        while True:
            messages, cursor = self._ledger.scope_messages(tenant, {}, limit=_PAGE, cursor=cursor)
            yield from messages
            if cursor is None:
                return


def _counted(part: str, count: int, what: str) -> Checked:
    if count:
        return Checked(part, Verdict.FOUND, f"{count:,} {what} should be gone")
    return Checked(part, Verdict.CLEAN, f"no {what}")
