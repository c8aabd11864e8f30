"""An erasure, and rows that are made again, hold few long messages at once, and read none more often than needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef, memory_id
from forgetless.domain.said import MOST_CONTEXT_CHARS
from forgetless.domain.times import later
from forgetless.service.jobs import erase
from tests.unit.heavy import AT, MB, peak_of
from tests.unit.service.world import ALICE, World

LONG = "😀" + "x" * 499_999
COUNT = 40
FACTS = "5f0c1d5e-1111-4222-8333-944445555666"


def fill(world: World) -> list[MessageRef]:
    """80 MB of texts."""
    said = [
        Message(MessageRef(f"job{number:02}", 0), ALICE, "user", LONG, later(AT, number)) for number in range(COUNT)
    ]
    world.ledger.append([], messages=said)
    return [message.ref for message in said]


def test_an_erasure_reads_each_long_message_once(
    new_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    refs = fill(world)
    read: list[int] = []
    scope_messages = world.ledger.scope_messages

    def counted(
        tenant: str, ids: Mapping[str, str], *, limit: int, cursor: str | None = None
    ) -> tuple[list[Message], str | None]:
        found, following = scope_messages(tenant, ids, limit=limit, cursor=cursor)
        read.append(len(found))
        return found, following

    monkeypatch.setattr(world.ledger, "scope_messages", counted)
    monkeypatch.setattr(erase, "ERASE_IN_REQUEST_S", 600.0)
    _, peak = peak_of(lambda: world.services.changes.delete_scope("default", {"user_id": "alice"}))
    assert peak < 40 * MB, f"{peak / MB:.0f} MB"
    assert sum(read) == COUNT
    assert len(read) > 5
    assert world.ledger.read_messages("default", refs, most_chars=0) == {}


def test_of_the_context_of_many_memories_only_beginnings_are_read(new_world: Callable[..., World]) -> None:
    world = new_world()
    refs = fill(world)
    memories = [
        Memory(memory_id(FACTS, place), 1, ALICE, f"fact {place}", AT, AT, FACTS, place, context=(ref,))
        for place, ref in enumerate(refs)
    ]
    world.ledger.append([Event(EventKind.ADD, one) for one in memories])
    world.clock.advance(3600)
    done, peak = peak_of(lambda: world.services.sweep.index_pending("default"))
    assert done == COUNT
    assert peak < 40 * MB, f"{peak / MB:.0f} MB"


def test_a_row_is_the_same_whether_its_neighbours_are_read_as_a_whole_or_not(new_world: Callable[..., World]) -> None:
    """A long message is both a memory of its own and the context of the next one."""
    world = new_world()
    long = " ".join(f"word{number}" for number in range(3000))
    world.say(long, "I like tea", "Anna: yes", "Bob: no", "Anna: " + long, "Bob: why?")
    before = rows(world)
    world.index.drop_all()
    world.services.sweep.index_all()
    assert rows(world) == before
    assert len(long) > 2 * MOST_CONTEXT_CHARS


def rows(world: World) -> Any:
    return {
        query: [(found.memory.text[:30], round(found.score, 6)) for found in world.find(query)]
        for query in ("tea", "word7", "why", "anna", "word2999")
    }
