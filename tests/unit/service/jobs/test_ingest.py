"""The queue's worker: when a message becomes visible again, and which failures end a job at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

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
from forgetless.domain.limits import JOB_S, LEASE_MARGIN_S, TRIES_APART_S
from forgetless.ports.llm import ChatMessage
from tests.unit.service.world import World, facts

NewWorld = Callable[..., World]

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


def test_a_try_that_failed_is_followed_by_the_next_one_after_a_pause(new_world: NewWorld) -> None:
    world = new_world(replying(LlmUnavailableError("down"), facts("Alice likes tea")))
    world.say("I like tea", infer=True, queued=True)
    with pytest.raises(LlmUnavailableError):
        deliver(world)
    assert job_of(world).state is JobState.PENDING
    world.clock.advance(TRIES_APART_S - 1)
    assert not deliver(world)
    world.clock.advance(2)
    assert deliver(world)
    assert job_of(world).state is JobState.SUCCEEDED


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
        LlmReplyError("nonsense"),
        LlmUnavailableError("429"),
    ],
    ids=str,
)
def test_what_an_operator_may_mend_is_tried_again(new_world: NewWorld, error: ForgetlessError) -> None:
    world = new_world(replying(error, facts("Alice likes tea")))
    world.say("I like tea", infer=True, queued=True)
    with pytest.raises(type(error)):
        deliver(world)
    world.clock.advance(TRIES_APART_S + 1)
    assert deliver(world)
    assert world.texts() == ["Alice likes tea"]


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
