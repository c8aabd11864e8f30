"""A verbatim add of many messages and a slow embedder: the answer comes in time, and nothing is lost or doubled."""

from __future__ import annotations

import pytest

from forgetless.domain.errors import EmbedderError, OutOfTimeError
from forgetless.domain.limits import EMBEDDED_AT_ONCE, REQUEST_S
from forgetless.domain.memory import Message
from forgetless.domain.scope import Scope
from forgetless.ports.call_times import begin_call_times
from forgetless.ports.embedder import EmbeddingTask
from forgetless.service.writing.add import EMBEDDING_S
from tests.unit.service.world import ALICE, World

#: More messages than are embedded at once, many times.
MANY = [f"word{number} of many" for number in range(4 * EMBEDDED_AT_ONCE - 12)]


def slow_down(world: World, seconds: float) -> None:
    """Let every call of the embedder take some time."""
    world.embedder.meanwhile = lambda: world.clock.advance(seconds)


def found(world: World, query: str) -> list[str]:
    return [hit.memory.text for hit in world.find(query)]


def test_many_messages_are_embedded_in_portions_and_each_once(world: World) -> None:
    assert world.say(*MANY).indexed
    sizes = [len(texts) for texts, _ in world.embedder.calls]
    assert sizes == [EMBEDDED_AT_ONCE] * 3 + [EMBEDDED_AT_ONCE - 12]


def test_each_message_has_the_three_before_it_and_the_next_of_its_add_as_context(world: World) -> None:
    earlier = [result.id for result in world.say("a", "b", "c", "d").results]
    added = world.say(*MANY[:50])
    found = world.ledger.read("default", [result.id for result in added.results])
    said = world.ledger.job_messages("default", added.job.id)
    before = world.ledger.recent_messages(ALICE, since="", before=said[0].created_at, limit=3)
    talk: list[Message] = [*before, *said]
    for place, result in enumerate(added.results, 3):
        around = [*talk[place - 3 : place], *talk[place + 1 : place + 2]]
        assert found[result.id].context == tuple(message.ref for message in around)
    last = world.ledger.read("default", earlier)[earlier[-1]]
    assert [ref.position for ref in last.context] == [0, 1, 2], "no add changes rows of an earlier one"


def test_a_slow_embedder_delays_what_a_search_finds_and_not_the_answer(world: World) -> None:
    slow_down(world, EMBEDDING_S / 2)
    outcome = world.say(*MANY)
    assert len(world.embedder.calls) == 2
    assert not outcome.indexed
    assert len(world.texts()) == len(MANY)
    assert found(world, MANY[0])[0] == MANY[0]
    assert MANY[-1] not in found(world, MANY[-1])

    slow_down(world, 0)
    world.clock.advance(60)
    world.services.sweep.index_pending("default")
    assert found(world, MANY[-1])[0] == MANY[-1]
    embedded = [text for texts, task in world.embedder.calls if task is EmbeddingTask.PASSAGE for text in texts]
    assert set(embedded) == set(MANY)


def test_a_repeat_of_a_slow_add_stores_nothing_twice(world: World) -> None:
    slow_down(world, EMBEDDING_S)
    first = world.say(*MANY, idempotency_key="k1")
    again = world.say(*MANY, idempotency_key="k1")
    assert [one.id for one in again.results] == [one.id for one in first.results]
    assert not again.indexed
    assert len(world.texts()) == len(MANY)


def test_an_embedder_that_fails_in_the_middle_stores_nothing(world: World) -> None:
    def overload() -> None:
        world.embedder.failure = EmbedderError("overloaded")

    world.embedder.meanwhile = overload
    with pytest.raises(EmbedderError):
        world.say(*MANY)
    assert world.texts() == []


def test_an_add_that_cannot_be_stored_in_time_stores_nothing_and_can_be_repeated(world: World) -> None:
    slow_down(world, REQUEST_S)
    begin_call_times().add("embedder", 0.0, REQUEST_S)
    with pytest.raises(OutOfTimeError, match="the embedder was too slow; nothing was stored") as late:
        world.say("one", "two")
    assert late.value.retry_after == 5
    assert world.texts() == []
    assert world.ledger.recent_messages(Scope("default", user_id="alice"), since="", before="9", limit=5) == []
    slow_down(world, 0)
    assert world.say("one", "two").indexed
