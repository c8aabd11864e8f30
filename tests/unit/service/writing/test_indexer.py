"""Indexing: races leave no erased text in the index, and a rebuild removes no correct row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.recipes import CURRENT
from forgetless.domain.scope import Scope
from forgetless.domain.sparse_words import term_id
from forgetless.ports.embedder import EmbeddingTask
from forgetless.ports.index import IndexRow
from forgetless.service.requests import UpdateRequest
from tests.unit.service.world import World, newest


def words_find(world: World, words: str) -> list[str]:
    """What the index itself holds under these words, whatever the ledger says."""
    return [hit.memory_id for hit in world.index.search_words("default", CURRENT.query_words(words), EVERYTHING, 100)]


def test_a_memory_that_is_deleted_while_it_is_indexed_leaves_no_row(world: World) -> None:
    world.index.before_insert = lambda: world.services.changes.reset("default") and None
    world.say("the password is swordfish")
    assert words_find(world, "swordfish") == []
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert words_find(world, "swordfish") == []


class Killed(BaseException):
    """The process ends here: nothing that would follow is done."""


def die_before_the_last_look(world: World, meanwhile: Callable[[], object]) -> Callable[[], None]:
    """Before a row is inserted something happens; after it, and before the writer marks it, the writer dies."""
    mark_indexed = world.ledger.mark_indexed

    def killed(*_arguments: object, **_named: object) -> None:
        world.ledger.mark_indexed = mark_indexed  # type: ignore[method-assign]
        raise Killed

    def before_insert() -> None:
        meanwhile()
        world.ledger.mark_indexed = killed  # type: ignore[method-assign, assignment]

    return before_insert


def test_a_writer_that_dies_while_its_memory_is_deleted_leaves_no_row_for_ever(world: World) -> None:
    world.index.before_insert = die_before_the_last_look(world, lambda: world.services.changes.reset("default"))
    with pytest.raises(Killed):
        world.say("the password is swordfish")
    assert len(words_find(world, "swordfish")) == 1
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert words_find(world, "swordfish") == []


def test_a_writer_that_dies_while_its_memory_changes_leaves_no_row_for_ever(world: World) -> None:
    def change() -> None:
        (memory,) = newest(world.services, {}, limit=1)
        world.services.changes.update(UpdateRequest("default", memory.id, text="I ride a bicycle"))

    world.index.before_insert = die_before_the_last_look(world, change)
    with pytest.raises(Killed):
        world.say("I drive a volvo")
    assert [memory.memory.text for memory in world.find("bicycle")] == ["I ride a bicycle"]
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert words_find(world, "volvo") == []
    assert len(words_find(world, "bicycle")) == 1


def test_a_writer_that_dies_before_it_removes_an_outdated_row_leaves_none_for_ever(world: World) -> None:
    """The ledger has told it that its row is outdated, and then it dies."""
    drop = world.index.drop

    def killed(*_arguments: object) -> None:
        world.index.drop = drop  # type: ignore[method-assign]
        raise Killed

    def change() -> None:
        (memory,) = newest(world.services, {}, limit=1)
        world.services.changes.update(UpdateRequest("default", memory.id, text="I ride a bicycle"))
        world.index.drop = killed  # type: ignore[method-assign, assignment]

    world.index.before_insert = change
    with pytest.raises(Killed):
        world.say("I drive a volvo")
    assert len(words_find(world, "volvo")) == 1
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert words_find(world, "volvo") == []
    assert len(words_find(world, "bicycle")) == 1


def test_a_writer_reads_nothing_again_when_nobody_was_in_its_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(world.ledger, "read", lambda *_: calls.append("read") or {})
    monkeypatch.setattr(world.index, "drop", lambda *_: calls.append("drop"))
    assert world.say("I drive a volvo", "It is blue").indexed
    assert calls == []


def test_a_memory_that_changes_while_sweep_indexes_it_keeps_its_new_row_alone(world: World) -> None:
    world.index.available = False
    memory_id = world.say("I drive a volvo").results[0].id
    world.index.available = True
    update = UpdateRequest("default", memory_id, text="I ride a bicycle")
    world.index.before_insert = lambda: world.services.changes.update(update) and None
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert words_find(world, "volvo") == []
    assert words_find(world, "bicycle") == [memory_id]


def test_a_message_that_is_erased_while_it_becomes_context_is_in_no_row(world: World) -> None:
    secret = world.say("the password is swordfish").results[0].id
    world.index.before_insert = lambda: world.services.changes.delete("default", secret)
    assert not world.say("never mind").indexed
    assert world.find("never mind") == []
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert words_find(world, "swordfish") == []
    assert [hit.memory.text for hit in world.find("never mind")] == ["never mind"]


def test_a_message_that_is_erased_before_its_follower_is_stored_is_in_no_row(world: World) -> None:
    secret = world.say("the password is swordfish").results[0].id
    append = world.ledger.append

    def erased_first(*arguments: object, **options: object) -> None:
        world.ledger.append = append  # type: ignore[method-assign]
        world.services.changes.delete("default", secret)
        append(*arguments, **options)  # type: ignore[arg-type]

    world.ledger.append = erased_first  # type: ignore[method-assign, assignment]
    world.say("never mind")
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert words_find(world, "swordfish") == []
    assert [hit.memory.text for hit in world.find("never mind")] == ["never mind"]


def test_a_rebuild_leaves_right_rows_in_place_for_the_searches_meanwhile(world: World) -> None:
    world.say("the boat is blue")
    world.say("the boat is fast")
    written: list[object] = []
    world.index.before_insert = lambda: written.append(len(words_find(world, "boat")))
    assert world.services.sweep.index_all() == 2
    assert written == []
    assert len(words_find(world, "boat")) == 2


def test_a_rebuild_replaces_a_row_whose_text_no_ledger_knows(world: World) -> None:
    world.say("I ride a bicycle")
    (right,) = world.index._rows
    world.index._rows = [IndexRow(replace(right.memory, text="I drive a volvo"), right.vector, {term_id("volvo"): 1.0})]
    assert world.services.sweep.index_all() == 1
    assert words_find(world, "volvo") == []
    assert words_find(world, "bicycle") == [right.memory.id]


def test_a_rebuild_removes_doubles(world: World) -> None:
    world.say("I ride a bicycle")
    world.index._rows *= 2
    world.services.sweep.index_all()
    assert world.index.count() == 1


def test_a_cached_vector_is_for_the_same_writer_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a fast answer would tell one user of a tenant what another one has said."""
    owners: list[str] = []
    embed = world.embedder.embed

    def noted(texts: Sequence[str], task: EmbeddingTask, *, owner: str = "") -> list[list[float]]:
        owners.append(owner)
        return embed(texts, task, owner=owner)

    monkeypatch.setattr(world.embedder, "embed", noted)
    for user in ("alice", "bob", "alice"):
        world.say("tea", scope=Scope("default", user_id=user, run_id=str(len(owners))))
    world.say("tea", scope=Scope("other", user_id="alice"))
    assert owners[0] == owners[2] != ""
    assert len(set(owners)) == 3
