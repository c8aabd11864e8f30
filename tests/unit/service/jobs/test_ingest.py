"""The queue's worker: when a message becomes visible again, and which failures end a job at once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from forgetless.domain.errors import (
    ForgetlessError,
    LlmReplyError,
    LlmUnavailableError,
    ProviderAuthError,
    ProviderRequestError,
    QueueError,
)
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.limits import JOB_S, LEASE_MARGIN_S, MOST_ATTEMPTS, MOST_DELIVERIES
from forgetless.domain.llm_faults import LONGEST_HOLD_S, SHORTEST_HOLD_S
from forgetless.domain.retention import DAY_S
from forgetless.domain.scope import Scope
from forgetless.domain.times import seconds_between
from forgetless.ports.llm import ChatMessage
from forgetless.service.jobs.ingest import JobHeldError
from forgetless.service.requests import UpdateRequest
from tests.unit.service.world import ALICE, World, facts, newest

NewWorld = Callable[..., World]

#: The wait after the first failure: others may try first.
FIRST_WAIT_S = SHORTEST_HOLD_S + 5
#: What the template's queue hides a message for.
HIDDEN_S = 540.0


class KilledError(BaseException):
    """The end of the process: not an Exception, so nothing in the service may catch it."""


def job_of(world: World) -> Job:
    (job,) = world.ledger.jobs("default", limit=9)[0]
    return job


def deliver(world: World) -> bool:
    """Work one message off as the queue's trigger does; False when none is to be seen."""
    received = world.queue.receive(limit=1, visibility_s=HIDDEN_S)
    for message in received:
        body = json.loads(message.body)
        world.services.ingest.run(body["tenant"], body["job_id"], seconds=JOB_S, receipt=message.receipt)
        world.queue.delete(message.receipt)
    return bool(received)


