"""Every ledger operation runs beside every other; when all is at rest, what is stored is what was acknowledged."""

from __future__ import annotations

from collections import Counter

from forgetless.domain.known_names import NameOwner
from forgetless.domain.usage import UsageKind
from forgetless.ports.ledger import Ledger
from tests.concurrency.arena import Arena
from tests.concurrency.operations import FEW, OPERATIONS, memory_ids, scope_of, some_operations
from tests.concurrency.test_memories import check_totals
from tests.contract.ledger.making import at, job_id, keys_of


def test_no_operation_is_left_out() -> None:
    operations = {name for name in dir(Ledger) if not name.startswith("_")}
    assert operations - OPERATIONS.keys() == {"close"}


def test_what_is_stored_is_what_was_acknowledged(arena: Arena) -> None:
    for name in arena.rounds(sqlite=8, dynamodb=1):
        done = sum(arena.race(some_operations, name, 16), Counter())
        _check_memories(arena.ledger, name, done)
        _check_messages(arena.ledger, name, done)
        _check_jobs(arena.ledger, name, done)
        for number in range(FEW):
            document = arena.ledger.document(name, "counter", f"d{number}")
            assert (0 if document is None else document.version) == done[f"document d{number}"]
            key = arena.ledger.key(f"{name} {number}")
            assert (0 if key is None else int(key.label)) == done[f"key {name} {number}"]
            used = arena.ledger.used(name, [f"k{number}"], now=at(0))[f"k{number}"]
            assert {used.day.get(UsageKind.REQUESTS, 0), used.minute} == {done[f"usage k{number}"]}
            left = arena.ledger.document(name, "passing", f"gone{number}")
            assert done[f"made gone{number}"] - done[f"deleted gone{number}"] == int(left is not None)
        assert {key.hash for key in keys_of(arena.ledger, name)} == {
            f"{name} {number}" for number in range(FEW) if done[f"key {name} {number}"]
        }
        # An update whose answer was lost may be done, although its caller was told that it is not.
        assert arena.ledger.used(name, ["k0"], now=at(0))["k0"].day.get(UsageKind.LLM_TOKENS, 0) >= done["tokens"]
        _check_erasures(arena.ledger, name, done)
        _check_names(arena.ledger, name, done)
        assert arena.ledger.tidy() == 0


def _check_memories(ledger: Ledger, name: str, done: Counter[str]) -> None:
    held = ledger.read(name, memory_ids(name))
    for id_ in memory_ids(name):
        history = ledger.history(name, id_)
        assert [event.memory.version for event in history] == list(range(1, done[f"event {id_}"] + 1))
        assert [event.memory for event in history][-1:] == ([held[id_]] if id_ in held else [])
    superseded = {memory.id for memory in held.values() if memory.superseded_by is not None and not memory.deleted}
    assert set(ledger.superseded_ids(name, "another", limit=99)) == superseded
    live = {memory.id for memory in held.values() if memory.live}
    assert {memory.id for memory in ledger.list_memories(name, {}, limit=9).items} == live
    exported = [event.memory.id for event in ledger.list_events(name, limit=9).items]
    assert Counter(exported) == {id_: done[f"event {id_}"] for id_ in held}
    check_totals(ledger, name)
    pending = ledger.unindexed(before=at(99), limit=99, tenant=name)
    aside = {one.memory_id for one in ledger.set_aside(name, limit=99)}
    assert not aside & {memory.id for memory in pending}
    assert ledger.pending(name, memory_ids(name)) == aside | {memory.id for memory in pending}
    assert (name in ledger.pending_tenants(limit=99)) == bool(pending)
    tally = ledger.tally(name, limit=99)
    assert (tally.pending, tally.set_aside) == (len(pending), len(aside))
    ledger.mark_indexed(list(held.values()))
    assert ledger.unindexed(before=at(99), limit=99, tenant=name) == []
    assert ledger.set_aside(name, limit=99) == []


def _check_messages(ledger: Ledger, name: str, done: Counter[str]) -> None:
    left = ledger.recent_messages(scope_of(name), since="", before=at(99), limit=999)
    assert len(left) == done["said"] - done["removed"]
    assert ledger.erase_scope_messages(name, {}, at=at(50)) == len(left)  # so that the next round removes its own


def _check_jobs(ledger: Ledger, name: str, done: Counter[str]) -> None:
    for number in range(FEW):
        id_ = job_id(f"j{number}")
        job = ledger.job(name, id_)
        assert done[f"made {id_}"] == int(job is not None)
        if job is not None:
            assert job.attempts == done[f"claimed {id_}"]
            assert job.finished == bool(done[f"ended {id_}"])
            assert done[f"ended {id_}"] <= 1


def _check_names(ledger: Ledger, name: str, done: Counter[str]) -> None:
    owners = NameOwner.all_of(scope_of(name))
    found = ledger.known_names(name, owners)
    noted = {f"name {number}" for number in range(FEW) if done[f"name {number}"]}
    for owner in owners:
        entries = found[owner].entries if owner in found else ()
        assert {entry.digest for entry in entries} - {"erased"} == noted


def _check_erasures(ledger: Ledger, name: str, done: Counter[str]) -> None:
    state = ledger.erasure_state(name)
    assert state.last == done["erasures"]
    assert all(done[f"erasure {number}"] == 1 for number in range(1, state.last + 1))
    open_ = [number for number in range(1, state.last + 1) if ledger.erasure(name, number) is not None]
    assert (state.hiding, state.first) == (len(open_), min(open_, default=0))
