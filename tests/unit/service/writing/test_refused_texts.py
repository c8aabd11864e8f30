"""Texts that the embedder refuses although it takes others: they are stored, and keep no other from being found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from forgetless.adapters.embedder_http import HttpEmbedder
from forgetless.domain.errors import EmbedderTextError
from forgetless.domain.limits import MOST_REFUSALS
from forgetless.service.requests import AddRequest, IncomingMessage, UpdateRequest
from tests.fakes.clock import FakeClock
from tests.fakes.openai_server.embeddings import KEY, SERVERS
from tests.unit.servers import serve
from tests.unit.service.world import ALICE, World, facts

SAID = ["tea is green", "coffee is black", "poison is odd", "cocoa is brown", "milk is white"]


def poison(text: str) -> bool:
    return "poison" in text


def found(world: World, query: str) -> list[str]:
    return [hit.memory.text for hit in world.find(query)]


@pytest.mark.parametrize("name", ["ollama", "nan", "tei"])
def test_an_add_stores_all_indexes_the_others_and_sets_the_one_aside(world: World, name: str) -> None:
    with serve(SERVERS[name]) as server:
        http = HttpEmbedder(server.url, model="m", api_key=KEY, dimensions=world.embedder.dimensions, clock=FakeClock())
        world.embedder.embed = http.embed  # type: ignore[method-assign]
        outcome = world.say(*SAID)
        assert (len(outcome.results), outcome.indexed) == (5, False)
        assert sorted(world.texts()) == sorted(SAID)
        assert found(world, "cocoa")[0] == "cocoa is brown", "what was said before it is not the reason"
        assert world.index.count() == 4
        for _ in range(MOST_REFUSALS):
            world.clock.advance(60)
            world.services.sweep.sweep()
        assert len(world.ledger.set_aside(limit=9)) == 1
        http.close()
    assert "poison" not in world.ledger.set_aside(limit=9)[0].reason


def test_an_add_of_refused_texts_alone_is_stored_too(world: World) -> None:
    world.embedder.refuses = poison
    outcome = world.say("poison")
    assert (len(outcome.results), outcome.indexed, world.index.count()) == (1, False, 0)


def test_a_change_to_a_refused_text_changes_nothing(world: World) -> None:
    (added,) = world.say("tea is green").results
    world.embedder.refuses = poison
    with pytest.raises(EmbedderTextError, match="has no vector") as raised:
        world.services.changes.update(UpdateRequest("default", added.id, text="poison"))
    assert raised.value.retry_after is None
    assert world.texts() == ["tea is green"]


def test_facts_that_are_refused_are_stored_and_supersede_nothing(new_world: Callable[..., World]) -> None:
    world = new_world(lambda _messages: facts({"text": "the poison is tea", "supersedes": [1], "sources": [1]}))
    world.say("the drink is tea")
    world.embedder.refuses = poison
    said = (IncomingMessage("user", "my poison is tea"),)
    outcome = world.services.add.add(AddRequest(ALICE, said, infer=True))
    assert (len(outcome.results), outcome.indexed) == (1, False)
    assert sorted(world.texts()) == ["the drink is tea", "the poison is tea"]
