"""Sweep restarts what is stuck: lost messages and dead workers, in bounded portions and not for ever."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from forgetless.domain.bulk_jobs import BulkKind
from forgetless.domain.documents import Document
from forgetless.domain.errors import (
    DependencyError,
    EmbedderError,
    LedgerError,
    LlmReplyError,
    ProviderAuthError,
    QueueError,
)
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.limits import MOST_ATTEMPTS
from forgetless.domain.retention import DAY_S
from forgetless.domain.scope import Scope
from forgetless.ports.llm import ChatMessage
from forgetless.service.jobs import bulk, sweep
from forgetless.service.jobs.sweep import LOST_AFTER_S, PORTION
from forgetless.service.services import Services
from tests.fakes.bulk_queue import MemoryBulkQueue
from tests.fakes.queue import Received
from tests.unit.service.world import World, facts

NewWorld = Callable[..., World]


def empty(world: World) -> list[Received]:
    received: list[Received] = []
    while messages := world.queue.receive():
        received += messages
        for message in messages:
            world.queue.delete(message.receipt)
    return received


def jobs(world: World) -> list[Job]:
    return world.ledger.jobs("default", limit=1000)[0]


def accept(world: World, number: int = 1) -> None:
    for one in range(number):
        world.say(f"fact {one}", infer=True, queued=True)


def test_stuck_adds_that_are_long_are_brought_back_in_one_sweep(new_world: NewWorld) -> None:
    """A portion of them ends at its bytes."""
    world = new_world(lambda messages: facts(messages[-1].content[-40:]))
    accept(world, 7)
    for job in jobs(world):
        assert world.ledger.update_job(replace(job, request={"prompt": "p" * 1_500_000}), held=job)
    empty(world)
    world.clock.advance(LOST_AFTER_S + 1)
    assert world.services.sweep.sweep().requeued == 7
    assert len(empty(world)) == 7


def test_a_purged_queue_is_filled_again_from_the_ledger(new_world: NewWorld) -> None:
    world = new_world(lambda messages: facts(messages[-1].content[-40:]))
    accept(world, 3)
    empty(world)
    world.clock.advance(LOST_AFTER_S + 1)
    assert world.services.sweep.sweep().requeued == 3
    for message in empty(world):
        body = json.loads(message.body)
        world.services.ingest.run(body["tenant"], body["job_id"], seconds=60)
    assert {job.state for job in jobs(world)} == {JobState.SUCCEEDED}
    assert len(world.texts()) == 3


def test_a_job_that_waits_its_turn_is_not_sent_again_with_every_sweep(new_world: NewWorld) -> None:
    world = new_world(lambda _messages: facts("x"))
    accept(world)
    world.clock.advance(LOST_AFTER_S + 1)
    assert [world.services.sweep.sweep().requeued for _ in range(3)] == [1, 0, 0]
    waited = 2 * LOST_AFTER_S + 2
    for _ in range(4):  # it may be behind a job that is held, so its message is sent less and less often
        world.clock.advance(waited)
        assert [world.services.sweep.sweep().requeued for _ in range(2)] == [1, 0]
        waited *= 2


def test_more_than_a_portion_is_brought_back_by_one_sweep(new_world: NewWorld) -> None:
    world = new_world(lambda _messages: facts("x"))
    accept(world, PORTION + 5)
    empty(world)
    world.clock.advance(LOST_AFTER_S + 1)
    assert world.services.sweep.sweep().requeued == PORTION + 5
    assert len(empty(world)) == PORTION + 5


def test_a_queue_that_is_down_delays_and_loses_nothing(new_world: NewWorld) -> None:
    world = new_world(lambda _messages: facts("x"))
    world.queue.failure = QueueError("down")
    accept(world, 2)
    assert {job.state for job in jobs(world)} == {JobState.PENDING}
    for _ in range(2):
        world.clock.advance(2 * LOST_AFTER_S + 2)
        assert world.services.sweep.sweep().requeued == 0
    world.queue.failure = None
    world.clock.advance(8 * LOST_AFTER_S)
    assert world.services.sweep.sweep().requeued == 2


def test_a_job_that_outlives_all_its_workers_is_given_up_with_the_reason(new_world: NewWorld) -> None:
    class WorkerDiedError(BaseException):
        """Not an Exception: nothing in the service may catch it."""

    def reply(_messages: Sequence[ChatMessage]) -> str:
        raise WorkerDiedError

    world = new_world(reply)
    accept(world)
    (job,) = jobs(world)
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(WorkerDiedError):
            world.services.ingest.run("default", job.id, seconds=60)
        world.clock.advance(200)
    report = world.services.sweep.sweep()
    assert (report.requeued, report.given_up) == (0, 1)
    (job,) = jobs(world)
    assert (job.state, job.error) == (
        JobState.FAILED,
        f"worker_lost: no worker finished it in {MOST_ATTEMPTS} attempts",
    )


def test_a_job_that_failed_while_sweep_looked_stays_failed(new_world: NewWorld) -> None:
    world = new_world(["nonsense", "nonsense"])
    accept(world)
    (seen,) = jobs(world)
    world.ledger.update_job(replace(seen, attempts=MOST_ATTEMPTS - 1), held=seen)
    world.services.ingest.run("default", seen.id, seconds=60)
    assert jobs(world)[0].state is JobState.FAILED
    assert not world.ledger.update_job(replace(seen, state=JobState.PENDING), held=seen)


def test_an_error_that_nobody_foresaw_fails_the_job_whose_caller_saw_it(new_world: NewWorld) -> None:
    def reply(_messages: Sequence[ChatMessage]) -> str:
        raise KeyError("a secret text")

    world = new_world(reply)
    with pytest.raises(KeyError):
        world.say("I live in Hue", infer=True)
    (job,) = jobs(world)
    assert (job.state, job.error) == (JobState.FAILED, "internal_error: KeyError")


def test_a_failed_add_may_be_tried_again_under_its_key(new_world: NewWorld) -> None:
    world = new_world(["nonsense", "nonsense", facts("Alice lives in Hue")])
    with pytest.raises(LlmReplyError):
        world.say("I live in Hue", infer=True, idempotency_key="k")
    assert [result.memory for result in world.say("I live in Hue", infer=True, idempotency_key="k").results] == [
        "Alice lives in Hue"
    ]
    assert [job.state for job in jobs(world)] == [JobState.SUCCEEDED]


def test_a_verbatim_add_that_is_done_is_answered_again_and_not_indexed_twice(new_world: NewWorld) -> None:
    world = new_world()
    first = world.say("tea", idempotency_key="k")
    again = world.say("tea", idempotency_key="k")
    assert [one.id for one in again.results] == [one.id for one in first.results]
    assert len(world.index._rows) == 1


@pytest.mark.parametrize(
    ("error", "level"), [(ProviderAuthError("the embedder: 401"), "ERROR"), (EmbedderError("down"), "WARNING")]
)
def test_an_embedder_that_refuses_for_good_is_logged_as_an_error_and_asked_once_a_sweep(
    new_world: NewWorld, caplog: pytest.LogCaptureFixture, error: DependencyError, level: str
) -> None:
    world = new_world()
    world.index.available = False
    for number in range(PORTION + 1):
        world.say(f"fact {number}")
    world.index.available = True
    world.clock.advance(60)
    world.embedder.failure = error
    world.embedder.calls.clear()
    caplog.clear()
    with caplog.at_level(logging.WARNING, "forgetless.service.jobs.sweep"):
        assert world.services.sweep.sweep().indexed == 0
    assert len(world.embedder.calls) == 1
    told = [(record.levelname, record.__dict__["part"], record.__dict__["reason"]) for record in caplog.records]
    assert told == [(level, "index", error.message)]
    world.embedder.failure = None
    assert world.services.sweep.sweep().indexed == PORTION + 1


def rebuilt(world: World) -> None:
    """Let the worker do all bulk jobs."""
    while world.services.bulk_worker.turn():
        pass


def test_an_index_that_was_lost_under_the_running_service_is_rebuilt(world: World) -> None:
    world.say("the boat is blue")
    world.say("the boat is fast", scope=Scope("acme", user_id="alice"))
    world.services.sweep.sweep()
    for _ in range(2):  # it may be lost again
        world.index.drop_all()
        world.clock.advance(60)
        for _ in range(2):
            world.services.sweep.sweep()
        rebuilt(world)
        assert world.index.count() == 2
        assert [hit.memory.text for hit in world.find("boat")] == ["the boat is blue"]
        world.services.sweep.sweep()
    started = [job for tenant in ("default", "acme") for job in world.services.bulk.jobs(tenant, limit=9)[0]]
    assert [job.kind for job in started] == [BulkKind.REINDEX] * 4, "each tenant once for each loss"


def test_a_lost_index_is_rebuilt_in_portions_of_tenants_though_a_sweep_dies(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if an add has put a row into the index meanwhile, so that it no longer looks lost."""
    monkeypatch.setattr(sweep, "_STARTED_AT_ONCE", 2)
    for number in range(5):
        world.say("the boat is blue", scope=Scope(f"tenant-{number}", user_id="alice"))
    world.index.drop_all()

    def cut_short(*_arguments: object, **_named: object) -> bool:
        raise LedgerError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(world.services.bulk, "start", cut_short)
        world.services.sweep.sweep()
    world.say("a later fact")
    for _ in range(4):
        world.clock.advance(60)
        world.services.sweep.sweep()
        rebuilt(world)
    assert world.index.count() == 6


