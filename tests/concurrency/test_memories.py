"""Memories under races: one event for each version, all of an append or nothing, totals that equal what is listed."""

from __future__ import annotations

from dataclasses import replace

from forgetless.domain.errors import DuplicateTextError, LeaseLostError, LedgerError, VersionConflictError
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import Totals
from tests.concurrency.arena import Arena
from tests.concurrency.crew import small_transactions
from tests.contract.ledger.making import a_job, a_memory, a_message, add, at, delete, entities_of, job_id, update


def anna(name: str) -> Scope:
    """A tenant of the round's own."""
    return Scope(name, user_id="anna", app_id="app")


def check_totals(ledger: Ledger, tenant: str) -> None:
    """Every entity's total is the number of its memories that are listed, its times are theirs."""
    for _ in range(2):  # the first may correct times that a removal made doubtful
        for entity in entities_of(ledger, tenant):
            listed = ledger.list_memories(tenant, {f"{entity.kind}_id": entity.id}, limit=999).items
            assert entity.total_memories == len(listed)
            assert entity.created_at == min(memory.created_at for memory in listed)
            assert entity.updated_at == max(memory.updated_at for memory in listed)
    everything = ledger.list_memories(tenant, {}, limit=999).items
    expiring = sum(memory.expiration_date is not None for memory in everything)
    assert ledger.kept_totals(tenant, {}) == Totals(len(everything), expiring)
    assert {entity.id for entity in entities_of(ledger, tenant)} == {
        id_ for memory in everything for id_ in memory.scope.ids().values()
    }


def _set_next_version(ledger: Ledger, number: int, name: str) -> str | None:
    text = f"by {number}"
    try:
        ledger.append([update(a_memory("a", scope=anna(name)), text=text)])
    except VersionConflictError:
        return None
    return text


def test_of_parallel_updates_one_is_the_next_version_and_the_others_conflict(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=4):
        memory = a_memory("a", scope=anna(name))
        arena.ledger.append(add(memory))
        [winner] = [text for text in arena.race(_set_next_version, name) if text is not None]
        assert [event.memory.text for event in arena.ledger.history(name, memory.id)] == [memory.text, winner]
        assert arena.ledger.read(name, [memory.id])[memory.id].text == winner


def _set_own_key(ledger: Ledger, number: int, name: str, count: int) -> None:
    id_ = a_memory("a", scope=anna(name)).id
    for place in range(count):
        while True:
            memory = ledger.read(name, [id_])[id_]
            try:
                ledger.append([update(memory, metadata={**memory.metadata, f"{number}.{place}": place})])
            except VersionConflictError:
                continue
            break


def test_each_change_that_was_taken_is_in_the_end_there_and_in_the_history(arena: Arena) -> None:
    for name in arena.rounds(sqlite=6, dynamodb=1):
        memory = a_memory("a", scope=anna(name))
        arena.ledger.append(add(memory))
        arena.race(_set_own_key, name, 3)
        changes = 3 * arena.count
        assert len(arena.ledger.read(name, [memory.id])[memory.id].metadata) == changes
        history = arena.ledger.history(name, memory.id)
        assert [event.memory.version for event in history] == list(range(1, changes + 2))
        assert [len(event.memory.metadata) for event in history] == list(range(changes + 1))


def _add_then_delete_half(ledger: Ledger, number: int, name: str) -> None:
    memories = [a_memory(f"{number}.{place}", scope=anna(name), second=number + 3 * place) for place in range(2)]
    for memory in memories:
        ledger.append(add(memory), messages=[a_message(f"{number} {memory.id}", scope=anna(name))])
    for memory in memories[::2]:
        ledger.append([delete(memory, second=60 + number)])
        entities_of(ledger, name)  # corrects the times that this deletion made doubtful, while others go on


def test_adds_and_deletes_of_several_are_all_counted(arena: Arena) -> None:
    for name in arena.rounds(sqlite=6, dynamodb=2):
        arena.race(_add_then_delete_half, name)
        assert len(arena.ledger.list_memories(name, {}, limit=99).items) == arena.count
        check_totals(arena.ledger, name)


def _add_same_facts(ledger: Ledger, number: int, name: str) -> int:
    stored = 0
    for fact in range(3):
        memory = a_memory(f"job {number} {fact}", scope=anna(name), text=f"fact {fact}", extracted=True)
        try:
            ledger.append(add(memory))
        except DuplicateTextError:
            continue
        stored += 1
    return stored


