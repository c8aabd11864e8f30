"""Each operation of a ledger, on few ids, chosen at random; each reports what it has certainly done."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from forgetless.domain.bulk_jobs import MOST_RANGES
from forgetless.domain.documents import Document
from forgetless.domain.erasures import Target
from forgetless.domain.errors import LedgerError, VersionConflictError
from forgetless.domain.jobs import JobState
from forgetless.domain.keys import ApiKey, Role, key_id
from forgetless.domain.known_names import NameOwner, NameRecord, NoteworthyName
from forgetless.domain.scope import Scope
from forgetless.domain.slots import Slots
from forgetless.domain.usage import OF_TENANT, UsageKind, Use
from forgetless.ports.ledger import Ledger, Refusal
from forgetless.ports.request_ledger import IdempotencyRecord, PageEnd
from tests.concurrency.crew import small_transactions
from tests.contract.ledger.making import a_job, a_memory, a_message, add, at, delete, entities_of, job_id, update

__all__ = ["FEW", "OPERATIONS", "memory_ids", "scope_of", "some_operations"]

#: Memories, jobs, documents …: few, so that processes meet.
FEW = 3

#: What was done, by what it adds up to.
Done = Counter[str]


def scope_of(tenant: str) -> Scope:
    return Scope(tenant, user_id="anna", run_id="run")


def memory_ids(tenant: str) -> list[str]:
    return [a_memory(f"m{place}", scope=scope_of(tenant)).id for place in range(FEW)]


def some_operations(ledger: Ledger, number: int, tenant: str, count: int) -> Done:
    """So many operations one after the other; returns what they have done together."""
    done: Done = Counter()
    for _ in range(count):
        done += random.choice(list(OPERATIONS.values()))(ledger, tenant)
    return done


def _one() -> int:
    return random.randrange(FEW)


def _append(ledger: Ledger, tenant: str) -> Done:
    fresh = a_memory(f"m{_one()}", scope=scope_of(tenant), second=_one(), event_id=str(random.random()))
    held = ledger.read(tenant, [fresh.id]).get(fresh.id)
    if held is not None and held.deleted:
        return Counter()
    said = a_message(str(random.random()), scope=scope_of(tenant), second=_one())
    try:
        if held is None:
            before = ledger.recent_messages(scope_of(tenant), since="", before=at(99), limit=2)
            context = tuple(message.ref for message in before)
            ledger.append(add(replace(fresh, context=context)), messages=[said])
            return Counter({f"event {fresh.id}": 1, "said": 1})
        changes = [
            update(held, text=said.content),
            update(held, expiration_date=random.choice([None, "2030-01-01"])),
            update(held, superseded_by="another"),
            delete(held),
        ]
        ledger.append([random.choice(changes)])
    except VersionConflictError:
        return Counter()
    return Counter({f"event {fresh.id}": 1})


def _read(ledger: Ledger, tenant: str) -> Done:
    found = ledger.read(tenant, memory_ids(tenant))
    assert all(memory.id == id_ for id_, memory in found.items())
    return Counter()


def _read_some(ledger: Ledger, tenant: str) -> Done:
    wanted = memory_ids(tenant)
    found, looked = ledger.read_some(tenant, wanted, most=random.choice([1, 10**6]))
    assert 0 < looked <= len(wanted)
    assert set(found) <= set(wanted[:looked])
    return Counter()


def _known_ids(ledger: Ledger, tenant: str) -> Done:
    wanted = memory_ids(tenant)
    found = ledger.known_ids(tenant, wanted)
    held = ledger.read(tenant, wanted)
    # What was deleted stays so.
    assert all(held[id_].deleted for id_, deleted in found.items() if deleted)
    return Counter()


def _history(ledger: Ledger, tenant: str) -> Done:
    versions = [event.memory.version for event in ledger.history(tenant, random.choice(memory_ids(tenant)))]
    assert versions == list(range(1, len(versions) + 1))
    return Counter()


def _history_portion(ledger: Ledger, tenant: str) -> Done:
    id_ = random.choice(memory_ids(tenant))
    versions, more = list[int](), True
    while more:
        found, more = ledger.history_portion(tenant, id_, len(versions) + 1, most=random.choice([1, 5000]))
        assert bool(found) >= more
        versions += [event.memory.version for event in found]
    assert versions == list(range(1, len(versions) + 1))
    return Counter()


def _versions(ledger: Ledger, tenant: str) -> Done:
    keys = [(id_, version) for id_ in memory_ids(tenant) for version in (1, 2)]
    found = ledger.versions(tenant, keys)
    assert all((memory.id, memory.version) == key and memory.text for key, memory in found.items())
    return Counter()


def _list_events(ledger: Ledger, tenant: str) -> Done:
    page = ledger.list_events(tenant, limit=2)
    found = [(event.memory.id, event.memory.version) for event in page.items]
    assert len(set(found)) == len(found)
    return Counter()


def _list_memories(ledger: Ledger, tenant: str) -> Done:
    page = ledger.list_memories(tenant, {"user_id": "anna"}, limit=9, superseded=random.random() < 0.5)
    assert len({memory.id for memory in page.items}) == len(page.items)
    return Counter()


def _entities(ledger: Ledger, tenant: str) -> Done:
    assert all(0 < entity.total_memories <= FEW for entity in entities_of(ledger, tenant))
    return Counter()


def _superseded_ids(ledger: Ledger, tenant: str) -> Done:
    found = ledger.superseded_ids(tenant, random.choice([*memory_ids(tenant), "another"]), limit=9)
    assert len(set(found)) == len(found)
    return Counter()


def _kept_totals(ledger: Ledger, tenant: str) -> Done:
    totals = ledger.kept_totals(tenant, random.choice([{}, {"user_id": "anna"}]))
    assert totals is not None
    assert 0 <= totals.expiring <= totals.live <= FEW
    return Counter()


def _entity(ledger: Ledger, tenant: str) -> Done:
    entity = ledger.entity(tenant, "user", "anna")
    assert entity is None or 0 < entity.total_memories <= FEW
    return Counter()


def _count_entities(ledger: Ledger, tenant: str) -> Done:
    assert set(ledger.count_entities(tenant, limit=99).by_kind.values()) <= {0, 1}
    return Counter()


def _count_jobs(ledger: Ledger, tenant: str) -> Done:
    assert (ledger.count_jobs(tenant, limit=999) or 0) >= 0
    return Counter()


def _keep_page_end(ledger: Ledger, tenant: str) -> Done:
    end = PageEnd("after", _one(), FEW, exact=True)
    ledger.keep_page_end(tenant, "page", end, now=at(0), expires_at=at(9))
    found = ledger.page_end(tenant, "page", now=at(1))
    assert found is None or found.count == FEW  # another process may just have removed it
    return Counter()


def _expire_page_ends(ledger: Ledger, tenant: str) -> Done:
    del tenant
    assert ledger.expire_page_ends(now=at(_one() * 9)) >= 0
    return Counter()


def _unindexed(ledger: Ledger, tenant: str) -> Done:
    assert {memory.scope.tenant for memory in ledger.unindexed(before=at(99), limit=9, tenant=tenant)} <= {tenant}
    return Counter()


def _pending(ledger: Ledger, tenant: str) -> Done:
    assert ledger.pending(tenant, memory_ids(tenant)) <= set(memory_ids(tenant))
    return Counter()


def _mark_indexed(ledger: Ledger, tenant: str) -> Done:
    held = list(ledger.read(tenant, memory_ids(tenant)).values())
    refused = ledger.mark_indexed(held, by_writer=random.random() < 0.5, behind=random.random() < 0.5)
    assert {memory.id for memory in refused} <= {memory.id for memory in held}
    return Counter()


def _mark_unindexed(ledger: Ledger, tenant: str) -> Done:
    assert ledger.mark_unindexed(tenant, at=at(5)) <= FEW
    return Counter()


def _mark_pending(ledger: Ledger, tenant: str) -> Done:
    ledger.mark_pending(list(ledger.read(tenant, memory_ids(tenant)).values()), at=at(5))
    return Counter()


def _mark_behind(ledger: Ledger, tenant: str) -> Done:
    ledger.mark_behind(list(ledger.read(tenant, memory_ids(tenant)).values()), at=at(5))
    return Counter()


def _mark_caught_up(ledger: Ledger, tenant: str) -> Done:
    held = list(ledger.read(tenant, memory_ids(tenant)).values())
    assert {memory.id for memory in ledger.mark_caught_up(held)} <= {memory.id for memory in held}
    return Counter()


def _behind(ledger: Ledger, tenant: str) -> Done:
    assert {memory.scope.tenant for memory in ledger.behind(tenant, before=at(99), limit=9)} <= {tenant}
    return Counter()


def _behind_tenants(ledger: Ledger, tenant: str) -> Done:
    del tenant
    tenants = ledger.behind_tenants(limit=99)
    assert len(set(tenants)) == len(tenants)
    return Counter()


def _pending_tenants(ledger: Ledger, tenant: str) -> Done:
    tenants = ledger.pending_tenants(limit=99)
    assert len(set(tenants)) == len(tenants)
    return Counter()


def _note_refusals(ledger: Ledger, tenant: str) -> Done:
    held = ledger.read(tenant, memory_ids(tenant)).values()
    refusals = [Refusal(memory, "refused") for memory in held]
    assert ledger.note_refusals(refusals, at=at(6), most=2) <= len(refusals)
    return Counter()


def _set_aside(ledger: Ledger, tenant: str) -> Done:
    assert {one.memory_id for one in ledger.set_aside(tenant, limit=9)} <= set(memory_ids(tenant))
    return Counter()


def _retry_set_aside(ledger: Ledger, tenant: str) -> Done:
    assert ledger.retry_set_aside(tenant, at=at(7)) <= FEW
    return Counter()


def _read_messages(ledger: Ledger, tenant: str) -> Done:
    refs = [message.ref for message in ledger.recent_messages(scope_of(tenant), since="", before=at(99), limit=9)]
    assert ledger.read_messages(tenant, refs).keys() <= set(refs)
    return Counter()


def _job_messages(ledger: Ledger, tenant: str) -> Done:
    assert len(ledger.job_messages(tenant, job_id(f"j{_one()}"))) <= 1
    return Counter()


def _messages_of_jobs(ledger: Ledger, tenant: str) -> Done:
    ids = [job_id(f"j{_one()}") for _ in range(3)]
    assert ledger.messages_of_jobs(tenant, ids)[0].keys() <= set(ids)
    return Counter()


def _erase_messages(ledger: Ledger, tenant: str) -> Done:
    said = ledger.recent_messages(scope_of(tenant), since="", before=at(99), limit=2)
    with small_transactions():
        return Counter({"removed": ledger.erase_messages(tenant, [message.ref for message in said], at=at(50))})


def _erase_scope_messages(ledger: Ledger, tenant: str) -> Done:
    with small_transactions():
        return Counter({"removed": ledger.erase_scope_messages(tenant, {"run_id": "run"}, at=at(50))})


def _expire_messages(ledger: Ledger, tenant: str) -> Done:
    return Counter({"removed": ledger.expire_messages(before=at(_one()), limit=2)})


def _messages_without_job(ledger: Ledger, tenant: str) -> Done:
    found, _ = ledger.messages_without_job(tenant, limit=9)
    assert all(message.scope == scope_of(tenant) for message in found)
    return Counter()


def _expire_jobs(ledger: Ledger, tenant: str) -> Done:
    # Jobs fail at a later time here; test_jobs races with an expiry that is due.
    assert ledger.expire_jobs(succeeded_before=at(_one()), failed_before=at(_one()), limit=9) == 0
    return Counter()


def _scope_messages(ledger: Ledger, tenant: str) -> Done:
    found, _ = ledger.scope_messages(tenant, {"run_id": "run"}, limit=9)
    assert all(message.scope == scope_of(tenant) for message in found)
    return Counter()


def _begin_erasure(ledger: Ledger, tenant: str) -> Done:
    # It is about somebody without memories: test_erasures races with erasures of what is there.
    begun = ledger.begin_erasure(tenant, [Target({"user_id": "nobody"})], at=at(_one()))
    return Counter({"erasures": 1, f"erasure {begun.number}": 1})


def _count_documents(ledger: Ledger, tenant: str) -> Done:
    assert ledger.count_documents(tenant, "counter", limit=9) <= FEW
    assert ledger.count_documents(tenant, "counter", limit=1) <= 1
    return Counter()


def _clear_entities(ledger: Ledger, tenant: str) -> Done:
    cursor: str | None = ledger.clear_entities(tenant, limit=1)
    while cursor is not None:
        cursor = ledger.clear_entities(tenant, limit=1, cursor=cursor)
    return Counter()


def _end_erasure(ledger: Ledger, tenant: str) -> Done:
    state = ledger.erasure_state(tenant)
    if state.hiding:
        ledger.end_erasure(tenant, state.first, expires_at=at(99))
    return Counter()


def _raise_erasures(ledger: Ledger, tenant: str) -> Done:
    # To a number that is there: an erasure that begins meanwhile must not be taken back.
    ledger.raise_erasures(tenant, ledger.erasure_state(tenant).last)
    return Counter()


def _incarnation(ledger: Ledger, tenant: str) -> Done:
    del tenant
    ledger.incarnation()
    return Counter()


def _set_incarnation(ledger: Ledger, tenant: str) -> Done:
    ledger.set_incarnation(f"raced {tenant}")
    return Counter()


def _digest_key(ledger: Ledger, tenant: str) -> Done:
    del tenant
    assert len(ledger.digest_key()) == 32
    return Counter()


def _erasure_state(ledger: Ledger, tenant: str) -> Done:
    state = ledger.erasure_state(tenant)
    assert 0 <= state.hiding <= state.last
    assert (state.first > 0) == (state.hiding > 0)
    return Counter()


def _erasures_beside(ledger: Ledger, tenant: str) -> Done:
    before = ledger.erasure_state(tenant)
    with ledger.erasures_beside(tenant) as beside:
        found = ledger.read(tenant, memory_ids(tenant))
    assert set(found) <= set(memory_ids(tenant))
    assert beside.state is not None
    assert beside.state.last >= before.last
    return Counter()


def _erasure_markers(ledger: Ledger, tenant: str) -> Done:
    state = ledger.erasure_state(tenant)
    numbers = [marker.number for marker in ledger.erasure_markers(tenant, beyond=0)]
    assert numbers[: state.last] == list(range(1, state.last + 1))
    return Counter()


def _erasure(ledger: Ledger, tenant: str) -> Done:
    found = ledger.erasure(tenant, _one() + 1)
    assert found is None or found.tenant == tenant
    return Counter()


def _open_erasures(ledger: Ledger, tenant: str) -> Done:
    del tenant
    ledger.open_erasures(limit=9, each=9)
    return Counter()


def _late_writes_s(ledger: Ledger, tenant: str) -> Done:
    del tenant
    assert ledger.late_writes_s() in {0.0, 900.0}
    return Counter()


def _expire_records(ledger: Ledger, tenant: str) -> Done:
    assert ledger.expire_records(before=at(0), limit=9) >= 0
    return Counter()


def _expiring_tenants(ledger: Ledger, tenant: str) -> Done:
    assert len(ledger.expiring_tenants(limit=FEW)) <= FEW
    return Counter()


def _compact(ledger: Ledger, tenant: str) -> Done:
    with suppress(LedgerError):  # another one runs
        ledger.compact(lambda _done, _all: None)
    return Counter()


def _scrub_erased(ledger: Ledger, tenant: str) -> Done:
    ledger.scrub_erased()
    return Counter()


def _put_job(ledger: Ledger, tenant: str) -> Done:
    job = a_job(f"j{_one()}", scope=scope_of(tenant), request={"by": random.random()})
    standing = ledger.put_job(job, [])
    return Counter({f"made {job.id}": int(standing.request == job.request)})


def _accept_job(ledger: Ledger, tenant: str) -> Done:
    job = a_job(f"j{_one()}", scope=scope_of(tenant), request={"by": random.random()})
    accepted = ledger.accept_job(job, [], _some_slots(tenant))
    return Counter({f"made {job.id}": int(accepted.job.request == job.request)})


def _take_slot(ledger: Ledger, tenant: str) -> Done:
    ledger.take_slot(_some_slots(tenant))
    return Counter()


def _some_slots(tenant: str) -> Slots:
    return Slots(tenant, FEW, str(random.random()), now=at(_one()), until=at(_one() + 1))


def _put_jobs(ledger: Ledger, tenant: str) -> Done:
    # Whose job it is, its time of creation tells: it stays when others claim and end the job.
    created_at = f"{at(0)[:19]}.{random.randrange(10**6):06d}{at(0)[-6:]}"
    jobs = [replace(a_job(f"j{number}", scope=scope_of(tenant)), created_at=created_at) for number in range(2)]
    ledger.put_jobs([(job, []) for job in jobs])
    standing = [ledger.job(tenant, job.id) for job in jobs]
    return Counter({f"made {job.id}": int(job.created_at == created_at) for job in standing if job is not None})


def _job(ledger: Ledger, tenant: str) -> Done:
    job = ledger.job(tenant, job_id(f"j{_one()}"))
    assert job is None or job.attempts <= 99
    return Counter()


def _jobs(ledger: Ledger, tenant: str) -> Done:
    assert len(ledger.jobs(tenant, limit=9)[0]) <= FEW
    return Counter()


def _claim_job(ledger: Ledger, tenant: str) -> Done:
    name = job_id(f"j{_one()}")
    claimed = ledger.claim_job(tenant, name, owner=str(random.random()), now=at(_one()), until=at(_one() + 1))
    return Counter({f"claimed {name}": int(claimed is not None)})


def _update_job(ledger: Ledger, tenant: str) -> Done:
    held = ledger.job(tenant, job_id(f"j{_one()}"))
    if held is None or held.finished:
        return Counter()
    state = random.choice([JobState.PENDING, JobState.PENDING, JobState.FAILED])
    moved = replace(held, state=state, lease_owner=None, lease_until=None, updated_at=at(9), error=str(random.random()))
    used = [Use(tenant, "k0", at(0)[:10], {UsageKind.LLM_TOKENS: 1})]
    updated = ledger.update_job(moved, held=held, used=used)
    return Counter({f"ended {held.id}": int(updated and state is JobState.FAILED), "tokens": int(updated)})


def _stuck_jobs(ledger: Ledger, tenant: str) -> Done:
    assert not any(job.finished for job in ledger.stuck_jobs(now=at(9), pending_before=at(99), limit=9))
    return Counter()


def _stuck_in_turn(ledger: Ledger, tenant: str) -> Done:
    found = ledger.stuck_in_turn(now=at(9), pending_before=at(99), limit=9, each=2)
    assert not any(job.finished for job in found)
    return Counter()


def _backlog(ledger: Ledger, tenant: str) -> Done:
    found = ledger.backlog(jobs=9, counted=9)
    assert not any(job.finished for job in found.oldest_jobs)
    assert len(found.oldest_jobs) <= 9
    return Counter()


def _acquire_lease(ledger: Ledger, tenant: str) -> Done:
    second = random.randrange(50)
    ledger.acquire_lease(f"{tenant} {_one()}", owner=f"{_one()}", now=at(second), until=at(second + 1))
    return Counter()


def _lease_until(ledger: Ledger, tenant: str) -> Done:
    until = ledger.lease_until(f"{tenant} {_one()}")
    assert until is None or until <= at(50)
    return Counter()


def _release_lease(ledger: Ledger, tenant: str) -> Done:
    ledger.release_lease(f"{tenant} {_one()}", owner=f"{_one()}")
    return Counter()


def _put_key(ledger: Ledger, tenant: str) -> Done:
    hash_ = f"{tenant} {_one()}"
    held = ledger.key(hash_)
    key = ApiKey(hash_, tenant, Role.READ, at(0), label="0") if held is None else held
    more = replace(key, label=str(int(key.label) + 1), created_at=at(_one()))
    return Counter({f"key {hash_}": int(ledger.put_key(more, held=held, most=random.choice([None, 99]), now=at(0)))})


def _keys(ledger: Ledger, tenant: str) -> Done:
    hashes = [key.hash for key in ledger.keys(tenant, limit=9)[0]]
    assert len(set(hashes)) == len(hashes) <= FEW
    return Counter()


def _all_keys(ledger: Ledger, tenant: str) -> Done:
    # One whose time of creation another process changes meanwhile may come twice.
    found, _ = ledger.all_keys(tenant, limit=9)
    assert {key.hash for key in found} <= {f"{tenant} {number}" for number in range(FEW)}
    return Counter()


def _keys_by_id(ledger: Ledger, tenant: str) -> Done:
    id_ = key_id(f"{tenant} {_one()}")
    assert ledger.keys_by_id(tenant, [id_, "another"]).keys() <= {id_}
    return Counter()


def _add_usage(ledger: Ledger, tenant: str) -> Done:
    key_id = f"k{_one()}"
    uses = [Use(tenant, key_id, at(0)[:length], {UsageKind.REQUESTS: 2}) for length in (10, 16)]
    ledger.add_usage(uses)
    return Counter({f"usage {key_id}": 2})


def _used(ledger: Ledger, tenant: str) -> Done:
    found = ledger.used(tenant, ["k0", OF_TENANT], now=at(0))
    assert all(one.day.get(UsageKind.REQUESTS, 0) % 2 == 0 for one in found.values())
    return Counter()


def _usage_of(ledger: Ledger, tenant: str) -> Done:
    assert len(ledger.usage_of(tenant, OF_TENANT, first=at(0)[:10], last=at(0)[:10])) <= 1
    return Counter()


def _usage_by_key(ledger: Ledger, tenant: str) -> Done:
    found = ledger.usage_by_key(tenant, first=at(0)[:10], last=at(0)[:10], limit=9).rows
    assert len({row.key_id for row in found}) == len(found) <= FEW
    return Counter()


def _expire_usage(ledger: Ledger, tenant: str) -> Done:
    ledger.add_usage([Use(f"{tenant} of old", "k", "2020-01-01", {UsageKind.ADDS: 1})])
    assert ledger.expire_usage(months_before="2020-02", minutes_before="2020", limit=9) >= 0
    return Counter()


def _remove_keys(ledger: Ledger, tenant: str) -> Done:
    ledger.put_key(ApiKey(f"passing {tenant} {random.random()}", f"{tenant} leaves", Role.READ, at(0)))
    assert ledger.remove_keys(f"{tenant} leaves", limit=9) >= 0
    return Counter()


def _expire_keys(ledger: Ledger, tenant: str) -> Done:
    hash_ = f"ends {tenant} {random.random()}"
    ledger.put_key(ApiKey(hash_, f"{tenant} leaves", Role.READ, at(0), label="l", expires_at=at(1)))
    assert all(key == key.bare for key in ledger.expire_keys(before=at(2), limit=9))
    return Counter()


def _tenants_with_keys(ledger: Ledger, tenant: str) -> Done:
    del tenant
    found = ledger.tenants_with_keys()
    assert len(set(found)) == len(found)
    return Counter()


def _close_tenant(ledger: Ledger, tenant: str) -> Done:
    assert ledger.close_tenant(f"{tenant} leaves", at=at(1)).closes
    return Counter()


def _remove_tenant(ledger: Ledger, tenant: str) -> Done:
    ledger.put_document(Document(f"{tenant} leaves", "passing", str(random.random()), {}, at(0)))
    assert ledger.remove_tenant(f"{tenant} leaves", limit=9)[0] >= 0
    return Counter()


def _forget_tenant(ledger: Ledger, tenant: str) -> Done:
    assert isinstance(ledger.forget_tenant(f"{tenant} leaves", limit=9), bool)
    return Counter()


def _key(ledger: Ledger, tenant: str) -> Done:
    key = ledger.key(f"{tenant} {_one()}")
    assert key is None or key.tenant == tenant
    return Counter()


def _put_document(ledger: Ledger, tenant: str) -> Done:
    id_ = f"d{_one()}"
    held = ledger.document(tenant, "counter", id_)
    document = (
        Document(tenant, "counter", id_, {"n": 1}, at(_one()), due_at=at(_one()))
        if held is None
        else replace(held, version=held.version + 1, body={"n": held.body["n"] + 1}, due_at=at(_one()))
    )
    return Counter({f"document {id_}": int(ledger.put_document(document))})


def _document(ledger: Ledger, tenant: str) -> Done:
    document = ledger.document(tenant, "counter", f"d{_one()}")
    assert document is None or document.body == {"n": document.version}
    return Counter()


def _documents(ledger: Ledger, tenant: str) -> Done:
    found, _ = ledger.documents(tenant, "counter", limit=9)
    assert all(document.body == {"n": document.version} for document in found)
    return Counter()


def _documents_by_id(ledger: Ledger, tenant: str) -> Done:
    found = ledger.documents_by_id(tenant, "counter", ["d0", "d1", "another"])
    assert found.keys() <= {"d0", "d1"}
    assert all(document.body == {"n": document.version} for document in found.values())
    return Counter()


def _due_documents(ledger: Ledger, tenant: str) -> Done:
    assert all((document.due_at or "~") <= at(1) for document in ledger.due_documents("counter", now=at(1), limit=9))
    return Counter()


def _due_in_turn(ledger: Ledger, tenant: str) -> Done:
    found = ledger.due_in_turn("counter", now=at(1), limit=9, each=2)
    assert all((document.due_at or "~") <= at(1) for document in found)
    return Counter()


def _delete_document(ledger: Ledger, tenant: str) -> Done:
    id_ = f"gone{_one()}"
    made = ledger.put_document(Document(tenant, "passing", id_, {}, at(0)))
    deleted = ledger.delete_document(tenant, "passing", id_)
    return Counter({f"made {id_}": int(made), f"deleted {id_}": int(deleted)})


def _record() -> IdempotencyRecord:
    return IdempotencyRecord("print", at(random.randrange(50)))


def _begin_request(ledger: Ledger, tenant: str) -> Done:
    name, now = f"{_one()}", at(random.randrange(50))
    standing = ledger.begin_request(tenant, name, _record(), now=now, expires_at=at(99))
    if standing is not None and random.random() < 0.5:
        ledger.begin_request(tenant, name, _record(), now=now, expires_at=at(99), over=standing)
    return Counter()


def _finish_request(ledger: Ledger, tenant: str) -> Done:
    done = replace(_record(), status=200, body=f'{{"id": "{random.choice(memory_ids(tenant))}"}}')
    ledger.finish_request(tenant, f"{_one()}", done, began=_record(), expires_at=at(99))
    return Counter()


def _drop_request(ledger: Ledger, tenant: str) -> Done:
    ledger.drop_request(tenant, f"{_one()}", began=_record())
    return Counter()


def _tidy(ledger: Ledger, tenant: str) -> Done:
    ledger.tidy()
    return Counter()


def _ping(ledger: Ledger, tenant: str) -> Done:
    ledger.ping()
    return Counter()


def _migrate(ledger: Ledger, tenant: str) -> Done:
    assert ledger.migrate() == 0
    return Counter()


def _tenants(ledger: Ledger, tenant: str) -> Done:
    del tenant
    found, _ = ledger.tenants(limit=FEW)
    assert len(set(found)) == len(found) <= FEW
    return Counter()


def _tally(ledger: Ledger, tenant: str) -> Done:
    found = ledger.tally(tenant, limit=9)
    assert 0 <= found.pending <= FEW
    assert 0 <= found.live <= FEW
    return Counter()


def _list_range(ledger: Ledger, tenant: str) -> Done:
    pages = [ledger.list_range(tenant, number, limit=9) for number in range(MOST_RANGES)]
    found = [memory.id for page in pages for memory in page.items]
    assert len(set(found)) == len(found)
    assert set(found) <= set(memory_ids(tenant))
    return Counter()


def _list_tenants(ledger: Ledger, tenant: str) -> Done:
    del tenant
    assert isinstance(ledger.list_tenants(limit=FEW)[0], list)
    return Counter()


def _sample(ledger: Ledger, tenant: str) -> Done:
    assert {memory.id for memory in ledger.sample(tenant, limit=9)} <= set(memory_ids(tenant))
    return Counter()


def _faults(ledger: Ledger, tenant: str) -> Done:
    del tenant
    assert not ledger.faults(seconds=1.0).found
    return Counter()


def _known_names(ledger: Ledger, tenant: str) -> Done:
    owner = NameOwner.user(tenant, "anna")
    record = ledger.known_names(tenant, [owner]).get(owner, NameRecord())
    assert len({(entry.digest, *entry.ids.values()) for entry in record.entries}) == len(record.entries)
    return Counter()


def _note_names(ledger: Ledger, tenant: str) -> Done:
    # In another run than the erased one, so that each name which was noted is there at the end.
    name = f"name {_one()}"
    ledger.note_names(replace(scope_of(tenant), run_id="named"), [NoteworthyName(name, given=True)], erasures_before=0)
    return Counter({name: 1})


def _erase_names(ledger: Ledger, tenant: str) -> Done:
    ledger.note_names(scope_of(tenant), [NoteworthyName("erased", given=True)], erasures_before=0)
    assert ledger.erase_names(tenant, Target({"run_id": "run"}), before=1, limit=9) is None
    return Counter()


#: By the name of the ledger's method.
OPERATIONS: dict[str, Callable[[Ledger, str], Done]] = {
    name.removeprefix("_"): operation
    for name, operation in list(globals().items())
    if callable(operation) and getattr(operation, "__annotations__", {}).get("return") == "Done"
}
del OPERATIONS["some_operations"]
OPERATIONS["recent_messages"] = _read_messages
OPERATIONS["page_end"] = _keep_page_end
