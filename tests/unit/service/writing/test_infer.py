"""Add with an LLM: facts, supersession, duplicates, and every way it can fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.domain.errors import DeadlineError, LlmReplyError, LlmUnavailableError
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import EventKind
from forgetless.domain.scope import Scope
from forgetless.domain.times import later
from forgetless.ports.call_times import begin_call_times, current_call_times
from forgetless.ports.llm import ChatMessage
from forgetless.service.jobs.ingest import JobHeldError
from forgetless.service.requests import AddRequest, IncomingMessage, UpdateRequest
from tests.unit.service.world import ALICE, World, facts, newest

NewWorld = Callable[..., World]


def job_state(world: World, job_id: str) -> JobState:
    job = world.services.reads.job("default", job_id)
    assert job is not None
    return job.state


def test_facts_are_stored_instead_of_messages(new_world: NewWorld) -> None:
    world = new_world([facts({"text": "Alice lives in Hue", "attributed_to": "user"})])
    outcome = world.say("hi there, I am in Hue now", infer=True)
    assert outcome.extraction == "llm"
    assert [result.memory for result in outcome.results] == ["Alice lives in Hue"]
    memory = world.services.reads.get("default", outcome.results[0].id)
    assert memory is not None
    assert (memory.attributed_to, memory.extracted) == ("user", True)


def test_a_contradicted_memory_leaves_search_and_list_but_stays_in_history(new_world: NewWorld) -> None:
    world = new_world([facts("Alice lives in Hue"), facts({"text": "Alice lives in Hanoi", "supersedes": [1]})])
    old = world.say("I live in Hue", infer=True).results[0].id
    new = world.say("I moved to Hanoi", infer=True).results[0].id
    assert world.texts() == ["Alice lives in Hanoi"]
    assert [hit.memory.id for hit in world.find("Alice lives in Hue")] == [new]
    superseded = world.services.reads.get("default", old)
    assert superseded is not None
    assert superseded.superseded_by == new
    assert [item.event for item in world.history(old)] == [EventKind.ADD, EventKind.UPDATE]
    assert world.services.reads.entities("default", size=9).items[0].total_memories == 1


def test_a_fact_that_the_scope_holds_is_left_out_of_the_results(new_world: NewWorld) -> None:
    world = new_world([facts("Alice likes pho"), facts("Alice likes pho", "Alice likes tea", "Alice likes tea")])
    world.say("I like pho", infer=True)
    again = world.say("pho! and tea", infer=True)
    assert [result.memory for result in again.results] == ["Alice likes tea"]
    assert world.texts() == ["Alice likes tea", "Alice likes pho"]


def test_parallel_identical_adds_store_one_copy(new_world: NewWorld) -> None:
    world = new_world(lambda _messages: facts("Alice likes pho"), clock=SystemClock())
    request = AddRequest(ALICE, (IncomingMessage("user", "I like pho"),))
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: world.services.add.add(request), range(8)))
    assert sum(len(outcome.results) for outcome in outcomes) == 1
    assert world.texts() == ["Alice likes pho"]


def test_the_job_is_in_the_ledger_before_the_llm_is_called(new_world: NewWorld) -> None:
    seen: list[JobState] = []

    def reply(_messages: Sequence[ChatMessage]) -> str:
        seen.extend(job.state for job in world.ledger.jobs("default", limit=10)[0])
        return facts("Alice is here")

    world = new_world(reply)
    world.say("I am here", infer=True)
    assert seen == [JobState.RUNNING]


@pytest.mark.parametrize("nonsense", ["no json", "[3]", "{}", '{"facts": 3}'])
def test_nonsense_is_an_error_with_a_failed_job_and_nothing_stored(new_world: NewWorld, nonsense: str) -> None:
    world = new_world([nonsense, nonsense])
    with pytest.raises(LlmReplyError):
        world.say("I live in Hue", infer=True)
    (job,) = world.ledger.jobs("default", limit=10)[0]
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.startswith("provider_bad_reply")
    assert world.texts() == []
    world.clock.advance(3600)
    assert world.services.sweep.sweep().requeued == 0, "a job whose error the caller saw is never run again"


def test_an_overloaded_llm_is_unavailable_and_the_job_failed(new_world: NewWorld) -> None:
    def reply(_messages: Sequence[ChatMessage]) -> str:
        raise LlmUnavailableError("429", retry_after=7)

    world = new_world(reply)
    with pytest.raises(LlmUnavailableError) as caught:
        world.say("I live in Hue", infer=True)
    assert caught.value.retry_after == 7
    assert world.ledger.jobs("default", limit=1)[0][0].state is JobState.FAILED


def test_a_slow_llm_hands_the_job_to_the_queue_and_ingest_finishes_it(new_world: NewWorld) -> None:
    answers = iter([TimeoutError(), facts("Alice lives in Hue")])

    def reply(_messages: Sequence[ChatMessage]) -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    world = new_world(reply)
    with pytest.raises(DeadlineError) as caught:
        world.say("I live in Hue", infer=True)
    assert job_state(world, caught.value.event_id) is JobState.PENDING
    (message,) = world.queue.receive()
    body = json.loads(message.body)
    for _ in range(3):
        world.services.ingest.run(body["tenant"], body["job_id"], seconds=60)
    assert job_state(world, caught.value.event_id) is JobState.SUCCEEDED
    assert world.texts() == ["Alice lives in Hue"]


def test_a_job_whose_process_died_is_swept_back_and_done_once(new_world: NewWorld) -> None:
    class ProcessDiedError(BaseException):
        """Not an Exception: nothing in the service may catch it."""

    deaths = iter([True, False])

    def reply(_messages: Sequence[ChatMessage]) -> str:
        if next(deaths):
            raise ProcessDiedError
        return facts("Alice lives in Hue")

    world = new_world(reply)
    with pytest.raises(ProcessDiedError):
        world.say("I live in Hue", infer=True)
    assert world.services.sweep.sweep().requeued == 0, "its lease still holds"
    world.clock.advance(120)
    assert world.services.sweep.sweep().requeued == 1
    body = json.loads(world.queue.receive()[0].body)
    world.services.ingest.run(body["tenant"], body["job_id"], seconds=60)
    assert world.texts() == ["Alice lives in Hue"]


def test_a_superseded_memory_that_changes_meanwhile_is_read_again(new_world: NewWorld) -> None:
    def reply(messages: Sequence[ChatMessage]) -> str:
        if "Hanoi" not in messages[-1].content:
            return facts("Alice lives in Hue")
        (old,) = newest(world.services, {"user_id": "alice"}, limit=1)
        world.services.changes.update(UpdateRequest("default", old.id, metadata={"seen": True}))
        return facts({"text": "Alice lives in Hanoi", "supersedes": [1]})

    world = new_world(reply)
    world.say("I live in Hue", infer=True)
    world.say("I live in Hanoi", infer=True)
    assert world.texts() == ["Alice lives in Hanoi"]


def test_a_writer_waits_for_the_lease_of_its_scope_and_gives_up_in_time(new_world: NewWorld) -> None:
    world = new_world([facts("Alice is here")])
    lease = f"scope:{ALICE.writer_key()}"
    now = world.clock.now()
    assert world.ledger.acquire_lease(lease, owner="another", now=now, until="2027-01-01T00:00:00.000000+00:00")
    with pytest.raises(DeadlineError):
        world.say("I am here", infer=True)
    world.ledger.release_lease(lease, owner="another")
    (job,) = world.ledger.jobs("default", limit=1)[0]
    world.services.ingest.run("default", job.id, seconds=60)
    assert world.texts() == ["Alice is here"]


def test_a_writer_that_waits_reads_and_its_waits_grow(new_world: NewWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world([facts("Alice is here")])
    lease = f"scope:{ALICE.writer_key()}"
    now = world.clock.now()
    assert world.ledger.acquire_lease(lease, owner="another", now=now, until=later(now, 10))
    acquire, tries = world.ledger.acquire_lease, []

    def counted(*arguments: Any, **named: Any) -> bool:
        tries.append(named["owner"])
        return acquire(*arguments, **named)

    monkeypatch.setattr(world.ledger, "acquire_lease", counted)
    world.say("I am here", infer=True)
    assert world.texts() == ["Alice is here"]
    assert len(tries) == 2, "once at first, and once when the lease was free"
    assert 20 <= len(world.clock.slept) <= 60


def test_a_message_that_is_delivered_twice_does_not_wait_for_its_own_job(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_slow(_messages: Sequence[ChatMessage]) -> str:
        raise TimeoutError

    world = new_world(too_slow)
    with pytest.raises(DeadlineError):
        world.say("I am here", infer=True)
    (job,) = world.ledger.jobs("default", limit=1)[0]
    acquire, slept = world.ledger.acquire_lease, len(world.clock.slept)

    def late(name: str, *, owner: str, now: str, until: str) -> bool:
        if acquire(name, owner="the first delivery", now=now, until=later(now, 60)):
            world.ledger.claim_job("default", job.id, owner="the first delivery", now=now, until=later(now, 60))
        return acquire(name, owner=owner, now=now, until=until)

    monkeypatch.setattr(world.ledger, "acquire_lease", late)
    world.services.ingest.run("default", job.id, seconds=60)
    assert len(world.clock.slept) == slept + 1
    standing = world.ledger.job("default", job.id)
    assert standing is not None
    assert (standing.state, standing.lease_owner) == (JobState.RUNNING, "the first delivery")


def test_procedural_memory_of_an_agent_is_one_summary(new_world: NewWorld) -> None:
    world = new_world(["1. opened the page 2. pressed buy"])
    outcome = world.say(
        "open the page", infer=True, scope=Scope("default", agent_id="bot"), memory_type="procedural_memory"
    )
    (result,) = outcome.results
    memory = world.services.reads.get("default", result.id)
    assert memory is not None
    assert (memory.text, memory.metadata) == ("1. opened the page 2. pressed buy", {"memory_type": "procedural_memory"})


def test_a_late_worker_whose_lease_was_taken_over_writes_nothing(new_world: NewWorld) -> None:
    def reply(_messages: Sequence[ChatMessage]) -> str:
        if len(replies) == 0:
            replies.append("late")
            world.clock.advance(600)
            (job,) = world.ledger.jobs("default", limit=1)[0]
            world.services.ingest.run("default", job.id, seconds=60)
            return facts("from the late worker")
        return facts("from the second worker")

    replies: list[str] = []
    world = new_world(reply)
    answer = world.say("who wins?", infer=True)
    assert [result.memory for result in answer.results] == ["from the second worker"]
    assert world.texts() == ["from the second worker"]
    (job,) = world.ledger.jobs("default", limit=1)[0]
    assert job.state is JobState.SUCCEEDED
    assert replace(job, results=()).error is None


@pytest.mark.parametrize(
    ("slow", "named"),
    [
        ({"llm": 20.0, "index": 4.0}, "the LLM did not answer in time"),
        ({"llm": 4.0, "index": 20.0}, "the index took most of the time there was"),
        ({"llm": 4.0, "embedder": 20.0, "ledger": 1.0}, "the embedder took most of the time there was"),
        ({}, "the LLM did not answer in time"),
    ],
)
def test_an_add_that_is_late_names_the_part_that_was_slow(
    new_world: NewWorld, slow: dict[str, float], named: str
) -> None:
    def reply(_messages: Sequence[ChatMessage]) -> str:
        times = current_call_times()
        assert times is not None
        for part, seconds in slow.items():
            times.add(part, 0.0, seconds)
        raise TimeoutError

    world = new_world(reply)
    # What is slow before the LLM leaves it so little time that its failure says nothing about it.
    world.embedder.meanwhile = lambda: world.clock.advance(slow.get("index", 0.0) + slow.get("embedder", 0.0))
    begin_call_times()
    with pytest.raises(DeadlineError, match=named) as caught:
        world.say("I live in Hue", infer=True)
    body = json.loads(world.queue.receive()[0].body)
    with pytest.raises(JobHeldError):
        world.services.ingest.run(body["tenant"], body["job_id"], seconds=25)
    job = world.ledger.job("default", caught.value.event_id)
    assert job is not None
    assert job.error == f"deadline_exceeded: {named}"
