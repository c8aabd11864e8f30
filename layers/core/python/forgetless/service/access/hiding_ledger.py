"""HidingLedger: the ledger without what an erasure covers: the one place where reads leave it out.

An erasure takes effect when its marker is in the ledger; its rows are removed afterwards. All use cases read through
this class, so none can show a row that waits to be removed. Each call also reads the erasure state of the tenant, a
small record: in the batch that it makes anyway where it can (`erasures_beside`), and otherwise before what it judges.
Only while the state says that markers hide data, it judges what it has read. A process reads each marker once. What a
marker covers looks as if it had been deleted: a memory is a tombstone, and a job has ended as erased.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeVar

from forgetless.domain.answer_ids import shown_ids
from forgetless.domain.documents import OF_MEMORIES, Document
from forgetless.domain.erasures import Accepted, Erasure, ErasureMarker, ErasureState, Markers, Target
from forgetless.domain.jobs import Job
from forgetless.domain.known_names import NameOwner, NameRecord, NoteworthyName
from forgetless.domain.loaded_bytes import await_turn, portions
from forgetless.domain.memory import Event, Memory, Message, MessageRef, VersionKey
from forgetless.domain.scope import Scope
from forgetless.domain.slots import Slots
from forgetless.domain.usage import Use
from forgetless.ports.request_effects import note_change
from forgetless.ports.request_ledger import (
    ENTITY_KINDS,
    NOTHING_SHOWN,
    AcceptedJob,
    Entity,
    EntityCounts,
    EntityPage,
    ErasuresBeside,
    IdempotencyRecord,
    MemoryPage,
    PageEnd,
    RequestLedger,
    Shown,
    Totals,
)
from forgetless.service.access.shown_entities import ShownEntities
from forgetless.service.read_portions import known_by_reading

__all__ = ["HidingLedger", "KnownMarkers", "shown_job", "uncovered"]

T = TypeVar("T", bound=Accepted)

#: How many rows are read at once to get past rows that are hidden. A page that has only these is empty.
_SKIPPED = 500
#: How many entities are read at once to count them.
_COUNTED = 500
#: How many messages are read instead, if some of the recent ones are hidden.
_MESSAGES = 50
#: The markers of at most this many tenants are kept; those that were used the longest ago go first.
_MOST_TENANTS = 256


class KnownMarkers:
    """The markers that this process has read, by tenant; several threads use it at once."""

    def __init__(self, ledger: RequestLedger) -> None:
        self._ledger = ledger
        self._known: OrderedDict[str, tuple[int, Markers]] = OrderedDict()
        self._lock = threading.Lock()

    def under(self, tenant: str, state: ErasureState) -> Markers | None:
        """The markers that hide data in this state; None if none does."""
        if not state.hiding:
            with self._lock:
                self._known.pop(tenant, None)
            return None
        with self._lock:
            last, found = self._known.get(tenant, (0, Markers(state.key)))
        if last < state.last:
            kept = [marker for marker in found.markers if marker.number >= state.first]
            beyond = max([state.first - 1, *(marker.number for marker in kept)])
            found = Markers(state.key, [*kept, *self._ledger.erasure_markers(tenant, beyond=beyond)])
            self._keep(tenant, max([state.last, *(marker.number for marker in found.markers)]), found)
        return found

    def _keep(self, tenant: str, last: int, found: Markers) -> None:
        with self._lock:
            if self._known.get(tenant, (0, None))[0] <= last:
                self._known[tenant] = (last, found)
            self._known.move_to_end(tenant)
            if len(self._known) > _MOST_TENANTS:
                self._known.popitem(last=False)


class HidingLedger:
    """See `forgetless.ports.request_ledger.RequestLedger`; what an erasure covers is as good as deleted.

    As all use cases of requests write through it, it also notes what has changed something, for `request_effects`.
    """

    def __init__(self, ledger: RequestLedger) -> None:
        self._ledger = ledger
        self._known = KnownMarkers(ledger)

    def append(
        self,
        events: Sequence[Event],
        *,
        completing: Job | None = None,
        messages: Sequence[Message] = (),
        unique: bool = True,
        shown: Shown = NOTHING_SHOWN,
        erasing: Sequence[MessageRef] = (),
        used: Sequence[Use] = (),
    ) -> None:
        self._ledger.append(
            events, completing=completing, messages=messages, unique=unique, shown=shown, erasing=erasing, used=used
        )
        note_change()

    def read(self, tenant: str, ids: Sequence[str]) -> dict[str, Memory]:
        found: dict[str, Memory] = {}
        for few in portions(ids):
            found |= self._read(tenant, few)
        return found

    def _read(self, tenant: str, ids: Sequence[str]) -> dict[str, Memory]:
        with self._ledger.erasures_beside(tenant) as beside:
            found = self._ledger.read(tenant, ids)
        return self._all_as_shown(found, self._judging(tenant, found, beside))

    def pending(self, tenant: str, ids: Sequence[str]) -> set[str]:
        return self._ledger.pending(tenant, ids)

    def read_some(self, tenant: str, ids: Sequence[str], *, most: int) -> tuple[dict[str, Memory], int]:
        with self._ledger.erasures_beside(tenant) as beside:
            found, looked = self._ledger.read_some(tenant, ids, most=most)
        await_turn()
        return self._all_as_shown(found, self._judging(tenant, found, beside)), looked

    def known_ids(self, tenant: str, ids: Sequence[str]) -> dict[str, bool]:
        if self._markers(tenant) is None:
            return self._ledger.known_ids(tenant, ids)
        return known_by_reading(self, tenant, ids)  # only the memory itself says whether a marker covers it

    def history(self, tenant: str, memory_id: str) -> list[Event]:
        markers = self._markers(tenant)
        events = self._ledger.history(tenant, memory_id)
        await_turn()
        return [] if markers is not None and events and markers.cover(events[-1].memory) else events

    def history_portion(self, tenant: str, memory_id: str, first: int, *, most: int) -> tuple[list[Event], bool]:
        with self._ledger.erasures_beside(tenant) as beside:
            events, more = self._ledger.history_portion(tenant, memory_id, first, most=most)
        await_turn()
        markers = self._judging(tenant, events, beside)
        return ([], False) if markers is not None and markers.cover(events[-1].memory) else (events, more)

    def versions(self, tenant: str, keys: Collection[VersionKey]) -> dict[VersionKey, Memory]:
        found: dict[VersionKey, Memory] = {}
        for few in portions(list(keys)):
            found |= self._versions(tenant, few)
        return found

    def _versions(self, tenant: str, keys: Collection[VersionKey]) -> dict[VersionKey, Memory]:
        with self._ledger.erasures_beside(tenant) as beside:
            found = self._ledger.versions(tenant, keys)
        markers = self._judging(tenant, found, beside)
        if markers is None:
            return found
        return {key: memory for key, memory in found.items() if not markers.cover(memory)}

    def list_memories(
        self, tenant: str, ids: Mapping[str, str], *, limit: int, cursor: str | None = None, superseded: bool = False
    ) -> MemoryPage:
        size = limit
        while True:
            with self._ledger.erasures_beside(tenant) as beside:
                page = self._ledger.list_memories(tenant, ids, limit=size, cursor=cursor, superseded=superseded)
            await_turn()
            markers = self._judging(tenant, page.items, beside)
            if markers is None:
                return page
            hidden = [markers.cover(memory) for memory in page.items]
            if hidden.count(False) > limit:
                # A page may not hold more than `limit`: read it again up to the last that it may hold.
                size = hidden.index(False) + limit
            elif all(hidden) and page.cursor is not None and size < _SKIPPED:
                size, cursor = _SKIPPED, page.cursor
            else:
                shown = [memory for memory, gone in zip(page.items, hidden, strict=True) if not gone]
                return MemoryPage(tuple(shown), page.cursor)

    def superseded_ids(self, tenant: str, memory_id: str, *, limit: int) -> list[str]:
        found = self._ledger.superseded_ids(tenant, memory_id, limit=limit)
        gone = self._gone(tenant, found)
        return [id_ for id_ in found if id_ not in gone]

    def kept_totals(self, tenant: str, ids: Mapping[str, str]) -> Totals | None:
        with self._ledger.erasures_beside(tenant) as beside:
            totals = self._ledger.kept_totals(tenant, ids)
        markers = self._judging(tenant, totals, beside)
        if markers is not None and all(markers.may_touch(name, value) for name, value in ids.items()):
            return None
        return totals

    def entity(self, tenant: str, kind: str, id_: str) -> Entity | None:
        with self._ledger.erasures_beside(tenant) as beside:
            found = self._ledger.entity(tenant, kind, id_)
        markers = self._judging(tenant, found, beside)
        if found is None or markers is None or not markers.may_touch(f"{kind}_id", id_):
            return found
        shown = ShownEntities(self, tenant, markers).has_something(found)
        return replace(found, totals_pending=True) if shown else None

    def entities(
        self, tenant: str, *, limit: int, cursor: str | None = None, kinds: Sequence[str] = ENTITY_KINDS
    ) -> EntityPage:
        markers = self._markers(tenant)
        page = self._ledger.entities(tenant, limit=limit, cursor=cursor, kinds=kinds)
        if markers is None:
            return page
        judge = ShownEntities(self, tenant, markers)
        shown: list[Entity] = []
        for entity in page.items:
            if not judge.is_touched(entity):
                shown.append(entity)
            elif judge.is_shown(entity):
                shown.append(replace(entity, totals_pending=True))
        return EntityPage(tuple(shown), page.cursor)

    def count_entities(self, tenant: str, *, limit: int) -> EntityCounts:
        markers = self._markers(tenant)
        if markers is None:
            return self._ledger.count_entities(tenant, limit=limit)
        kinds: Counter[str] = Counter()
        judge = ShownEntities(self, tenant, markers)
        read, cursor, exact = 0, None, True
        while True:
            page = self._ledger.entities(tenant, limit=_COUNTED, cursor=cursor)
            for one in page.items:
                there = judge.counts(one) if judge.is_touched(one) else True
                # What no look decides does not count: the number is a lower bound.
                kinds[one.kind] += there is True
                exact = exact and there is not None
            read, cursor = read + _COUNTED, page.cursor
            if cursor is None or read >= limit:
                return EntityCounts({kind: kinds[kind] for kind in ENTITY_KINDS}, exact=exact and cursor is None)

    def mark_indexed(
        self, memories: Sequence[Memory], *, by_writer: bool = False, behind: bool = False
    ) -> list[Memory]:
        return self._ledger.mark_indexed(memories, by_writer=by_writer, behind=behind)

    def read_messages(
        self, tenant: str, refs: Sequence[MessageRef], *, most_chars: int | None = None
    ) -> dict[MessageRef, Message]:
        with self._ledger.erasures_beside(tenant) as beside:
            found = self._ledger.read_messages(tenant, refs, most_chars=most_chars)
        await_turn()
        markers = self._judging(tenant, found, beside)
        return {message.ref: message for message in uncovered(found.values(), markers)}

    def job_messages(self, tenant: str, job_id: str) -> list[Message]:
        markers = self._markers(tenant)
        found = self._ledger.job_messages(tenant, job_id)
        await_turn()
        return uncovered(found, markers)

    def messages_of_jobs(self, tenant: str, job_ids: Sequence[str]) -> tuple[dict[str, list[Message]], int]:
        markers = self._markers(tenant)
        found, looked = self._ledger.messages_of_jobs(tenant, job_ids)
        await_turn()
        shown = {job_id: uncovered(messages, markers) for job_id, messages in found.items()}
        return {job_id: messages for job_id, messages in shown.items() if messages}, looked

    def recent_messages(self, scope: Scope, *, since: str, before: str, limit: int) -> list[Message]:
        with self._ledger.erasures_beside(scope.tenant) as beside:
            found = self._ledger.recent_messages(scope, since=since, before=before, limit=limit)
        markers = self._judging(scope.tenant, found, beside)
        shown = uncovered(found, markers)
        if len(shown) < len(found) == limit:
            # Older messages may stand behind the hidden ones: times come from clients.
            more = self._ledger.recent_messages(scope, since=since, before=before, limit=max(limit, _MESSAGES))
            shown = uncovered(more, markers)[-limit:]
        return shown

    def messages_without_job(
        self, tenant: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Message], str | None]:
        markers = self._markers(tenant)
        found, following = self._ledger.messages_without_job(tenant, limit=limit, cursor=cursor)
        await_turn()
        return uncovered(found, markers), following

    def erase_messages(self, tenant: str, refs: Sequence[MessageRef], *, at: str) -> int:
        return self._ledger.erase_messages(tenant, refs, at=at)

    def erase_scope_messages(self, tenant: str, ids: Mapping[str, str], *, at: str) -> int:
        return self._ledger.erase_scope_messages(tenant, ids, at=at)

    def put_job(self, job: Job, messages: Sequence[Message], *, used: Sequence[Use] = ()) -> Job:
        return self._standing(job, self._ledger.put_job(job, messages, used=used))

    def accept_job(
        self, job: Job, messages: Sequence[Message], slots: Slots, *, used: Sequence[Use] = ()
    ) -> AcceptedJob:
        accepted = self._ledger.accept_job(job, messages, slots, used=used)
        return replace(accepted, job=self._standing(job, accepted.job))

    def _standing(self, job: Job, standing: Job) -> Job:
        # A new job that is covered was refused. One that stood already is read again, to be judged.
        if standing != job:
            return self.job(job.tenant, job.id) or standing
        note_change()
        return standing

    def job(self, tenant: str, job_id: str) -> Job | None:
        with self._ledger.erasures_beside(tenant) as beside:
            job = self._ledger.job(tenant, job_id)
        return None if job is None else shown_job(job, self._judging(tenant, job, beside))

    def jobs(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[Job], str | None]:
        with self._ledger.erasures_beside(tenant) as beside:
            found, following = self._ledger.jobs(tenant, limit=limit, cursor=cursor)
        await_turn()
        markers = self._judging(tenant, found, beside)
        return [shown_job(job, markers) for job in found], following

    def count_jobs(self, tenant: str, *, limit: int) -> int | None:
        return self._ledger.count_jobs(tenant, limit=limit)  # those of an erasure are listed as erased

    def claim_job(self, tenant: str, job_id: str, *, owner: str, now: str, until: str) -> Job | None:
        return self._ledger.claim_job(tenant, job_id, owner=owner, now=now, until=until)

    def update_job(self, job: Job, *, held: Job, used: Sequence[Use] = ()) -> bool:
        return self._ledger.update_job(job, held=held, used=used)

    def acquire_lease(self, name: str, *, owner: str, now: str, until: str) -> bool:
        return self._ledger.acquire_lease(name, owner=owner, now=now, until=until)

    def lease_until(self, name: str) -> str | None:
        return self._ledger.lease_until(name)

    def release_lease(self, *names: str, owner: str) -> None:
        self._ledger.release_lease(*names, owner=owner)

    def take_slot(self, slots: Slots) -> str | None:
        return self._ledger.take_slot(slots)

    def put_document(self, document: Document) -> bool:
        return self._ledger.put_document(document)

    def document(self, tenant: str, kind: str, id_: str) -> Document | None:
        if kind in OF_MEMORIES and self._gone(tenant, [id_]):
            return None
        return self._ledger.document(tenant, kind, id_)

    def documents(
        self, tenant: str, kind: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Document], str | None]:
        found, following = self._ledger.documents(tenant, kind, limit=limit, cursor=cursor)
        if kind in OF_MEMORIES:
            gone = self._gone(tenant, [document.id for document in found])
            found = [document for document in found if document.id not in gone]
        return found, following

    def count_documents(self, tenant: str, kind: str, *, limit: int) -> int:
        return self._ledger.count_documents(tenant, kind, limit=limit)

    def delete_document(self, tenant: str, kind: str, id_: str) -> bool:
        return self._ledger.delete_document(tenant, kind, id_)

    def begin_request(
        self,
        tenant: str,
        name: str,
        record: IdempotencyRecord,
        *,
        now: str,
        expires_at: str,
        over: IdempotencyRecord | None = None,
    ) -> IdempotencyRecord | None:
        standing = self._ledger.begin_request(tenant, name, record, now=now, expires_at=expires_at, over=over)
        if standing is None or standing.body is None or standing.fingerprint != record.fingerprint:
            return standing
        if not self._gone(tenant, sorted(shown_ids(standing.body))):
            return standing
        # The answer shows what has been erased since: the request runs again, as after any deletion.
        return self._ledger.begin_request(tenant, name, record, now=now, expires_at=expires_at, over=standing)

    def finish_request(
        self, tenant: str, name: str, record: IdempotencyRecord, *, began: IdempotencyRecord, expires_at: str
    ) -> None:
        self._ledger.finish_request(tenant, name, record, began=began, expires_at=expires_at)

    def drop_request(self, tenant: str, name: str, *, began: IdempotencyRecord) -> None:
        self._ledger.drop_request(tenant, name, began=began)

    def known_names(self, tenant: str, owners: Sequence[NameOwner]) -> dict[NameOwner, NameRecord]:
        with self._ledger.erasures_beside(tenant) as beside:
            found = self._ledger.known_names(tenant, owners)
        markers = self._judging(tenant, found, beside)
        if markers is None:
            return found
        return {
            owner: NameRecord(
                tuple(one for one in record.entries if not markers.cover_scope(one.ids, one.erasures_before))
            )
            for owner, record in found.items()
        }

    def note_names(self, scope: Scope, names: Sequence[NoteworthyName], *, erasures_before: int) -> None:
        self._ledger.note_names(scope, names, erasures_before=erasures_before)

    def keep_page_end(self, tenant: str, name: str, end: PageEnd, *, now: str, expires_at: str) -> None:
        self._ledger.keep_page_end(tenant, name, end, now=now, expires_at=expires_at)

    def page_end(self, tenant: str, name: str, *, now: str) -> PageEnd | None:
        with self._ledger.erasures_beside(tenant) as beside:
            end = self._ledger.page_end(tenant, name, now=now)
        markers = self._judging(tenant, end, beside)
        # Its count may be from before an erasure.
        return end if end is None or markers is None else replace(end, count=end.seen, exact=False)

    def erasure_state(self, tenant: str) -> ErasureState:
        return self._ledger.erasure_state(tenant)

    def erasures_beside(self, tenant: str) -> AbstractContextManager[ErasuresBeside]:
        return self._ledger.erasures_beside(tenant)

    def erasure_markers(self, tenant: str, *, beyond: int) -> list[ErasureMarker]:
        return self._ledger.erasure_markers(tenant, beyond=beyond)

    def digest_key(self) -> bytes:
        return self._ledger.digest_key()

    def begin_erasure(self, tenant: str, targets: Sequence[Target], *, at: str) -> Erasure:
        erasure = self._ledger.begin_erasure(tenant, targets, at=at)
        note_change()
        return erasure

    def _markers(self, tenant: str) -> Markers | None:
        """The markers that hide data now; None if none does. It must be called before what they judge is read."""
        return self._known.under(tenant, self._ledger.erasure_state(tenant))

    def _judging(self, tenant: str, found: object, beside: ErasuresBeside) -> Markers | None:
        """`_markers` for what was `found` with the state beside it; there is nothing to judge if nothing was found."""
        if not found:
            return None
        state = beside.state
        return self._known.under(tenant, self._ledger.erasure_state(tenant) if state is None else state)

    def _all_as_shown(self, found: dict[str, Memory], markers: Markers | None) -> dict[str, Memory]:
        if markers is None:
            return found
        return {id_: one.blanked(deleted=True) if markers.cover(one) else one for id_, one in found.items()}

    def _gone(self, tenant: str, ids: Sequence[str]) -> set[str]:
        """Those of these memories that are covered or deleted.

        Deleted ones count: the erasure may have ended since its caller read what it judges.
        """
        return {id_ for id_, memory in self.read(tenant, ids).items() if memory.deleted} if ids else set()


def shown_job(job: Job, markers: Markers | None) -> Job:
    """The job, or the job as one that ended as erased if a marker covers it."""
    return job.as_erased() if markers is not None and markers.cover(job) else job


def uncovered(things: Iterable[T], markers: Markers | None) -> list[T]:
    """The things that no marker covers, in their order."""
    return [thing for thing in things if markers is None or not markers.cover(thing)]
