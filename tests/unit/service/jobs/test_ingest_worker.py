"""Without a queue, a worker runs the adds that wait: those that took too long, and those that were started again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.queue_none import NoQueue
from forgetless.domain.errors import DeadlineError, LlmUnavailableError
from forgetless.domain.jobs import JobState
from forgetless.domain.limits import REQUEST_S
from forgetless.domain.scope import Scope
from forgetless.ports.llm import ChatMessage
from forgetless.service.services import Services
from tests.unit.service.world import World, facts, make_world


def unqueued(folder: Path, reply: object) -> World:
    """A world without a queue, as under uvicorn."""
    world = make_world(folder, reply, ledger=SqliteLedger(folder / "ledger.db"))  # type: ignore[arg-type]
    world.services = Services(replace(world.services._ports, queue=NoQueue(), llm=world.llm))
    return world


def turn(world: World) -> None:
    world.services.ingest_worker.turn()
    world.services.ingest_worker.wait(30)


def late(world: World, text: str) -> str:
    """An add whose LLM takes too long; returns the id of its job, which waits."""
    assert world.llm is not None
    with pytest.raises(DeadlineError):
        world.say(text, infer=True)
    [job] = world.ledger.jobs("default", limit=1)[0]
    assert job.state is JobState.PENDING
    return job.id


class Llm:
    """An LLM that fails as it is told, then works."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []

    def __call__(self, messages: Sequence[ChatMessage]) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return facts("Likes tea.")


def state(world: World, job_id: str) -> JobState:
    job = world.ledger.job("default", job_id)
    assert job is not None
    return job.state


def test_an_add_that_took_too_long_is_run_when_its_request_has_ended(tmp_path: Path) -> None:
    llm = Llm()
    llm.failures = [TimeoutError()]
    world = unqueued(tmp_path, llm)
    job = late(world, "I like tea.")
    turn(world)
    assert state(world, job) is JobState.PENDING
    world.clock.advance(REQUEST_S + 6)
    turn(world)
    assert state(world, job) is JobState.SUCCEEDED
    assert world.texts() == ["Likes tea."]


def test_an_add_that_is_started_again_is_run(tmp_path: Path) -> None:
    llm = Llm()
    llm.failures = [LlmUnavailableError("overloaded", status=503)]
    world = unqueued(tmp_path, llm)
    with pytest.raises(LlmUnavailableError):
        world.say("I like tea.", infer=True)
    [failed] = world.ledger.jobs("default", limit=1)[0]
    world.services.failed_adds.retry("default", failed.id)
    world.clock.advance(REQUEST_S + 6)
    turn(world)
    assert state(world, failed.id) is JobState.SUCCEEDED


def test_a_job_that_is_held_is_run_at_its_next_try_and_sweep_does_not_put_it_off(tmp_path: Path) -> None:
    llm = Llm()
    llm.failures = [TimeoutError(), LlmUnavailableError("overloaded", status=503)]
    world = unqueued(tmp_path, llm)
    job = late(world, "I like tea.")
    world.clock.advance(REQUEST_S + 6)
    turn(world)
    held = world.ledger.job("default", job)
    assert held is not None
    assert held.next_try_at is not None
    world.clock.advance(600)
    assert world.services.sweep.sweep().requeued == 0
    assert world.ledger.job("default", job) == held
    turn(world)
    assert state(world, job) is JobState.SUCCEEDED


def test_the_jobs_of_one_speaker_run_in_their_order_and_delay_nobody_else(tmp_path: Path) -> None:
    answering, began = threading.Event(), []
    slow: list[Exception] = [TimeoutError()] * 3

    def reply(messages: Sequence[ChatMessage]) -> str:
        if slow:
            raise slow.pop()
        said = messages[-1].content
        if "works again" in said:
            return facts()
        began.append(next(word for word in ("second", "first", "other") if word in said))
        assert answering.wait(30)
        return facts()

    world = unqueued(tmp_path, reply)
    jobs = [late(world, "first"), late(world, "second")]
    other = Scope("default", user_id="bob")
    with pytest.raises(DeadlineError):
        world.say("other", scope=other, infer=True)
    world.clock.advance(REQUEST_S + 6)
    world.say("It works again.", scope=Scope("default", user_id="carol"), infer=True)
    worker = world.services.ingest_worker
    worker.turn()
    until(lambda: len(began) == 2)
    worker.turn()
    assert sorted(began) == ["first", "other"]
    answering.set()
    worker.wait(30)
    turn(world)
    assert [state(world, job) for job in jobs] == [JobState.SUCCEEDED] * 2
    assert began[-1] == "second"


def test_an_error_that_nobody_foresaw_is_logged_and_the_worker_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    llm = Llm()
    llm.failures = [TimeoutError()]
    world = unqueued(tmp_path, llm)
    job = late(world, "I like tea.")
    world.clock.advance(REQUEST_S + 6)
    llm.failures = [KeyError("odd")]
    turn(world)
    assert "an attempt of an add failed" in caplog.text
    world.clock.advance(600)
    turn(world)
    assert state(world, job) is JobState.SUCCEEDED


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
