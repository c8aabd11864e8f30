"""Several writers of one memory: every acknowledged change stays, and a lost answer makes no second version."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import LedgerError, NotFoundError, PreconditionFailedError, VersionConflictError
from forgetless.domain.memory import Event, EventKind
from forgetless.service.requests import UpdateRequest
from tests.unit.service.world import World, facts, make_world


class MeddlingLedger(SqliteLedger):
    """A ledger in which something happens just before an append, or whose answer to one is lost."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.meanwhile: list[Callable[[], None]] = []
        self.lose_answers = 0

    def append(self, events: Sequence[Event], **more: Any) -> None:
        if self.meanwhile:
            self.meanwhile.pop()()
        super().append(events, **more)
        if self.lose_answers:
            self.lose_answers -= 1
            raise LedgerError("the answer was lost")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path, clock=SystemClock(), ledger=MeddlingLedger(tmp_path / "ledger.db"))
    yield made
    made.ledger.close()


def meddle(world: World, *acts: Callable[[], object]) -> None:
    assert isinstance(world.ledger, MeddlingLedger)
    world.ledger.meanwhile = [lambda act=act: act() and None for act in reversed(acts)]  # type: ignore[misc]


def lose_answers(world: World, count: int) -> None:
    assert isinstance(world.ledger, MeddlingLedger)
    world.ledger.lose_answers = count


def update(world: World, memory_id: str, **changes: Any) -> int:
    return world.services.changes.update(UpdateRequest("default", memory_id, **changes)).version


def at_once(works: Sequence[Callable[[], object]]) -> list[object]:
    """What each gives, all begun together; an exception is given, not raised."""
    barrier = threading.Barrier(len(works))

    def one(work: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


def test_twenty_keys_set_at_once_are_all_there(world: World) -> None:
    memory_id = world.say("tea").results[0].id
    versions = at_once([lambda n=n: update(world, memory_id, metadata={f"k{n}": n}) for n in range(20)])  # type: ignore[misc]
    assert sorted(versions) == list(range(2, 22))  # type: ignore[type-var]
    memory = world.services.reads.get("default", memory_id)
    assert memory is not None
    assert dict(memory.metadata) == {f"k{n}": n for n in range(20)}
    assert len(world.history(memory_id)) == 21


def test_of_two_texts_at_once_the_index_holds_the_one_that_the_ledger_holds(world: World) -> None:
    memory_id = world.say("tea").results[0].id
    texts = ["The parrot speaks Portuguese", "Granite quarries closed"]
    at_once([lambda text=text: update(world, memory_id, text=text) for text in texts])  # type: ignore[misc]
    (current,) = world.texts()
    (lost,) = set(texts) - {current}
    assert {row.memory.text for row in world.index._rows} == {current}
    assert [hit.details.bm25_raw for hit in world.find(lost)] == [0.0]  # type: ignore[union-attr]


def test_an_expiry_beside_a_text_keeps_both(world: World) -> None:
    memory_id = world.say("tea").results[0].id
    at_once(
        [
            lambda: update(world, memory_id, expiration_date="2030-01-01"),
            lambda: update(world, memory_id, text="coffee"),
        ]
    )
    memory = world.services.reads.get("default", memory_id)
    assert memory is not None
    assert (memory.text, memory.expiration_date, memory.version) == ("coffee", "2030-01-01", 3)


def test_a_supersession_beside_an_update_leaves_nothing_active_and_loses_nothing(tmp_path: Path) -> None:
    reply = facts({"text": "Lives in Berlin", "supersedes": ["1"]})
    ledger = MeddlingLedger(tmp_path / "ledger.db")
    world = make_world(tmp_path, [reply], clock=SystemClock(), ledger=ledger)
    memory_id = world.say("Lives in Lisbon").results[0].id
    ledger.meanwhile = [lambda: update(world, memory_id, metadata={"seen": True}) and None]
    world.say("I live in Berlin now", infer=True)
    memory = world.services.reads.get("default", memory_id)
    assert memory is not None
    assert (dict(memory.metadata), memory.live, memory.version) == ({"seen": True}, False, 3)
    assert world.texts() == ["Lives in Berlin"]


def test_a_loser_reads_again_and_merges_into_what_the_winner_left(world: World) -> None:
    memory_id = world.say("tea").results[0].id
    meddle(world, lambda: update(world, memory_id, metadata={"winner": 1}))
    assert update(world, memory_id, metadata={"loser": 1}) == 3
    memory = world.services.reads.get("default", memory_id)
    assert memory is not None
    assert dict(memory.metadata) == {"winner": 1, "loser": 1}


def test_a_version_that_was_asked_for_is_judged_again_after_a_lost_race(world: World) -> None:
    memory_id = world.say("tea").results[0].id
    meddle(world, lambda: update(world, memory_id, metadata={"winner": 1}))
    with pytest.raises(PreconditionFailedError, match="version 2 now"):
        update(world, memory_id, text="coffee", expected_versions=frozenset({1}))
    assert world.texts() == ["tea"]


def test_a_writer_that_always_loses_ends_in_a_conflict(tmp_path: Path) -> None:
    class BusyLedger(SqliteLedger):
        """Refuses every update, as if another were always first."""

        def append(self, events: Sequence[Event], **more: Any) -> None:
            if any(event.kind is EventKind.UPDATE for event in events):
                raise VersionConflictError("another was first")
            super().append(events, **more)

    world = make_world(tmp_path, ledger=BusyLedger(tmp_path / "ledger.db"))
    memory_id = world.say("tea").results[0].id
    with pytest.raises(VersionConflictError):
        update(world, memory_id, text="coffee")
    assert world.texts() == ["tea"]
    assert {row.memory.text for row in world.index._rows} == {"tea"}


def test_a_request_that_comes_again_after_a_lost_answer_makes_no_second_version(world: World) -> None:
    memory_id = world.say("tea").results[0].id
    request = UpdateRequest("default", memory_id, metadata={"a": 1})
    lose_answers(world, 1)
    with pytest.raises(LedgerError):
        world.services.changes.update(request, request_name="PUT k1")
    update(world, memory_id, metadata={"b": 1})
    again = world.services.changes.update(request, request_name="PUT k1")
    assert (again.version, dict(again.metadata)) == (2, {"a": 1}), "its own version, not the newest"
    assert len(world.history(memory_id)) == 3


def test_a_memory_that_was_deleted_meanwhile_cannot_be_changed(world: World) -> None:
    memory_id = world.say("tea").results[0].id
    meddle(world, lambda: world.services.changes.delete("default", memory_id))
    with pytest.raises(NotFoundError):
        update(world, memory_id, text="coffee")
    assert world.texts() == []
    assert world.index._rows == []


def test_a_deletion_that_comes_again_after_a_lost_answer_is_done(world: World) -> None:
    memory_id = world.say("tea").results[0].id
    lose_answers(world, 1)
    with pytest.raises(LedgerError):
        world.services.changes.delete("default", memory_id, request_name="DELETE k1")
    world.services.changes.delete("default", memory_id, request_name="DELETE k1")
    with pytest.raises(NotFoundError):
        world.services.changes.delete("default", memory_id, request_name="DELETE k2")
