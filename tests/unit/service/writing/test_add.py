"""Add without an LLM: every message is stored as it is, or none is."""

from __future__ import annotations

import pytest

from forgetless.domain.errors import EmbedderError
from forgetless.domain.jobs import JobState
from forgetless.domain.scope import Scope
from forgetless.service.requests import AddRequest, IncomingMessage
from tests.unit.service.world import ALICE, World


def test_messages_are_stored_as_they_are_in_order(world: World) -> None:
    outcome = world.say("I live in Hue", "I like pho")
    assert [result.memory for result in outcome.results] == ["I live in Hue", "I like pho"]
    assert world.texts() == ["I like pho", "I live in Hue"]


def test_infer_false_is_verbatim_and_infer_true_without_an_llm_says_so(world: World) -> None:
    assert world.say("one").extraction == "verbatim"
    assert world.say("two", infer=True).extraction == "none"


def test_system_messages_are_not_memories(world: World) -> None:
    messages = (IncomingMessage("system", "be kind"), IncomingMessage("user", "I am Mai", "mai"))
    outcome = world.services.add.add(AddRequest(ALICE, messages, infer=False))
    assert [(result.memory, result.role, result.actor_id) for result in outcome.results] == [
        ("I am Mai", "user", "mai")
    ]


def test_no_messages_store_nothing(world: World) -> None:
    assert world.services.add.add(AddRequest(ALICE, (), infer=False)).results == ()


def test_a_text_without_a_word_is_kept_and_never_sent_to_the_embedder(world: World) -> None:
    world.say("", "  ")
    assert world.texts() == ["  ", ""]
    assert all(text.strip() for texts, _ in world.embedder.calls for text in texts)


def test_each_message_is_embedded_once_though_it_is_context_to_the_next(world: World) -> None:
    world.say("one", "two", "three")
    assert [texts for texts, _ in world.embedder.calls] == [("one", "two", "three")]


def test_repeated_texts_are_each_stored(world: World) -> None:
    world.say("hello")
    world.say("hello")
    assert world.texts() == ["hello", "hello"]


def test_the_same_idempotency_key_gives_the_same_ids_and_one_effect(world: World) -> None:
    first = world.say("once", idempotency_key="k1")
    again = world.say("once", idempotency_key="k1")
    assert [result.id for result in again.results] == [result.id for result in first.results]
    assert world.texts() == ["once"]


def test_an_embedder_that_is_down_means_nothing_is_stored(world: World) -> None:
    world.embedder.failure = EmbedderError("down")
    with pytest.raises(EmbedderError):
        world.say("lost?")
    assert world.texts() == []


def test_an_index_that_is_down_keeps_the_add_for_sweep(world: World) -> None:
    world.index.available = False
    assert world.say("keep me").indexed is False
    world.index.available = True
    assert world.find("keep me") == []
    world.clock.advance(60)
    assert world.services.sweep.sweep().indexed == 1
    assert [hit.memory.text for hit in world.find("keep me")] == ["keep me"]


def test_the_job_is_recorded_as_succeeded_without_texts(world: World) -> None:
    outcome = world.say("secret words", metadata={"k": "secret too"})
    job = world.services.reads.job("default", outcome.job.id)
    assert job is not None
    assert job.state is JobState.SUCCEEDED
    assert "secret" not in repr(job)


def test_a_short_statement_is_found_by_what_was_said_before_it(world: World) -> None:
    world.say("Which city shall we visit in spring?")
    world.say("Definitely Kyoto")
    best = world.find("which city in spring", top_k=2)
    assert {hit.memory.text for hit in best} == {"Which city shall we visit in spring?", "Definitely Kyoto"}
    assert len(world.services.reads.list("default", {"user_id": "alice"}, limit=1)[0].context) == 1


def test_context_is_of_the_same_exact_scope_and_at_most_an_hour_old(world: World) -> None:
    world.say("from the run", scope=Scope("default", user_id="alice", run_id="r1"))
    world.say("old news")
    world.clock.advance(3700)
    world.say("fresh")
    newest = world.services.reads.list("default", {"user_id": "alice"}, limit=1)[0]
    assert (newest.text, newest.context) == ("fresh", ())
