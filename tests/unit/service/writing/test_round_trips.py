"""An add asks its stores once for each thing that it must know, however many messages it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.memory import Event, EventKind
from tests.fakes.counting_ledger import CountingLedger
from tests.unit.service.world import World, facts, make_world


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[tuple[World, CountingLedger]]:
    """A process that has served its first requests."""
    ledger = CountingLedger(SqliteLedger(tmp_path / "counted.db"))
    replies = (facts(f"Alice likes number {number}") for number in range(99))
    world = make_world(tmp_path, lambda _messages: next(replies), ledger=ledger)  # type: ignore[arg-type]
    world.say("first of all")
    world.say("hello", infer=True)
    ledger.clear()
    yield world, ledger
    world.services.close()


#: What every append of new memories that have a context asks for; the state beside a read is no request of its own.
_STORING = {"append": 1, "read_messages": 1, "mark_indexed": 1}


@pytest.mark.parametrize("messages", [1, 5])
def test_a_verbatim_add_reads_once_before_it_writes_and_once_after(
    counting: tuple[World, CountingLedger], messages: int
) -> None:
    world, ledger = counting
    world.say(*map(str, range(messages)))
    assert ledger.calls == {**_STORING, "recent_messages": 1, "erasures_beside": 3}


def test_an_add_with_an_llm_reads_its_job_once_and_its_messages_once(counting: tuple[World, CountingLedger]) -> None:
    world, ledger = counting
    world.say("I live in Rome", infer=True)
    assert ledger.calls == {
        **_STORING,
        "erasure_state": 2,  # its number, and before it reads its messages
        "accept_job": 1,  # takes a slot, too
        "acquire_lease": 1,
        "claim_job": 1,
        "job_messages": 1,
        "read": 1,
        "document": 1,
        "recent_messages": 1,
        "release_lease": 1,
        "erasures_beside": 3,
    }


def test_what_is_marked_is_read_only_if_the_mark_is_refused(counting: tuple[World, CountingLedger]) -> None:
    world, ledger = counting
    uncounted = ledger._ledger

    def delete_the_newest() -> None:
        (memory,) = uncounted.list_memories("default", {}, limit=1).items
        uncounted.append([Event(EventKind.DELETE, memory.tombstone(world.clock.now(), event_id="deleted"))])

    world.say("I like tea")
    assert ledger.calls["read"] == 0
    world.index.before_insert = delete_the_newest
    world.say("I like coffee")
    assert ledger.calls["read"] == 1


def test_recall_asks_embedder_and_index_once_for_all_messages(
    counting: tuple[World, CountingLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = counting
    calls: Counter[str] = Counter()
    search, embed = world.index.search_vectors, world.embedder.embed

    def searched(tenant: str, vectors: Sequence[Sequence[float]], *more: Any) -> Any:
        calls[f"search for {len(vectors)}"] += 1
        return search(tenant, vectors, *more)

    def embedded(texts: Sequence[str], *more: Any, **named: Any) -> Any:
        calls[f"embed {len(texts)}"] += 1
        return embed(texts, *more, **named)

    monkeypatch.setattr(world.index, "search_vectors", searched)
    monkeypatch.setattr(world.embedder, "embed", embedded)
    world.say("one", "two", "three", infer=True)
    assert calls["search for 3"] == calls["embed 3"] == 1
    assert sum(number for name, number in calls.items() if name.startswith("search")) == 1
