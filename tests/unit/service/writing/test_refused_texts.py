"""Texts that the embedder refuses although it takes others: they are stored and found by their words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from forgetless.adapters.embedder_http import HttpEmbedder
from forgetless.domain.limits import MOST_REFUSALS
from forgetless.domain.recipes import CURRENT
from forgetless.service.jobs.reindex import Reindexer
from forgetless.service.known_names import KnownNames
from forgetless.service.requests import AddRequest, IncomingMessage, ScoredMemory, UpdateRequest
from forgetless.service.writing.indexer import Indexer
from tests.fakes.clock import FakeClock
from tests.fakes.openai_server.embeddings import KEY, SERVERS
from tests.unit.servers import serve
from tests.unit.service.world import ALICE, World, facts

SAID = ["tea is green", "coffee is black", "poison is odd", "cocoa is brown", "milk is white"]


def poison(text: str) -> bool:
    return "poison" in text


def found(world: World, query: str) -> list[str]:
    return [hit.memory.text for hit in world.find(query)]


def best(world: World, query: str) -> ScoredMemory:
    return world.find(query)[0]


def sweep_until_set_aside(world: World) -> None:
    for _ in range(MOST_REFUSALS):
        world.clock.advance(60)
        world.services.sweep.sweep()
    assert len(world.ledger.set_aside(limit=9)) == 1


@pytest.mark.parametrize("name", ["ollama", "nan", "tei"])
def test_an_add_stores_all_and_the_refused_one_is_found_by_its_words(world: World, name: str) -> None:
    with serve(SERVERS[name]) as server:
        http = HttpEmbedder(server.url, model="m", api_key=KEY, dimensions=world.embedder.dimensions, clock=FakeClock())
        world.embedder.embed = http.embed  # type: ignore[method-assign]
        outcome = world.say(*SAID)
        assert (len(outcome.results), outcome.indexed) == (5, False)
        assert sorted(world.texts()) == sorted(SAID)
        assert found(world, "cocoa")[0] == "cocoa is brown", "what was said before it is not the reason"
        hit = best(world, "something odd")
        assert hit.memory.text == "poison is odd"
        assert hit.details is not None
        assert (hit.details.semantic_score, hit.details.parts.meaning, hit.details.by_words_alone) == (0.0, 0.0, False)
        sweep_until_set_aside(world)
        assert best(world, "something odd").memory.text == "poison is odd"
        assert world.index.count() == 5
        http.close()
    assert "poison" not in world.ledger.set_aside(limit=9)[0].reason


def test_a_retry_after_the_repair_gives_it_its_meaning(world: World) -> None:
    world.embedder.refuses = poison
    world.say(*SAID)
    sweep_until_set_aside(world)
    world.embedder.refuses = lambda _text: False
    world.ledger.retry_set_aside(at=world.clock.now())
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert world.ledger.set_aside(limit=9) == []
    assert best(world, "poison is odd").details.semantic_score > 0.5  # type: ignore[union-attr]
    assert world.index.count() == 5


def test_an_add_of_refused_texts_alone_is_stored_too(world: World) -> None:
    world.embedder.refuses = poison
    outcome = world.say("poison")
    assert (len(outcome.results), outcome.indexed, world.index.count()) == (1, False, 1)
    assert world.ledger.pending("default", [outcome.results[0].id])


def test_a_change_to_a_refused_text_is_found_by_its_new_words(world: World) -> None:
    (added,) = world.say("tea is green").results
    world.embedder.refuses = poison
    world.services.changes.update(UpdateRequest("default", added.id, text="poison is odd"))
    assert found(world, "odd") == ["poison is odd"]
    assert world.index.count() == 1


def test_a_change_of_metadata_alone_asks_the_embedder_again(world: World) -> None:
    world.embedder.refuses = poison
    (added,) = world.say("poison is odd").results
    world.services.changes.update(UpdateRequest("default", added.id, metadata={"k": 1}))
    assert found(world, "odd") == ["poison is odd"]
    world.embedder.refuses = lambda _text: False
    world.services.changes.update(UpdateRequest("default", added.id, metadata={"k": 2}))
    assert best(world, "poison is odd").details.semantic_score > 0.5  # type: ignore[union-attr]


@pytest.mark.parametrize("set_aside", [False, True])
def test_a_deletion_leaves_no_word_of_it_in_the_index(world: World, set_aside: bool) -> None:
    world.embedder.refuses = poison
    added = world.say(*SAID).results[2]
    if set_aside:
        sweep_until_set_aside(world)
    world.services.changes.delete("default", added.id)
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert world.index.held("default", [(added.id, 1), (added.id, 2)]) == set()
    assert world.ledger.unindexed(before="9999-12-31", limit=9) == []


def test_what_is_deleted_while_its_row_is_written_is_taken_out_again(world: World) -> None:
    world.embedder.refuses = poison
    world.index.before_insert = lambda: world.services.changes.reset("default") and None
    world.say("poison is odd")
    assert world.index.count() == 0


def test_what_is_deleted_while_it_is_reindexed_is_taken_out_again(world: World) -> None:
    (added,) = world.say("poison is odd").results
    world.embedder.refuses = poison
    world.index.drop_all()
    names = KnownNames(ledger=world.ledger, clock=world.clock)
    parts: Any = {"ledger": world.ledger, "index": world.index, "names": names}
    indexer = Indexer(embedder=world.embedder, recipe=CURRENT, **parts)
    world.index.before_insert = lambda: world.services.changes.delete("default", added.id)
    memory = world.ledger.read("default", [added.id])[added.id]
    Reindexer(indexer=indexer, clock=world.clock, **parts).refresh([memory])
    assert world.index.count() == 0


def test_the_words_of_an_erased_message_leave_the_row_of_the_next(world: World) -> None:
    first, _ = world.say("marmalade", "poison is odd").results
    world.embedder.refuses = poison
    world.services.sweep.index_all()
    assert "poison is odd" in found(world, "marmalade")
    world.services.changes.delete("default", first.id)
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert found(world, "marmalade") == found(world, "odd") == ["poison is odd"]
    assert best(world, "marmalade").details.bm25_raw == 0.0  # type: ignore[union-attr]


def test_facts_that_are_refused_are_stored_and_supersede_nothing(new_world: Callable[..., World]) -> None:
    world = new_world(lambda _messages: facts({"text": "the poison is tea", "supersedes": [1], "sources": [1]}))
    world.say("the drink is tea")
    world.embedder.refuses = poison
    said = (IncomingMessage("user", "my poison is tea"),)
    outcome = world.services.add.add(AddRequest(ALICE, said, infer=True))
    assert (len(outcome.results), outcome.indexed) == (1, False)
    assert sorted(world.texts()) == ["the drink is tea", "the poison is tea"]
    assert best(world, "poison").memory.text == "the poison is tea"
