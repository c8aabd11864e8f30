"""The contract of what the index refuses: pending memories by tenant, refusals, and memories that are set aside."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger, Refusal, SetAside
from tests.contract.ledger.making import a_memory, a_message, add, at, delete, update

ODD = "tenant \x00 \ud800 #~"
EVE = Scope("other", user_id="eve")


def refuse(ledger: Ledger, *memories: Memory, second: int = 10, most: int = 2, reason: str = "refused: 400") -> int:
    return ledger.note_refusals([Refusal(one, reason) for one in memories], at=at(second), most=most)


def aside_ids(found: Sequence[SetAside]) -> list[str]:
    return [one.memory_id for one in found]


def test_tenants_with_something_pending_are_found_however_many_memories_one_has(ledger: Ledger) -> None:
    assert ledger.pending_tenants(limit=9) == []
    many = [a_memory("a", position) for position in range(30)]
    theirs, odd = a_memory("b", scope=EVE), a_memory("c", scope=Scope(ODD, user_id="x"))
    ledger.append(add(*many))
    ledger.append(add(theirs, odd))
    assert sorted(ledger.pending_tenants(limit=9)) == sorted(["acme", "other", ODD])
    assert len(ledger.pending_tenants(limit=2)) == 2
    ledger.mark_indexed([*many, odd])
    assert ledger.pending_tenants(limit=9) == ["other"]
    assert ledger.unindexed(before=at(9), limit=9, tenant="acme") == []


def test_a_refused_memory_comes_after_the_others_and_is_set_aside_in_the_end(ledger: Ledger) -> None:
    bad, good = a_memory("a", second=1), a_memory("b", second=2)
    ledger.append(add(bad, good))
    assert refuse(ledger, bad, second=10) == 0
    assert ledger.unindexed(before=at(10), limit=9) == [good]
    assert ledger.unindexed(before=at(11), limit=9) == [good, bad]
    assert refuse(ledger, bad, second=12, reason="refused: 413") == 1
    assert ledger.unindexed(before=at(99), limit=9) == [good]
    assert ledger.set_aside(limit=9) == [SetAside("acme", bad.id, 1, at(12), "refused: 413")]
    assert ledger.set_aside("acme", limit=9) == ledger.set_aside(limit=9)
    assert ledger.set_aside("other", limit=9) == []
    tally = ledger.tally("acme", limit=99)
    assert (tally.live, tally.pending, tally.set_aside) == (2, 1, 1)
    assert ledger.tally(limit=99) == tally
    assert ledger.pending("acme", [bad.id, good.id]) == {bad.id, good.id}
    assert refuse(ledger, bad, second=13) == 0, "it is set aside already"


def test_an_indexed_memory_that_a_rebuild_finds_refused_is_pending_again(ledger: Ledger) -> None:
    memory, gone = a_memory("a"), a_memory("b")
    ledger.append(add(memory, gone))
    removed = delete(gone)
    ledger.append([removed])
    ledger.mark_indexed([memory, removed.memory])
    assert refuse(ledger, memory, removed.memory) == 0
    assert ledger.unindexed(before=at(99), limit=9) == [memory]
    assert refuse(ledger, memory, second=11) == 1
    assert aside_ids(ledger.set_aside(limit=9)) == [memory.id]


def test_another_version_or_context_is_not_refused(ledger: Ledger) -> None:
    said = a_message("a")
    memory, carrier = a_memory("a"), a_memory("a", 1, context=(said.ref,))
    changed = update(memory)
    ledger.append([*add(memory, carrier), changed], messages=[said])
    ledger.erase_messages("acme", [said.ref], at=at(3))
    unknown = a_memory("never")
    assert refuse(ledger, memory, carrier, unknown, most=1) == 0
    assert ledger.set_aside(limit=9) == []
    assert len(ledger.unindexed(before=at(5), limit=9)) == 2


def test_any_change_ends_it_and_forgets_the_refusals(ledger: Ledger) -> None:
    said = a_message("a")
    memory, gone, carrier = a_memory("a"), a_memory("b"), a_memory("a", 1, context=(said.ref,))
    ledger.append(add(memory, gone, carrier), messages=[said])
    assert refuse(ledger, memory, gone, carrier, most=1) == 3
    changed, removed = update(memory, 3), delete(gone, 4)
    ledger.append([changed, removed])
    ledger.erase_messages("acme", [said.ref], at=at(5))
    assert ledger.set_aside(limit=9) == []
    assert {one.id for one in ledger.unindexed(before=at(9), limit=9)} == {memory.id, gone.id, carrier.id}
    assert refuse(ledger, changed.memory, removed.memory) == 0, "it is their first refusal again"


def test_a_writer_marks_no_change_of_a_set_aside_memory(ledger: Ledger) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    refuse(ledger, memory, most=1)
    removed = delete(memory, 4)
    ledger.append([removed])
    ledger.mark_indexed([removed.memory], by_writer=True)
    pending = ledger.unindexed(before=at(9), limit=9)
    assert [one.id for one in pending] == [memory.id], "a reindex may still write its row: sweep takes it out"


def test_what_is_set_aside_is_tried_again_on_request_and_by_a_rebuild(ledger: Ledger) -> None:
    memory, theirs = a_memory("a"), a_memory("b", scope=EVE)
    ledger.append(add(memory, theirs))
    assert refuse(ledger, memory, theirs, most=1) == 2
    assert ledger.retry_set_aside("other", at=at(20)) == 1
    assert aside_ids(ledger.set_aside(limit=9)) == [memory.id]
    assert ledger.unindexed(before=at(21), limit=9) == [theirs]
    assert ledger.retry_set_aside(at=at(20)) == 1
    assert refuse(ledger, memory) == 0
    assert refuse(ledger, memory, theirs, most=1) == 2
    assert ledger.mark_unindexed(at=at(30)) == 2
    assert ledger.set_aside(limit=9) == []
    assert len(ledger.unindexed(before=at(31), limit=9)) == 2


@pytest.mark.parametrize("by_writer", [False, True])
def test_a_memory_that_was_indexed_after_all_has_no_refusals(ledger: Ledger, by_writer: bool) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    if not by_writer:
        refuse(ledger, memory)
    ledger.mark_indexed([memory], by_writer=by_writer)
    ledger.mark_unindexed(at=at(20))
    assert refuse(ledger, memory) == 0
    assert ledger.pending_tenants(limit=9) == ["acme"]