@pytest.mark.parametrize("indexed", [True, False])
def test_a_loss_is_noticed_although_very_many_memories_wait(
    world: World, monkeypatch: pytest.MonkeyPatch, *, indexed: bool
) -> None:
    monkeypatch.setattr(sweep, "_COUNTED", 3)
    if indexed:
        world.say("the boat is blue")
    world.index.drop_all()
    world.index.available = False
    for number in range(5):
        world.say(f"fact {number}")
    world.index.available = True
    world.services.sweep.sweep()
    assert len(world.services.bulk.jobs("default", limit=9)[0]) == indexed


def test_a_marking_that_an_earlier_version_left_is_finished_by_a_reindex(world: World) -> None:
    world.say("the boat is blue")
    world.index.drop_all()
    world.say("the boat is fast")
    world.ledger.put_document(Document("", "sweep", "lost index", {}, world.clock.now()))
    world.services.sweep.sweep()
    rebuilt(world)
    assert world.index.count() == 2


def test_an_index_that_only_waits_for_its_first_rows_is_not_taken_for_lost(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.index.available = False
    world.say("the boat is blue")
    world.index.available = True
    counts = iter([0, 0])
    monkeypatch.setattr(world.index, "count", lambda: next(counts, 1))
    world.services.sweep.sweep()
    assert "lost" not in caplog.text


def test_a_ledger_that_cannot_be_marked_within_a_run_is_left_to_an_administrator(world: World) -> None:
    world.say("the boat is blue")
    world.index.drop_all()
    services = Services(replace(world.services._ports), rebuilds_lost_index=False)
    services.sweep.sweep()
    assert services.bulk.jobs("default", limit=9)[0] == []


def test_a_bulk_job_whose_message_was_lost_is_sent_again_and_counted(world: World) -> None:
    queue = MemoryBulkQueue(world.clock)
    services = Services(replace(world.services._ports, bulk_queue=queue))
    for tenant in ("default", "other"):
        services.bulk.start(tenant, BulkKind.RETENTION, {})
    queue.purge()
    assert services.sweep.sweep().bulk_requeued == 0
    world.clock.advance(bulk.LOST_AFTER_S + 1)
    assert [services.sweep.sweep().bulk_requeued for _ in range(2)] == [2, 0]
    assert len(queue) == 2
    world.clock.advance(bulk.LOST_AFTER_S + 1)
    queue.failure = QueueError("down")
    assert services.sweep.sweep().bulk_requeued == 0
    queue.failure = None
    assert world.services.sweep.sweep().bulk_requeued == 0, "without a queue, the worker finds what is due"


def test_a_bulk_job_that_ended_is_removed_when_its_retention_is_over(world: World) -> None:
    queue = MemoryBulkQueue(world.clock)
    with_queue = Services(replace(world.services._ports, bulk_queue=queue))
    for services in (with_queue, world.services):
        done, cancelled = (services.bulk.start("default", BulkKind.REINDEX, {}) for _ in range(2))
        services.bulk.run("default", done.id, 1, seconds=60)
        services.bulk.cancel("default", cancelled.id)
        for days, left in ((29, {done.id, cancelled.id}), (2, {cancelled.id}), (150, set())):
            world.clock.advance(days * DAY_S)
            services.sweep.sweep()
            services.bulk_worker.turn()
            assert {job.id for job in services.bulk.jobs("default", limit=9)[0]} == left