def test_an_extracted_text_is_stored_once(arena: Arena) -> None:
    for name in arena.rounds(sqlite=10, dynamodb=2):
        assert sum(arena.race(_add_same_facts, name)) == 3
        assert len(arena.ledger.list_memories(name, {}, limit=99).items) == 3
        check_totals(arena.ledger, name)


def _finish_as(ledger: Ledger, number: int, name: str, owners: list[str]) -> bool:
    """Each finishes the job with a memory; it is one's, who may be several processes that do the same."""
    done = replace(a_job("a", scope=anna(name)), state=JobState.SUCCEEDED, lease_owner=owners[number], attempts=1)
    memory = replace(a_memory("a", scope=anna(name)), text=f"of {owners[number]}", event_id=owners[number])
    try:
        ledger.append(add(memory), completing=done, messages=[a_message("a", scope=anna(name))])
    except LeaseLostError:
        return False
    return True


def test_only_the_owner_of_a_job_finishes_it_and_once(arena: Arena) -> None:
    owners = ["me", "them", "me"][: arena.count]
    for name in arena.rounds(sqlite=10, dynamodb=2):
        arena.ledger.put_job(a_job("a", scope=anna(name)), [])
        arena.ledger.claim_job(name, job_id("a"), owner="me", now=at(0), until=at(9))
        assert arena.race(_finish_as, name, owners) == [owner == "me" for owner in owners]
        [memory] = arena.ledger.list_memories(name, {}, limit=9).items
        assert (memory.text, len(arena.ledger.history(name, memory.id))) == ("of me", 1)
        check_totals(arena.ledger, name)


#: More than a small transaction holds: each update is a version, a head and three entries of lists.
_MANY = 4


def _change_all(ledger: Ledger, number: int, name: str) -> str | None:
    """All to the next version at once, or none; the last process only looks, again and again."""
    memories = [a_memory(f"{place}", scope=anna(name)) for place in range(_MANY)]
    events = [update(memory, text=f"by {number}", second=number + 1) for memory in memories]
    try:
        with small_transactions():
            ledger.append(events)
    except VersionConflictError:
        return "conflict"
    except LedgerError:
        return "cut off"
    return f"by {number}"


def _change_all_but_the_last_looks(ledger: Ledger, number: int, name: str, last: int) -> str | None:
    if number != last:
        return _change_all(ledger, number, name)
    ids = [a_memory(f"{place}", scope=anna(name)).id for place in range(_MANY)]
    for _ in range(12):
        seen = {(memory.version, memory.text[:3]) for memory in ledger.read(name, ids).values()}
        assert len(seen) == 1, seen
    return None


def _texts(ledger: Ledger, name: str, memories: list[Memory]) -> set[str]:
    found = ledger.read(name, [memory.id for memory in memories])
    assert len(found) == _MANY
    return {memory.text for memory in found.values()}


def test_of_two_large_appends_one_counts_and_no_reader_sees_a_part(arena: Arena) -> None:
    for name in arena.rounds(sqlite=4, dynamodb=3):
        memories = [a_memory(f"{place}", scope=anna(name), text="old") for place in range(_MANY)]
        arena.ledger.append(add(*memories))
        answers = arena.race(_change_all_but_the_last_looks, name, arena.count - 1)
        [winner] = [answer for answer in answers if answer not in {"conflict", None}]
        assert _texts(arena.ledger, name, memories) == {winner}
        assert {len(arena.ledger.history(name, memory.id)) for memory in memories} == {2}
        check_totals(arena.ledger, name)


def test_a_large_append_whose_process_is_cut_off_counts_as_a_whole_or_not_at_all(arena: Arena) -> None:
    """What it left is settled by whoever meets it, and by `tidy` beside those who still work."""
    for name in arena.rounds(sqlite=1, dynamodb=1):
        memories = [a_memory(f"{place}", scope=anna(name), text="old") for place in range(_MANY)]
        arena.ledger.append(add(*memories))
        answers = arena.race(_change_all_or_tidy, name, mortal=[0])
        arena.ledger.tidy()
        [text] = _texts(arena.ledger, name, memories)
        told = {answer for answer in answers if answer is not None and answer.startswith("by")}
        assert text in (told or {"old", "by 0"})
        assert {len(arena.ledger.history(name, memory.id)) for memory in memories} == {1 if text == "old" else 2}
        check_totals(arena.ledger, name)


def _change_all_or_tidy(ledger: Ledger, number: int, name: str) -> str | None:
    if number < 2:
        return _change_all(ledger, number, name)
    ledger.tidy()
    return None