def replying(*outcomes: str | BaseException) -> Callable[[Sequence[ChatMessage]], str]:
    rest = list(outcomes)

    def reply(_messages: Sequence[ChatMessage]) -> str:
        outcome = rest.pop(0) if len(rest) > 1 else rest[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return reply


def test_the_job_of_a_killed_worker_comes_again_when_its_claim_has_ended(new_world: NewWorld) -> None:
    world = new_world(replying(KilledError(), facts("Alice likes tea")))
    world.say("I like tea", infer=True, queued=True)
    with pytest.raises(KilledError):
        deliver(world)
    world.clock.advance(JOB_S + LEASE_MARGIN_S - 1)
    assert not deliver(world), "its claim still holds"
    world.clock.advance(5)
    assert deliver(world)
    assert (job_of(world).state, world.texts()) == (JobState.SUCCEEDED, ["Alice likes tea"])


def held(world: World) -> Job:
    """Deliver a message whose job is then held."""
    with pytest.raises(JobHeldError):
        deliver(world)
    job = job_of(world)
    assert job.state is JobState.PENDING
    assert job.next_try_at is not None
    return job


def work_off(world: World, seconds: float) -> None:
    """Deliver what can be delivered within the time."""
    for _ in range(int(seconds)):
        with suppress(JobHeldError):
            while deliver(world):
                pass
        world.clock.advance(1)


def test_a_fault_of_the_llm_holds_the_job_for_seconds_and_says_why(new_world: NewWorld) -> None:
    world = new_world(replying(LlmUnavailableError("down"), facts("Alice likes tea")))
    world.say("I like tea", infer=True, queued=True)
    job = held(world)
    assert (job.error, job.attempts) == ("provider_unavailable: down", 0)
    assert seconds_between(world.clock.now(), job.next_try_at or "") == pytest.approx(FIRST_WAIT_S, abs=0.01)
    world.clock.advance(FIRST_WAIT_S - 1)
    assert not deliver(world)
    world.clock.advance(2)
    assert deliver(world)
    done = job_of(world)
    assert (done.state, done.error, done.next_try_at) == (JobState.SUCCEEDED, None, None)


def test_the_waits_of_a_held_job_double_to_two_minutes_and_end_after_a_day(new_world: NewWorld) -> None:
    world = new_world(replying(ProviderAuthError("status 401")))
    world.say("I like tea", infer=True, queued=True)
    waits, passed = [], 0.0
    while job_of(world).state is JobState.PENDING and len(waits) < 2000:
        try:
            deliver(world)
        except JobHeldError:
            waits.append(seconds_between(world.clock.now(), job_of(world).next_try_at or ""))
            world.clock.advance(waits[-1] + 0.01)
            passed += waits[-1]
    assert [round(wait) for wait in waits[:7]] == [10, 15, 30, 60, 120, 125, 125]
    assert max(waits) == pytest.approx(LONGEST_HOLD_S + 5)
    assert passed == pytest.approx(DAY_S, abs=2 * LONGEST_HOLD_S)
    assert len(waits) < MOST_DELIVERIES
    job = job_of(world)
    assert (job.state, job.error) == (JobState.FAILED, "provider_auth_failed: status 401")
    assert len(world.queue) == 0, "the message is done"


def test_what_the_llm_asks_for_is_waited(new_world: NewWorld) -> None:
    world = new_world(replying(LlmUnavailableError("429", retry_after=77, status=429)))
    world.say("I like tea", infer=True, queued=True)
    assert seconds_between(world.clock.now(), held(world).next_try_at or "") == pytest.approx(77 + 5, abs=0.1)


def test_when_several_adds_have_failed_one_at_a_time_tries_the_llm(new_world: NewWorld) -> None:
    world = new_world(replying(ProviderAuthError("status 401")))
    for user in range(20):
        world.say("I like tea", infer=True, queued=True, scope=Scope("default", user_id=f"user {user}"))
    for _ in range(20):
        with pytest.raises(JobHeldError):
            deliver(world)
    assert world.llm is not None
    assert len(world.llm.calls) == 3
    jobs = world.ledger.jobs("default", limit=99)[0]
    others = "provider_unavailable: the LLM has failed for several adds, so they try one after the other"
    assert Counter(job.error for job in jobs) == {"provider_auth_failed: status 401": 3, others: 17}
    world.clock.advance(FIRST_WAIT_S + 1)
    for _ in range(20):
        with pytest.raises(JobHeldError):
            deliver(world)
    assert len(world.llm.calls) == 4
    world.llm.replies(facts("They like tea"))
    work_off(world, LONGEST_HOLD_S)
    assert {job.state for job in world.ledger.jobs("default", limit=99)[0]} == {JobState.SUCCEEDED}


@pytest.mark.parametrize(
    "error",
    [ProviderAuthError("403"), LlmUnavailableError("500", status=500), LlmUnavailableError("429", retry_after=3600)],
    ids=["403", "500", "429"],
)
def test_texts_that_the_llm_fails_on_hold_up_no_other_tenant(new_world: NewWorld, error: Exception) -> None:
    def reply(messages: Sequence[ChatMessage]) -> str:
        if "poison" in messages[-1].content:
            raise error
        return facts("They like tea")

    world = new_world(reply)
    for user in range(8):
        world.say("poison", infer=True, queued=True, scope=Scope("acme", user_id=f"user {user}"))
    for _ in range(8):
        with pytest.raises(JobHeldError):
            deliver(world)
    job = world.say("I like tea", infer=True, queued=True, scope=Scope("beta", user_id="bea")).job
    assert deliver(world)
    done = world.ledger.job("beta", job.id)
    assert done is not None
    assert done.state is JobState.SUCCEEDED


def test_adds_of_one_user_keep_their_order_while_they_are_held(new_world: NewWorld) -> None:
    world = new_world(replying(LlmUnavailableError("down")))
    for number in range(3):
        world.say(f"fact {number}", infer=True, queued=True)
    with pytest.raises(JobHeldError):
        deliver(world)
    assert not deliver(world), "the others wait behind it"
    assert world.llm is not None
    world.llm.replies(*(facts(f"fact {number}") for number in range(3)))
    world.clock.advance(FIRST_WAIT_S + 1)
    while deliver(world):
        pass
    assert world.texts() == ["fact 2", "fact 1", "fact 0"]


def test_sweep_leaves_a_held_job_and_those_behind_it_to_the_queue(new_world: NewWorld) -> None:
    world = new_world(replying(ProviderAuthError("status 401")))
    world.say("I like tea", infer=True, queued=True)
    world.say("I like cake", infer=True, queued=True)
    sent = 0
    for _ in range(6 * 60):
        with suppress(JobHeldError):
            deliver(world)
        sent += world.services.sweep.sweep().requeued
        world.clock.advance(60)
    assert sent < 25, "sent again every two minutes, they would be 360"


@pytest.mark.parametrize(
    "error", [TimeoutError(), LlmUnavailableError("status 500", status=500), KeyError("a secret")], ids=repr
)
def test_a_job_that_fails_while_the_llm_works_for_others_ends_after_its_attempts(
    new_world: NewWorld, error: Exception
) -> None:
    def reply(messages: Sequence[ChatMessage]) -> str:
        if "poison" in messages[-1].content:
            raise error
        return facts("They like tea")

    world = new_world(reply)
    world.say("poison", infer=True, queued=True)
    poisoned = job_of(world)
    for number in range(20):
        world.say("I like tea", infer=True, queued=True, scope=Scope("default", user_id=f"user {number}"))
        work_off(world, 60)
    job = world.ledger.job("default", poisoned.id)
    assert job is not None
    assert (job.state, job.attempts) == (JobState.FAILED, MOST_ATTEMPTS)
    assert "secret" not in (job.error or "")
    others = [one for one in world.ledger.jobs("default", limit=99)[0] if one.id != poisoned.id]
    assert {one.state for one in others} == {JobState.SUCCEEDED}


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_text_that_is_refused_ends_its_job_at_once_and_lets_the_next_one_go_on(
    new_world: NewWorld, status: int
) -> None:
    refused = ProviderRequestError(f"the LLM answered with status {status}", status=status)
    world = new_world(replying(refused, facts("Alice likes tea")))
    world.say("too long", infer=True, queued=True)
    world.say("I like tea", infer=True, queued=True)
    assert deliver(world)
    assert deliver(world), "it waits behind the first one, in the same group"
    second, first = world.ledger.jobs("default", limit=9)[0]
    assert (first.state, first.attempts) == (JobState.FAILED, 1)
    assert first.error == f"provider_bad_request: the LLM answered with status {status}"
    assert second.state is JobState.SUCCEEDED
    assert len(world.queue) == 0


@pytest.mark.parametrize(
    "error",
    [
        ProviderAuthError("status 401"),
        ProviderRequestError("status 404", status=404),
        LlmReplyError("no choices: check OPENAI_BASE_URL", misconfigured=True),
        LlmUnavailableError("429"),
    ],
    ids=str,
)
def test_what_an_operator_may_mend_is_tried_again(new_world: NewWorld, error: ForgetlessError) -> None:
    world = new_world(replying(error, facts("Alice likes tea")))
    world.say("I like tea", infer=True, queued=True)
    held(world)
    world.clock.advance(FIRST_WAIT_S + 1)
    assert deliver(world)
    assert world.texts() == ["Alice likes tea"]


def test_a_reply_that_stays_invalid_ends_the_job(new_world: NewWorld) -> None:
    world = new_world(replying("nonsense"))
    world.say("I like tea", infer=True, queued=True)
    assert deliver(world)
    job = job_of(world)
    assert (job.state, (job.error or "").partition(":")[0]) == (JobState.FAILED, "provider_bad_reply")


def test_an_embedder_that_refuses_the_text_ends_the_job_too(new_world: NewWorld) -> None:
    world = new_world(replying(facts("Alice likes tea")))
    world.say("I like tea", infer=True, queued=True)
    world.embedder.failure = ProviderRequestError("the embedder answered with status 413", status=413)
    assert deliver(world)
    assert (job_of(world).state, job_of(world).error) == (
        JobState.FAILED,
        "provider_bad_request: the embedder answered with status 413",
    )


def test_a_queue_that_does_not_hide_a_message_stops_no_job(new_world: NewWorld) -> None:
    world = new_world(replying(facts("Alice likes tea")))
    world.say("I like tea", infer=True, queued=True)
    (message,) = world.queue.receive()
    world.queue.failure = QueueError("down")
    world.services.ingest.run("default", job_of(world).id, seconds=JOB_S, receipt=message.receipt)
    assert world.texts() == ["Alice likes tea"]


def test_a_message_that_is_refused_does_not_make_later_adds_fail(new_world: NewWorld) -> None:
    """The LLM is shown what was said before, and refuses whatever contains the word."""

    def reply(messages: Sequence[ChatMessage]) -> str:
        if any("poison" in message.content for message in messages):
            raise ProviderRequestError("status 400 (content_filter)", status=400)
        return facts("Alice likes tea")

    world = new_world(reply)
    world.say("poison", infer=True, queued=True)
    world.say("I like tea", infer=True, queued=True)
    assert deliver(world)
    assert deliver(world)
    second, first = world.ledger.jobs("default", limit=9)[0]
    assert (first.state, second.state) == (JobState.FAILED, JobState.SUCCEEDED)
    assert world.texts() == ["Alice likes tea"]


def test_an_add_that_was_held_supersedes_nothing_that_was_recorded_since(new_world: NewWorld) -> None:
    down = ProviderAuthError("status 401")
    old, new = ("Alice lives in Hue", "Alice lives in Hanoi")

    def held_while(meanwhile: Callable[[World], object], *, before: bool) -> set[str]:
        world = new_world(replying(down, facts({"text": "Alice lives in Rome", "supersedes": [1]})))
        if before:
            world.say(old)
        world.say("I live in Rome", infer=True, queued=True)
        with pytest.raises(JobHeldError):
            deliver(world)
        meanwhile(world)
        world.clock.advance(FIRST_WAIT_S + 1)
        assert deliver(world)
        return set(world.texts())

    def changed(world: World) -> None:
        (memory,) = [one for one in newest(world.services, ALICE.ids()) if one.text == old]
        world.services.changes.update(UpdateRequest("default", memory.id, metadata={"seen": True}))

    assert held_while(lambda world: world.say(new), before=False) == {new, "Alice lives in Rome"}
    assert held_while(changed, before=True) == {"Alice lives in Rome"}, "it is still what was said before"
