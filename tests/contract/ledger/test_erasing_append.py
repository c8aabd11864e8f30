"""Deletions that erase raw messages in the same transaction: the same in both ledgers."""

from __future__ import annotations

import pytest

from forgetless.domain.errors import VersionConflictError
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import a_job, a_memory, a_message, add, at, delete, update


def test_messages_go_with_the_memories_that_were_made_from_them(ledger: Ledger) -> None:
    said = [a_message("a", place) for place in range(3)]
    refs = [message.ref for message in said]
    first, second, third = (
        a_memory("a", place, sources=(refs[place],), context=tuple(refs[:place])) for place in range(3)
    )
    ledger.append(add(first, second, third), completing=a_job("a"), messages=said)
    ledger.mark_indexed([first, second, third])
    ledger.append([delete(first), delete(second)], erasing=refs[:2])
    assert set(ledger.read_messages("acme", refs)) == {refs[2]}
    left = ledger.read("acme", [third.id])[third.id]
    assert (left.version, left.context) == (1, ())
    # Its row has words of the erased messages.
    pending = {memory.id: memory.deleted for memory in ledger.unindexed(before=at(9), limit=9)}
    assert pending == {first.id: True, second.id: True, third.id: False}
    assert ledger.faults(seconds=20, thorough=True).found == ()


def test_a_repeat_erases_what_is_left_and_a_conflict_erases_nothing(ledger: Ledger) -> None:
    said = a_message("a")
    memory = a_memory("a", sources=(said.ref,))
    ledger.append(add(memory), completing=a_job("a"), messages=[said])
    ledger.append([update(memory)])
    with pytest.raises(VersionConflictError):
        ledger.append([delete(memory)], erasing=[said.ref])
    assert set(ledger.read_messages("acme", [said.ref])) == {said.ref}
    current = ledger.read("acme", [memory.id])[memory.id]
    gone = delete(current)
    ledger.append([gone])
    ledger.append([gone], erasing=[said.ref])
    assert ledger.read_messages("acme", [said.ref]) == {}
    assert ledger.job_messages("acme", said.ref.job_id) == []
