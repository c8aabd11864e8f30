"""The ledger contract for long texts, far above what one item of a store may hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.domain.documents import Document
from forgetless.domain.jobs import JobState
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import IdempotencyRecord
from tests.contract.ledger.making import a_job, a_memory, a_message, add, at, delete, job_id, update

#: Not of one kind, so that a part in the wrong place would show.
LONG = "".join(f"{number:07d} ngày mai 🦊 " for number in range(40_000))


@pytest.mark.parametrize("chars", [99_000, 301_000, len(LONG)])
def test_long_texts_come_back_whole_in_every_version(ledger: Ledger, chars: int) -> None:
    memory = a_memory("a", text=LONG[:chars])
    changed = update(memory, text=LONG[7:chars])
    ledger.append(add(memory))
    ledger.append([changed])
    assert ledger.read("acme", [memory.id]) == {memory.id: changed.memory}
    assert ledger.history("acme", memory.id) == [*add(memory), changed]
    assert ledger.list_memories("acme", {"user_id": "anna"}, limit=2).items == (changed.memory,)
    assert ledger.unindexed(before=at(9), limit=2) == [changed.memory]


def test_many_long_texts_are_stored_together(ledger: Ledger) -> None:
    memories = [a_memory("a", position, text=LONG[position:]) for position in range(4)]
    messages = [a_message("a", position, content=LONG[position:]) for position in range(4)]
    ledger.append(add(*memories), messages=messages)
    assert ledger.read("acme", [memory.id for memory in memories]) == {memory.id: memory for memory in memories}
    assert ledger.job_messages("acme", job_id("a")) == messages


def test_long_messages_are_read_and_erased_whole(ledger: Ledger) -> None:
    first, second = a_message("a", 0, content=LONG), a_message("a", 1, content="short")
    carrier = a_memory("b", text=LONG, context=(first.ref, second.ref))
    ledger.append(add(carrier), messages=[first, second])
    assert ledger.read_messages("acme", [first.ref]) == {first.ref: first}
    assert ledger.recent_messages(first.scope, since="", before=at(9), limit=1) == [second]
    assert ledger.erase_messages("acme", [first.ref], at=at(5)) == 1
    assert ledger.job_messages("acme", job_id("a")) == [second]
    left = replace(carrier, context=(second.ref,))
    assert ledger.read("acme", [carrier.id]) == {carrier.id: left}


def test_long_words_go_with_their_memory(ledger: Ledger) -> None:
    memory = a_memory("a", text=LONG)
    ledger.append(add(memory))
    ledger.append([delete(memory)])
    assert [event.memory.text for event in ledger.history("acme", memory.id)] == ["", ""]


def test_long_requests_answers_and_documents_come_back(ledger: Ledger) -> None:
    job = a_job("a", request={"metadata": {"long": LONG}})
    ledger.put_job(job, [])
    claimed = ledger.claim_job("acme", job.id, owner="me", now=at(1), until=at(5))
    assert claimed is not None
    assert claimed.request == job.request
    done = replace(claimed, state=JobState.SUCCEEDED, results=tuple({"id": f"m{n}"} for n in range(20_000)))
    assert ledger.update_job(done, held=claimed)
    assert ledger.job("acme", job.id) == done

    answer = IdempotencyRecord("print", at(9), 200, LONG)
    runs = IdempotencyRecord("print", at(9))
    assert ledger.begin_request("acme", "name", runs, now=at(1), expires_at=at(60)) is None
    ledger.finish_request("acme", "name", answer, began=runs, expires_at=at(60))
    assert ledger.begin_request("acme", "name", runs, now=at(2), expires_at=at(60)) == answer
    assert ledger.begin_request("acme", "name", runs, now=at(60), expires_at=at(99)) is None

    document = Document("acme", "export", "x", {"long": LONG}, at(0))
    assert ledger.put_document(document)
    second = replace(document, version=2, body={"long": LONG[1:]})
    assert ledger.put_document(second)
    assert ledger.document("acme", "export", "x") == second
