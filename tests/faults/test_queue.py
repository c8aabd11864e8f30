"""What the queue can do to jobs: poison messages, a purge, an outage; the ledger's jobs survive all of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.domain.jobs import JobState
from forgetless.domain.limits import MOST_ATTEMPTS
from tests.faults.fault_injection import Fault, Step, Way
from tests.faults.harness import LATER_S, wait_at_step
from tests.faults.kill_runner import Runner
from tests.faults.shared_stores import POISON, compose
from tests.unit.servers import free_socket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_poison_message_ends_after_its_attempts_and_the_rest_of_its_batch_is_done(runner: Runner) -> None:
    harness = runner.harness()
    poison, _ = harness.run("queued", (POISON, "p", "mallory"))
    others = [harness.run("queued", ("I live in Hue", f"k{user}", user))[0] for user in ("ann", "ben")]
    services = compose(harness.place)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        records = harness.receive()
        assert len(records) == (3 if attempt == 1 else 1)
        answer, _ = harness.run("ingest", {"Records": records})
        assert len(answer["batchItemFailures"]) == (attempt < MOST_ATTEMPTS)
        harness.settle_batch(records, answer)
        states = [services.reads.job("default", one) for one in others]
        assert [job.state for job in states if job] == [JobState.SUCCEEDED] * 2
    assert (harness.receive(), harness.dead()) == ([], [])
    job = services.reads.job("default", poison)
    assert job is not None
    assert (job.state, job.error) == (JobState.FAILED, "internal_error: RuntimeError")
    harness.later()
    assert harness.run("sweep", {})[0]["requeued"] == 0


def test_a_message_that_kills_its_workers_is_given_up_with_the_reason(runner: Runner) -> None:
    harness = runner.harness()
    poison, _ = harness.run("queued", ("I live in Hue", "k", "mallory"))
    for _ in range(MOST_ATTEMPTS):
        records = harness.receive()
        process, line = harness.start("ingest", {"Records": records}, Fault(Step("llm.complete", 1), Way.EXIT))
        wait_at_step(process, line, Way.EXIT)
        line.close()
        harness.settle_batch(records, None)
        harness.later()
    records = harness.receive()
    answer, _ = harness.run("ingest", {"Records": records})
    harness.settle_batch(records, answer)
    assert (harness.receive(), harness.dead()) == ([], [])
    job = compose(harness.place).reads.job("default", poison)
    assert job is not None
    assert (job.state, job.error) == (
        JobState.FAILED,
        f"worker_lost: no worker finished it in {MOST_ATTEMPTS} attempts",
    )


def test_a_purged_queue_loses_no_job(runner: Runner) -> None:
    harness = runner.harness()
    accepted = [harness.run("queued", ("I live in Hue", f"k{number}", f"user-{number}"))[0] for number in range(5)]
    harness.purge()
    assert harness.receive() == []
    assert harness.recover()
    services = compose(harness.place)
    assert [getattr(services.reads.job("default", one), "state", None) for one in accepted] == [JobState.SUCCEEDED] * 5


def test_an_add_is_accepted_though_sqs_is_down_and_done_when_it_is_back(runner: Runner) -> None:
    harness = runner.harness()
    with free_socket() as listener:
        closed = f"http://127.0.0.1:{listener.getsockname()[1]}/123456789012/down.fifo"
    working = harness.place
    harness.place = replace(working, queue_url=closed)
    accepted, _ = harness.run("queued", ("I live in Hue", "k", "ann"))
    harness.later()
    assert harness.run("sweep", {})[0]["requeued"] == 0
    harness.place = replace(working, ahead_s=working.ahead_s + 2 * LATER_S)
    assert harness.recover()
    job = compose(harness.place).reads.job("default", accepted)
    assert job is not None
    assert job.state is JobState.SUCCEEDED
