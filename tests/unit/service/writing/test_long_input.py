"""Adds whose messages are longer than one call of the LLM: all is read, and each caller is told what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from forgetless.adapters.queue_none import NoQueue
from forgetless.api.platform.serialize import event_item
from forgetless.domain.errors import DeadlineError, LlmUnavailableError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.limits import ADD_BYTES, JOB_S
from forgetless.domain.llm_context import LEAST_CONTEXT
from forgetless.domain.memory import EventKind
from forgetless.domain.usage import UsageKind
from forgetless.domain.webhook_deliveries import DELIVERY
from forgetless.ports.llm import ChatMessage
from forgetless.ports.request_usage import note_tokens
from tests.fakes.mortal_ledger import KilledError
from tests.unit.service.world import ALICE, World
from tests.unit.service.writing.long_adds import (
    FILL,
    FOUND,
    SAID,
    NewWorld,
    Reader,
    add,
    ingest,
    job_of,
    small,
    stored,
)


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def world(new_world: NewWorld, reader: Reader) -> World:
    return small(new_world(reader))


# What is read


def test_every_message_is_read_and_all_facts_stand_in_one_append(world: World, reader: Reader) -> None:
    outcome = add(world)
    assert (outcome.job.state, reader.asked) == (JobState.PENDING, [])
    done = ingest(world, outcome.job.id)
    assert reader.heard() == ["My passport is", "I live in Hue.", "I like tea. an"]
    memories = stored(world)
    assert [memory.text for memory in memories] == FOUND
    assert [[ref.position for ref in memory.sources] for memory in memories] == [[0], [1], [2]]
    assert done.state is JobState.SUCCEEDED
    assert [result["id"] for result in done.results] == [memory.id for memory in memories]
    assert (dict(done.request), done.llm_calls, done.attempts) == ({}, None, 1)


def test_a_later_call_is_shown_what_was_said_and_found_before(world: World, reader: Reader) -> None:
    world.say("My name is Alice")
    ingest(world, add(world).job.id)
    first, second, third = reader.asked
    assert [message["text"] for message in first["earlier_messages"]] == ["My name is Alice"]
    assert third["earlier_messages"][-1]["text"].startswith("I live in Hue.")
    assert [memory["text"] for memory in second["existing_memories"]][-1:] == FOUND[:1]
    assert [memory["text"] for memory in third["existing_memories"]][-2:] == FOUND[:2]


def test_what_is_shown_of_earlier_facts_is_bounded(world: World, reader: Reader) -> None:
    texts = ["".join(f" Fact {part}{place}." for part in range(1, 30)) + FILL[:80] for place in range(6)]
    done = ingest(world, add(world, texts).job.id)
    assert len(done.results) == 6 * 29
    assert max(len(data["existing_memories"]) for data in reader.asked) <= 50
    assert max(len(json.dumps(data)) for data in reader.asked) < LEAST_CONTEXT * 3


def test_a_fact_that_two_calls_find_is_stored_once(world: World) -> None:
    done = ingest(world, add(world, [*SAID, f"I live in Hue.{FILL}", f"I live in  HUE.{FILL}"]).job.id)
    assert [memory.text for memory in stored(world)] == FOUND
    assert len(done.results) == 3


def test_a_later_call_supersedes_a_fact_of_an_earlier_one(world: World, reader: Reader) -> None:
    reader.supersedes = {"I live in Hanoi": "I live in Hue"}
    ingest(world, add(world, [*SAID, f"I live in Hanoi.{FILL}"]).job.id)
    old, new = (next(one for one in stored(world) if one.text == f"I live in {city}") for city in ("Hue", "Hanoi"))
    assert (old.superseded_by, old.version, new.live) == (new.id, 2, True)
    assert [item.event for item in world.history(old.id)] == [EventKind.ADD, EventKind.UPDATE]
    assert "I live in Hue" not in world.texts()
    assert {hit.memory.id for hit in world.find("live")} == {one.id for one in stored(world) if one.live}
    world.clock.advance(600)
    world.services.sweep.sweep()
    assert world.ledger.unindexed(before="9999-12-31", limit=9) == []


def test_a_later_call_supersedes_a_memory_that_an_earlier_process_was_not_shown(world: World, reader: Reader) -> None:
    [old] = [result.id for result in world.say("I live in Hue").results]
    reader.supersedes = {"I like tea": "I live in Hue"}
    id_ = add(world, [SAID[0], SAID[2], f"I like pho.{FILL}"]).job.id

    def dies(data: dict[str, Any]) -> None:
        if "pho" in data["new_messages"][0]["text"]:
            raise KilledError

    reader.failing = dies
    with pytest.raises(KilledError):
        ingest(world, id_)
    reader.failing = lambda _data: None
    world.clock.advance(600)
    ingest(small(world), id_)
    superseded = world.ledger.read("default", [old])[old]
    assert superseded.superseded_by == next(one.id for one in stored(world) if one.text == "I like tea")


def test_one_message_that_is_too_long_is_divided_and_stays_the_source(world: World, reader: Reader) -> None:
    long = " ".join(f"Fact {number}.{FILL[:60]}" for number in range(40))
    ingest(world, add(world, ["I like tea.", long, "I live in Hue."]).job.id)
    assert len(reader.asked) > 3
    by_text = {memory.text: [ref.position for ref in memory.sources] for memory in stored(world)}
    assert by_text == {"I like tea": [0], "I live in Hue": [2], **{f"Fact {number}": [1] for number in range(40)}}
    assert all("Fact" in data["earlier_messages"][-1]["text"] for data in reader.asked[2:-1])


def test_instructions_leave_less_room_but_never_none(world: World, reader: Reader) -> None:
    ingest(world, add(world, prompt="Keep only what matters. " * 800).job.id)
    assert len(reader.asked) == 3


def test_a_procedure_is_recorded_call_by_call_as_one_memory(new_world: NewWorld) -> None:
    shown: list[dict[str, Any]] = []

    def record(messages: Sequence[ChatMessage]) -> str:
        shown.append(json.loads(messages[1].content.removeprefix("<data>").removesuffix("</data>")))
        assert ("recorded_so_far" in messages[0].content) == ("recorded_so_far" in shown[-1])
        return f"{len(shown)}. A step."

    world = small(new_world(record))
    bot, said = replace(ALICE, agent_id="bot"), [f"Step {place}.{' of the work' * 400}" for place in range(3)]
    done = ingest(world, add(world, said, scope=bot, memory_type="procedural_memory").job.id)
    assert len(shown) > 3
    assert "recorded_so_far" not in shown[0]
    assert shown[2]["recorded_so_far"] == "1. A step.\n\n2. A step."
    [memory] = stored(world, bot)
    assert memory.text == "\n\n".join(f"{number}. A step." for number in range(1, len(shown) + 1))
    assert [ref.position for ref in memory.sources] == [0, 1, 2]
    assert done.state is JobState.SUCCEEDED


def test_too_many_facts_fail_with_a_reason(world: World) -> None:
    texts = ["".join(f"Fact {number}." for number in range(start, start + 45)) for start in range(1000, 2080, 45)]
    done = ingest(world, add(world, texts).job.id)
    assert done.state is JobState.FAILED
    assert "more than 1000 facts" in str(done.error)


def test_facts_that_store_too_much_of_the_metadata_fail_with_a_reason(world: World) -> None:
    """Each of them stores the metadata: 1,000 facts with 60 KB were 60 MB in one transaction."""

    def added(first: int, size: int) -> Job:
        starts = (first, first + 100, first + 200)
        texts = ["".join(f"Fact {number}." for number in range(start, start + 15)) for start in starts]
        return ingest(world, add(world, texts, metadata={"note": "x" * size}).job.id)

    assert added(100, ADD_BYTES // 45 - 100).state is JobState.SUCCEEDED
    before = len(stored(world))
    done = added(400, ADD_BYTES // 45)
    assert (before, done.state) == (45, JobState.FAILED)
    assert f"together they have more than {ADD_BYTES} bytes of it" in str(done.error)
    assert len(stored(world)) == before


# What its caller and others see


def test_who_waits_is_told_that_it_continues_in_the_background(world: World, reader: Reader) -> None:
    with pytest.raises(DeadlineError, match="too long for one call") as caught:
        add(world, queued=False, idempotency_key="k")
    assert reader.asked == []
    with pytest.raises(DeadlineError):
        add(world, queued=False, idempotency_key="k")
    ingest(world, caught.value.event_id)
    again = add(world, queued=False, idempotency_key="k")
    assert [result.memory for result in again.results] == FOUND
    assert len(reader.asked) == 3


def test_the_event_tells_how_many_calls_are_done(world: World, reader: Reader) -> None:
    id_ = add(world, metadata={"mine": 1}).job.id
    seen = [event_item(job_of(world, id_), {})["metadata"]]
    reader.failing = lambda _data: seen.append(event_item(job_of(world, id_), {})["metadata"])
    ingest(world, id_)
    assert seen == [{"mine": 1, "llm_calls_done": done, "llm_calls": 3} for done in (0, 0, 1, 2)]
    assert event_item(job_of(world, id_), {})["metadata"] == {}


def test_without_a_queue_the_worker_begins_at_once_and_goes_on(world: World, reader: Reader) -> None:
    small(world, queue=NoQueue())
    assert add(world).job.state is JobState.PENDING
    reader.failing = lambda _data: world.clock.advance(JOB_S * 0.7)
    world.services.ingest_worker.turn()
    world.services.ingest_worker.wait(30)
    assert [memory.text for memory in stored(world)] == FOUND
    assert len(reader.asked) == 3


def test_each_calls_tokens_are_counted_once(world: World, reader: Reader) -> None:
    fails = iter([False, True, False, False])

    def bill(_data: dict[str, Any]) -> None:
        note_tokens(100)
        if next(fails):
            raise LlmUnavailableError("429")

    reader.failing = bill
    id_ = add(world).job.id
    ingest(world, id_)
    world.clock.advance(600)
    ingest(world, id_)
    assert len(reader.asked) == 3
    day = world.clock.now()[:10]
    [row] = world.ledger.usage_of("default", "", first=day, last=day)
    assert row.counts[UsageKind.LLM_TOKENS] == 400


def test_webhooks_hear_of_each_memory_once(world: World) -> None:
    world.services.webhooks.create(
        "default", "p", name="n", url="https://example.com", event_types=["memory_add"], is_active=True
    )
    ingest(world, add(world).job.id)
    [delivery] = world.ledger.documents("default", DELIVERY, limit=99)[0]
    assert [version for _, version in delivery.body["events"]] == [1, 1, 1]
    assert len({id_ for id_, _ in delivery.body["events"]}) == 3
