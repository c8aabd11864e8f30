"""LimitedLedger: the ledger for a limited key: the one place where its limits are enforced.

Everything that the use cases read or write for such a key goes through this class, so no route can forget them.
Reads find nothing beyond the limits, and writes there raise ForbiddenError. The class does not have what only
operators may do, and `api/caller.py` refuses the routes that need it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice, product

from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob, owners_of
from forgetless.domain.cursors import after_document, after_job, entity_place, to_cursor
from forgetless.domain.documents import OF_MEMORIES, Document
from forgetless.domain.erasures import Erasure, ErasureMarker, ErasureState, Target
from forgetless.domain.errors import ForbiddenError
from forgetless.domain.jobs import Job
from forgetless.domain.key_limits import ANY, OTHER_USERS, KeyLimits
from forgetless.domain.known_names import NameOwner, NameRecord, NoteworthyName
from forgetless.domain.limits import SCANNED_ROWS
from forgetless.domain.memory import Event, Memory, Message, MessageRef, VersionKey
from forgetless.domain.scope import Scope
from forgetless.domain.slots import Slots
from forgetless.domain.usage import Use
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
from forgetless.service.merged_lists import merged
from forgetless.service.read_portions import known_by_reading

__all__ = ["NOT_ITS_WORK", "SHARED_KINDS", "LimitedLedger"]

#: Kinds of documents that hold no user's data. Every key may read them.
SHARED_KINDS = frozenset({"project"})

#: The message for what no limited key may do.
NOT_ITS_WORK = "This key is limited to certain users and may not do this."
#: The least that is read at once: a small page never means many small reads.
_LEAST = 100
#: How many pages are looked at to count documents.
_MOST_PAGES = 20
_PAGE = 500
#: In so many places, at most, a limited key looks for the names of a user: each is a record of its own.
_PLACES = 16


class LimitedLedger:
    """See `forgetless.ports.request_ledger.RequestLedger`; of every tenant, it shows only what is within the limits."""

    def __init__(self, ledger: RequestLedger, limits: KeyLimits) -> None:
        self._ledger = ledger
        self._limits = limits.spelled()
        self._users = self._limits.users
        self._name = limits.digest

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
        scopes = [event.memory.scope for event in events] + [message.scope for message in messages]
        self._check([*scopes, completing.scope] if completing else scopes)
        erasing = self._without_others(scopes[0].tenant, erasing) if erasing else ()
        self._ledger.append(
            events, completing=completing, messages=messages, unique=unique, shown=shown, erasing=erasing, used=used
        )

    def read(self, tenant: str, ids: Sequence[str]) -> dict[str, Memory]:
        return {id_: memory for id_, memory in self._ledger.read(tenant, ids).items() if self._mine(memory.scope)}

    def pending(self, tenant: str, ids: Sequence[str]) -> set[str]:
        return self._ledger.pending(tenant, ids) & self.read(tenant, ids).keys()

    def read_some(self, tenant: str, ids: Sequence[str], *, most: int) -> tuple[dict[str, Memory], int]:
        found, looked = self._ledger.read_some(tenant, ids, most=most)
        return {id_: memory for id_, memory in found.items() if self._mine(memory.scope)}, looked

    def known_ids(self, tenant: str, ids: Sequence[str]) -> dict[str, bool]:
        return known_by_reading(self, tenant, ids)

    def history(self, tenant: str, memory_id: str) -> list[Event]:
        return [event for event in self._ledger.history(tenant, memory_id) if self._mine(event.memory.scope)]

    def history_portion(self, tenant: str, memory_id: str, first: int, *, most: int) -> tuple[list[Event], bool]:
        events, more = self._ledger.history_portion(tenant, memory_id, first, most=most)
        mine = [event for event in events if self._mine(event.memory.scope)]
        return mine, more and bool(mine)

    def versions(self, tenant: str, keys: Collection[VersionKey]) -> dict[VersionKey, Memory]:
        found = self._ledger.versions(tenant, keys)
        return {key: memory for key, memory in found.items() if self._mine(memory.scope)}

    def list_memories(
        self, tenant: str, ids: Mapping[str, str], *, limit: int, cursor: str | None = None, superseded: bool = False
    ) -> MemoryPage:
        if not self._within(ids):
            return MemoryPage((), None)
        users = [user for user in self._users if ids.get("user_id", user) == user]
        # Each user's own list, so that other users' memories are not even read.
        pages = [
            self._ledger.list_memories(
                tenant, {**ids, "user_id": user}, limit=limit, cursor=cursor, superseded=superseded
            )
            for user in users
        ]
        page = merged(pages, limit)
        if self._limits.whole_users:
            return page
        return MemoryPage(tuple(one for one in page.items if self._mine(one.scope)), page.cursor)

    def superseded_ids(self, tenant: str, memory_id: str, *, limit: int) -> list[str]:
        found = self._ledger.superseded_ids(tenant, memory_id, limit=limit)
        mine = self.read(tenant, found)
        return [id_ for id_ in found if id_ in mine]

    def kept_totals(self, tenant: str, ids: Mapping[str, str]) -> Totals | None:
        # The ledger's total of an agent would reveal how much other users have said to it.
        if set(ids) - {"user_id"} or not self._limits.whole_users:
            return None
        users = [user for user in self._users if ids.get("user_id", user) == user]
        totals = [self._ledger.kept_totals(tenant, {"user_id": user}) for user in users]
        known = [one for one in totals if one is not None]
        if len(known) < len(totals):
            return None
        return Totals(sum(one.live for one in known), sum(one.expiring for one in known))

    def entity(self, tenant: str, kind: str, id_: str) -> Entity | None:
        if kind == "user" and self._limits.whole_users:
            return self._ledger.entity(tenant, kind, id_) if id_ in self._users else None
        return next((one for one in self._entities(tenant)[0] if (one.kind, one.id) == (kind, id_)), None)

    def entities(
        self, tenant: str, *, limit: int, cursor: str | None = None, kinds: Sequence[str] = ENTITY_KINDS
    ) -> EntityPage:
        after = entity_place(cursor) if cursor is not None else ("", "")
        found = [one for one in self._entities(tenant)[0] if one.kind in kinds and (one.kind, one.id) > after]
        shown = tuple(found[:limit])
        more = len(found) > limit and shown
        return EntityPage(shown, to_cursor(shown[-1].kind, shown[-1].id) if more else None)

    def count_entities(self, tenant: str, *, limit: int) -> EntityCounts:
        found, exact = self._entities(tenant)
        kinds = Counter(one.kind for one in found)
        return EntityCounts({kind: kinds[kind] for kind in ENTITY_KINDS}, exact=exact and len(found) <= limit)

    def mark_indexed(
        self, memories: Sequence[Memory], *, by_writer: bool = False, behind: bool = False
    ) -> list[Memory]:
        self._check(memory.scope for memory in memories)
        return self._ledger.mark_indexed(memories, by_writer=by_writer, behind=behind)

    def read_messages(
        self, tenant: str, refs: Sequence[MessageRef], *, most_chars: int | None = None
    ) -> dict[MessageRef, Message]:
        found = self._ledger.read_messages(tenant, refs, most_chars=most_chars)
        return {ref: message for ref, message in found.items() if self._mine(message.scope)}

    def job_messages(self, tenant: str, job_id: str) -> list[Message]:
        return [message for message in self._ledger.job_messages(tenant, job_id) if self._mine(message.scope)]

    def messages_of_jobs(self, tenant: str, job_ids: Sequence[str]) -> tuple[dict[str, list[Message]], int]:
        found, looked = self._ledger.messages_of_jobs(tenant, job_ids)
        mine = {job_id: [one for one in messages if self._mine(one.scope)] for job_id, messages in found.items()}
        return {job_id: messages for job_id, messages in mine.items() if messages}, looked

    def messages_without_job(
        self, tenant: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Message], str | None]:
        found, following = self._ledger.messages_without_job(tenant, limit=limit, cursor=cursor)
        return [message for message in found if self._mine(message.scope)], following

    def recent_messages(self, scope: Scope, *, since: str, before: str, limit: int) -> list[Message]:
        self._check([scope])
        return self._ledger.recent_messages(scope, since=since, before=before, limit=limit)

    def erase_messages(self, tenant: str, refs: Sequence[MessageRef], *, at: str) -> int:
        return self._ledger.erase_messages(tenant, self._without_others(tenant, refs), at=at)

    def erase_scope_messages(self, tenant: str, ids: Mapping[str, str], *, at: str) -> int:
        self._check_whole_users()
        users = [user for user in self._users if ids.get("user_id", user) == user]
        return sum(self._ledger.erase_scope_messages(tenant, {**ids, "user_id": user}, at=at) for user in users)

    def put_job(self, job: Job, messages: Sequence[Message], *, used: Sequence[Use] = ()) -> Job:
        self._check([job.scope, *(message.scope for message in messages)])
        standing = self._ledger.put_job(job, messages, used=used)
        self._check_standing(standing)
        return standing

    def accept_job(
        self, job: Job, messages: Sequence[Message], slots: Slots, *, used: Sequence[Use] = ()
    ) -> AcceptedJob:
        self._check([job.scope, *(message.scope for message in messages)])
        accepted = self._ledger.accept_job(job, messages, slots, used=used)
        self._check_standing(accepted.job)
        return accepted

    def _check_standing(self, standing: Job) -> None:
        # A job whose messages were erased is nobody's. Whoever repeats its request word for word may see its end.
        self._check([standing.scope] if standing.scope.ids() or not standing.finished else ())

    def job(self, tenant: str, job_id: str) -> Job | None:
        job = self._ledger.job(tenant, job_id)
        return job if job is not None and self._mine(job.scope) else None

    def jobs(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[Job], str | None]:
        page, following = self._ledger.jobs(tenant, limit=max(limit, _LEAST), cursor=cursor)
        found = [job for job in page if self._mine(job.scope)]
        return (found[:limit], after_job(found[limit - 1])) if len(found) > limit > 0 else (found, following)

    def count_jobs(self, tenant: str, *, limit: int) -> int | None:
        del tenant, limit
        return None  # the jobs of other users do not count

    def claim_job(self, tenant: str, job_id: str, *, owner: str, now: str, until: str) -> Job | None:
        if self.job(tenant, job_id) is None:
            return None
        return self._ledger.claim_job(tenant, job_id, owner=owner, now=now, until=until)

    def update_job(self, job: Job, *, held: Job, used: Sequence[Use] = ()) -> bool:
        self._check([job.scope, held.scope])
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
        if document.kind == BULK_JOB:
            self._check_bulk_job(document)
        else:
            self._check_document(document.tenant, document.kind, document.id)
        return self._ledger.put_document(document)

    def document(self, tenant: str, kind: str, id_: str) -> Document | None:
        if kind in SHARED_KINDS or self._of_mine(tenant, kind, [id_]):
            return self._ledger.document(tenant, kind, id_)
        found = self._ledger.document(tenant, kind, id_) if kind == BULK_JOB else None
        return found if found is not None and self._my_bulk_job(found) else None

    def documents(
        self, tenant: str, kind: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Document], str | None]:
        if kind in SHARED_KINDS:
            return self._ledger.documents(tenant, kind, limit=limit, cursor=cursor)
        if kind not in OF_MEMORIES and kind != BULK_JOB:
            return [], None
        page, following = self._ledger.documents(tenant, kind, limit=max(limit, _LEAST), cursor=cursor)
        mine = self._of_mine(tenant, kind, [document.id for document in page])
        found = [document for document in page if document.id in mine or self._my_bulk_job(document)]
        return (found[:limit], after_document(found[limit - 1])) if len(found) > limit > 0 else (found, following)

    def count_documents(self, tenant: str, kind: str, *, limit: int) -> int:
        count, cursor = 0, None
        for _ in range(_MOST_PAGES):
            page, cursor = self.documents(tenant, kind, limit=limit, cursor=cursor)
            count += len(page)
            if cursor is None or count >= limit:
                break
        return min(count, limit)

    def delete_document(self, tenant: str, kind: str, id_: str) -> bool:
        self._check_document(tenant, kind, id_)
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
        # The limited users have their own names: an answer to another key may show other users' memories.
        own = self._own(name)
        return self._ledger.begin_request(tenant, own, record, now=now, expires_at=expires_at, over=over)

    def finish_request(
        self, tenant: str, name: str, record: IdempotencyRecord, *, began: IdempotencyRecord, expires_at: str
    ) -> None:
        self._ledger.finish_request(tenant, self._own(name), record, began=began, expires_at=expires_at)

    def drop_request(self, tenant: str, name: str, *, began: IdempotencyRecord) -> None:
        self._ledger.drop_request(tenant, self._own(name), began=began)

    def erasure_state(self, tenant: str) -> ErasureState:
        return self._ledger.erasure_state(tenant)

    def erasures_beside(self, tenant: str) -> AbstractContextManager[ErasuresBeside]:
        return self._ledger.erasures_beside(tenant)

    def erasure_markers(self, tenant: str, *, beyond: int) -> list[ErasureMarker]:
        return self._ledger.erasure_markers(tenant, beyond=beyond)

    def digest_key(self) -> bytes:
        return self._ledger.digest_key()

    def begin_erasure(self, tenant: str, targets: Sequence[Target], *, at: str) -> Erasure:
        self._check_whole_users()
        own = [narrowed for target in targets for narrowed in self._narrowed(target)]
        return self._ledger.begin_erasure(tenant, own, at=at)

    def _narrowed(self, target: Target) -> list[Target]:
        """The parts of the target that belong to its users."""
        users = [user for user in self._users if target.ids.get("user_id", user) == user]
        return [Target({**target.ids, "user_id": user}, target.names) for user in users]

    def _check_whole_users(self) -> None:
        """Refuse an erasure if it could take more than what is within the limits."""
        if not self._limits.whole_users:
            raise ForbiddenError(NOT_ITS_WORK)

    def _within(self, ids: Mapping[str, str]) -> bool:
        """Whether anything that has these ids can be within the limits."""
        return self._limits.allows(Scope("", **{"user_id": self._users[0], **ids}))

    def _without_others(self, tenant: str, refs: Sequence[MessageRef]) -> list[MessageRef]:
        """The references without those to other users' messages. An erased one may still be in a row's words."""
        found = self._ledger.read_messages(tenant, refs, most_chars=0)
        return [ref for ref in refs if ref not in found or self._mine(found[ref].scope)]

    def _mine(self, scope: Scope) -> bool:
        return self._limits.allows(scope)

    def _check(self, scopes: Iterable[Scope]) -> None:
        for scope in scopes:
            if refusal := self._limits.refusal(scope):
                raise ForbiddenError(refusal)

    def _of_mine(self, tenant: str, kind: str, ids: Sequence[str]) -> set[str]:
        return set(self.read(tenant, ids)) if kind in OF_MEMORIES else set()

    def _check_document(self, tenant: str, kind: str, id_: str) -> None:
        if not self._of_mine(tenant, kind, [id_]):
            raise ForbiddenError(NOT_ITS_WORK)

    def _my_bulk_job(self, document: Document) -> bool:
        """Whether the document is a bulk job about the memories of its users alone."""
        if document.kind != BULK_JOB or not self._limits.whole_users:
            return False
        job = BulkJob.of(document)
        if job.owners and not job.users:
            return set(job.owners) <= set(owners_of(self._ledger.digest_key(), job.tenant, self._users))
        return bool(job.users) and set(job.users) <= set(self._users)

    def _check_bulk_job(self, document: Document) -> None:
        held = self._ledger.document(document.tenant, document.kind, document.id)
        if not all(self._my_bulk_job(one) for one in (document, held) if one is not None):
            raise ForbiddenError(OTHER_USERS)

    def _own(self, name: str) -> str:
        return f"{self._name} {name}"

    def _entities(self, tenant: str) -> tuple[list[Entity], bool]:
        """What the users' newest memories belong to, counted here, and whether these are all of their memories.

        Users of which all is within the limits have kept totals.
        """
        totals: dict[tuple[str, str], Entity] = {}
        read, cursor = 0, None
        while True:
            page = self.list_memories(tenant, {}, limit=_PAGE, cursor=cursor)
            for memory in page.items:
                for name, value in memory.scope.ids().items():
                    key = (name.removesuffix("_id"), value)
                    totals[key] = _with(totals.get(key, Entity(*key, 0, memory.created_at, memory.updated_at)), memory)
            read, cursor = read + _PAGE, page.cursor
            if cursor is None or read >= SCANNED_ROWS:
                break
        if self._limits.whole_users:
            users = [self._ledger.entity(tenant, "user", user) for user in self._users]
            totals |= {("user", one.id): one for one in users if one is not None}
        return sorted(totals.values(), key=lambda entity: (entity.kind, entity.id)), cursor is None

    def known_names(self, tenant: str, owners: Sequence[NameOwner]) -> dict[NameOwner, NameRecord]:
        parts = {owner: self._readable(owner) for owner in owners}
        wanted = list(dict.fromkeys(part for those in parts.values() for part in those))
        found = self._ledger.known_names(tenant, wanted) if wanted else {}
        records = {owner: [found[part] for part in those if part in found] for owner, those in parts.items()}
        return {
            owner: NameRecord(tuple(entry for record in those for entry in record.entries))
            for owner, those in records.items()
            if those
        }

    def note_names(self, scope: Scope, names: Sequence[NoteworthyName], *, erasures_before: int) -> None:
        self._check([scope])
        self._ledger.note_names(scope, names, erasures_before=erasures_before)

    def _readable(self, owner: NameOwner) -> list[NameOwner]:
        """The records within the limits that have names of this owner.

        The record of a whole user tells what agents and apps beyond the limits have heard; those of its places do not.
        If any agent is allowed but not any app (or the other way round), the places are not known: no name is.
        """
        scope, limits = owner.scope, self._limits
        if not owner.whole_user or limits.whole_users:
            return [owner] if self._mine(scope) else []
        if scope.user_id not in self._users or ANY in (*limits.agents, *limits.apps):
            return []
        pairs = product(("", *limits.agents), ("", *limits.apps))
        places = [NameOwner(replace(scope, agent_id=agent, app_id=app)) for agent, app in islice(pairs, _PLACES + 1)]
        return places if len(places) <= _PLACES else []

    def keep_page_end(self, tenant: str, name: str, end: PageEnd, *, now: str, expires_at: str) -> None:
        self._ledger.keep_page_end(tenant, self._own(name), end, now=now, expires_at=expires_at)

    def page_end(self, tenant: str, name: str, *, now: str) -> PageEnd | None:
        return self._ledger.page_end(tenant, self._own(name), now=now)


def _with(entity: Entity, memory: Memory) -> Entity:
    return Entity(
        entity.kind,
        entity.id,
        entity.total_memories + 1,
        min(entity.created_at, memory.created_at),
        max(entity.updated_at, memory.updated_at),
    )
