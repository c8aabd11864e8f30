"""Messages under races: erased ones leave every context, each is counted once, and no other message is lost."""

from __future__ import annotations

from dataclasses import replace

from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from tests.concurrency.arena import Arena
from tests.concurrency.crew import small_transactions
from tests.contract.ledger.making import a_memory, a_message, add, at, job_id


def anna(name: str) -> Scope:
    return Scope(name, user_id="anna")


def _said(name: str, count: int = 3) -> list[Message]:
    return [a_message("said before", place, scope=anna(name), content=f"said {place}") for place in range(count)]


def _carrier(name: str, number: int, refs: tuple[MessageRef, ...]) -> Memory:
    return a_memory(f"carrier {number}", scope=anna(name), context=refs)


def _carry_or_erase(ledger: Ledger, number: int, name: str) -> int:
    """The first erases; each other adds a memory that carries the messages, and looks afterwards, as an add does."""
    refs = tuple(message.ref for message in _said(name))
    if number == 0:
        return ledger.erase_messages(name, refs, at=at(50))
    memory = _carrier(name, number, refs)
    ledger.append(add(memory), messages=[a_message(f"own {number}", scope=anna(name))])
    gone = set(refs) - ledger.read_messages(name, refs).keys()
    ledger.erase_messages(name, sorted(gone), at=at(50))
    return 0


def test_no_memory_carries_what_was_erased_while_it_was_added(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=5):
        messages = _said(name)
        arena.ledger.append([], messages=messages)
        assert arena.race(_carry_or_erase, name)[0] == len(messages)
        refs = tuple(message.ref for message in messages)
        assert arena.ledger.read_messages(name, refs) == {}
        for number in range(1, arena.count):
            memory = _carrier(name, number, refs)
            assert arena.ledger.read(name, [memory.id])[memory.id].context == ()
            assert arena.ledger.job_messages(name, job_id(f"own {number}")) != []


def _erase_or_expire(ledger: Ledger, number: int, name: str) -> int:
    refs = [message.ref for message in _said(name, 6)]
    with small_transactions():
        if number == 0:
            return ledger.erase_messages(name, refs, at=at(50))
        if number == 1:
            return ledger.erase_scope_messages(name, {"user_id": "anna"}, at=at(50))
    return ledger.expire_messages(before=at(20), limit=99)


def test_each_message_is_removed_once_whoever_removes_it(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=2):
        messages = _said(name, 6)
        kept = a_message("of another", scope=Scope(name, user_id="bob"), second=30)
        memory = a_memory("carrier", scope=anna(name), context=tuple(message.ref for message in messages[:2]))
        arena.ledger.append(add(memory), messages=[*messages, kept])
        assert sum(arena.race(_erase_or_expire, name)) == len(messages)
        assert arena.ledger.job_messages(name, messages[0].ref.job_id) == []
        assert arena.ledger.read_messages(name, [kept.ref]) == {kept.ref: kept}
        assert arena.ledger.recent_messages(anna(name), since="", before=at(99), limit=9) == []
        assert arena.ledger.read(name, [memory.id])[memory.id].context == ()


def _say(ledger: Ledger, number: int, name: str) -> list[str]:
    mine = [a_message(f"job {number}", place, scope=anna(name), second=10 * place + number) for place in range(3)]
    for message in mine:
        ledger.append([], messages=[message])
        ledger.append([], messages=[replace(message, content="not this: it is there")])
    return [message.content for message in ledger.recent_messages(anna(name), since="", before=at(99), limit=99)]


def test_messages_of_several_in_one_scope_are_all_there_and_in_order(arena: Arena) -> None:
    for name in arena.rounds(sqlite=8, dynamodb=1):
        seen = arena.race(_say, name)
        assert {content for each in seen for content in each} == {"said"}
        found = arena.ledger.recent_messages(anna(name), since="", before=at(99), limit=99)
        assert [message.created_at for message in found] == sorted(message.created_at for message in found)
        assert len(found) == 3 * arena.count
