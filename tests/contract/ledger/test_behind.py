"""The contract of what the other generation of the index lacks: marked in the write that marks a memory as indexed."""

from __future__ import annotations

import pytest

from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger, Refusal
from tests.contract.ledger.making import a_memory, a_message, add, at, delete, update

ODD = "tenant \x00 \ud800 #~"


def behind(ledger: Ledger, tenant: str = "acme", second: int = 99) -> list[str]:
    return [memory.id for memory in ledger.behind(tenant, before=at(second), limit=9)]


@pytest.mark.parametrize("by_writer", [True, False])
def test_what_is_marked_as_indexed_is_behind_until_it_is_caught_up(ledger: Ledger, by_writer: bool) -> None:
    old, new = a_memory("a", second=1), a_memory("b", second=2)
    odd = a_memory("c", scope=Scope(ODD, user_id="x"))
    ledger.append(add(old, new))
    ledger.append(add(odd))
    assert ledger.behind_tenants(limit=9) == []
    assert ledger.mark_indexed([old, new], by_writer=by_writer, behind=True) == []
    assert ledger.mark_indexed([odd], by_writer=by_writer, behind=True) == []
    assert behind(ledger) == [old.id, new.id]
    assert behind(ledger, second=2) == [old.id]
    assert ledger.unindexed(before=at(99), limit=9) == []
    assert ledger.pending("acme", [old.id, new.id]) == set()
    assert sorted(ledger.behind_tenants(limit=9)) == sorted(["acme", ODD])
    assert (ledger.tally("acme", limit=9).behind, ledger.tally(limit=9).behind) == (2, 3)
    assert ledger.mark_caught_up([old, odd]) == []
    assert ledger.mark_caught_up([old]) == [], "a repeat is harmless"
    assert behind(ledger) == [new.id]
    assert ledger.behind_tenants(limit=9) == ["acme"]
    assert ledger.mark_indexed([old]) == []
    assert behind(ledger) == [new.id], "to mark what is indexed already changes nothing"


def test_a_memory_stays_behind_through_its_changes_even_if_a_writer_does_not_know(ledger: Ledger) -> None:
    memory, gone = a_memory("a"), a_memory("b")
    ledger.append(add(memory, gone))
    ledger.mark_indexed([memory, gone], behind=True)
    changed, removed = update(memory, 5), delete(gone)
    ledger.append([changed, removed])
    assert behind(ledger) == [], "the serving generation gets them first"
    assert ledger.mark_caught_up([memory]) == [memory]
    # The change found the row of the version before possibly being written, so only sweep may mark it.
    ledger.mark_indexed([changed.memory, removed.memory], by_writer=True)
    assert len(ledger.unindexed(before=at(99), limit=9)) == 2
    ledger.mark_indexed([changed.memory, removed.memory.nobodys()])
    assert sorted(behind(ledger)) == sorted([memory.id, gone.id])
    assert ledger.mark_caught_up([changed.memory, removed.memory.nobodys()]) == []
    assert behind(ledger) == []


def test_memories_are_marked_in_pages_and_postponed(ledger: Ledger) -> None:
    indexed, waiting = a_memory("a"), a_memory("b", second=2)
    refused, carrier = a_memory("c"), a_memory("d", context=(a_message("m").ref,))
    ledger.append(add(indexed, waiting, refused, carrier), messages=[a_message("m")])
    ledger.mark_indexed([indexed, carrier])
    ledger.note_refusals([Refusal(refused, "refused: 400")], at=at(3), most=1)
    stale = update(indexed, 4).memory
    ledger.mark_behind([indexed, waiting, refused, carrier, stale], at=at(10))
    ledger.mark_behind([], at=at(10))
    assert sorted(behind(ledger)) == sorted([indexed.id, carrier.id])
    ledger.mark_behind([indexed], at=at(50))
    assert behind(ledger, second=49) == [carrier.id]
    ledger.mark_indexed([waiting, refused])
    assert sorted(behind(ledger)) == sorted([indexed.id, carrier.id, waiting.id, refused.id])


def test_memories_are_marked_as_pending_unless_they_wait_or_have_changed(ledger: Ledger) -> None:
    indexed, waiting = a_memory("a"), a_memory("b", second=2)
    refused, changed = a_memory("c"), a_memory("d")
    ledger.append(add(indexed, waiting, refused, changed))
    ledger.mark_indexed([indexed, changed], behind=True)
    ledger.note_refusals([Refusal(refused, "refused: 400")], at=at(3), most=1)
    ledger.append([update(changed, 4)])
    ledger.mark_indexed([update(changed, 4).memory])
    ledger.mark_pending([indexed, waiting, refused, changed], at=at(50))
    ledger.mark_pending([], at=at(50))
    assert [memory.id for memory in ledger.unindexed(before=at(49), limit=9)] == [waiting.id]
    assert [memory.id for memory in ledger.unindexed(before=at(99), limit=9)] == [waiting.id, indexed.id]
    assert [one.memory_id for one in ledger.set_aside(limit=9)] == [refused.id]
    assert behind(ledger) == [changed.id], "the serving generation gets it first"
    assert ledger.mark_indexed([indexed]) == []
    assert sorted(behind(ledger)) == sorted([indexed.id, changed.id])
