"""Retention: what a sweep removes when its time is over, and that nothing breaks when a job's record is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from forgetless.domain.export_lines import parse_line
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.retention import DAY_S, Retention
from forgetless.domain.scope import Scope
from forgetless.service.jobs import retention
from forgetless.service.jobs.retention import RetentionService
from forgetless.service.transfer.event_import import EventImport
from tests.unit.service.world import ALICE, World, facts

NewWorld = Callable[..., World]


def jobs(world: World) -> list[Job]:
    return world.ledger.jobs("default", limit=1000)[0]


def after_a_month(world: World) -> int:
    world.clock.advance(31 * DAY_S)
    return world.services.sweep.sweep().expired_jobs


def failed(world: World) -> Job:
    """A job that has failed, with one message."""
    world.say("never stored", infer=True, queued=True)
    (waiting,) = [job for job in jobs(world) if not job.finished]
    ended = replace(waiting, state=JobState.FAILED, updated_at=world.clock.now(), error="why")
    assert world.ledger.update_job(ended, held=waiting)
    return ended


def test_a_sweep_scrubs_the_ledger_and_says_when_it_could_not(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scrubbed: list[bool] = []
    monkeypatch.setattr(world.ledger, "scrub_erased", lambda: bool(scrubbed.append(True)))
    with caplog.at_level(logging.WARNING):
        world.services.sweep.sweep()
    assert scrubbed == [True]
    assert caplog.messages == ["erased text is still in the ledger's log, because it is being read"]


def test_succeeded_jobs_stay_a_month_and_failed_ones_half_a_year(new_world: NewWorld) -> None:
    world = new_world(lambda _messages: facts("x"))
    world.say("one", "two")
    never_stored = failed(world)
    world.clock.advance(29 * DAY_S)
    assert world.services.sweep.sweep().expired_jobs == 0
    world.clock.advance(2 * DAY_S)
    assert world.services.sweep.sweep().expired_jobs == 1
    assert jobs(world) == [never_stored]
    assert len(world.ledger.job_messages("default", never_stored.id)) == 1
    world.clock.advance(150 * DAY_S)
    assert world.services.sweep.sweep().expired_jobs == 1
    assert jobs(world) == []
    assert world.ledger.job_messages("default", never_stored.id) == []
    assert sorted(world.texts()) == ["one", "two"]


def test_a_sweep_removes_in_bounded_portions_and_without_end_dates_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        world.say(f"fact {number}")
    world.clock.advance(400 * DAY_S)
    forever = Retention(succeeded_jobs_s=None, failed_jobs_s=None)
    service = RetentionService(ledger=world.ledger, clock=world.clock, retention=forever)
    assert service.expire_jobs() + service.expire_messages() == 0
    monkeypatch.setattr(retention, "PORTION", 3)
    limits: list[int] = []
    expire = world.ledger.expire_jobs

    def counting(*, succeeded_before: str | None, failed_before: str | None, limit: int) -> int:
        limits.append(expire(succeeded_before=succeeded_before, failed_before=failed_before, limit=limit))
        return limits[-1]

    monkeypatch.setattr(world.ledger, "expire_jobs", counting)
    assert world.services.sweep.sweep().expired_jobs == 7
    assert limits == [3, 3, 1]


def test_messages_expire_where_a_retention_is_set(world: World) -> None:
    world.say("one")
    world.clock.advance(2 * DAY_S)
    service = RetentionService(ledger=world.ledger, clock=world.clock, retention=Retention(messages_s=DAY_S))
    assert service.expire_messages() == 1
    assert service.expire_messages() == 0


def test_a_memory_keeps_history_and_source_when_its_job_is_gone(world: World) -> None:
    (added,) = world.say("I like tea.").results
    assert after_a_month(world) == 1
    (memory,) = world.services.reads.list("default", ALICE.ids(), limit=9)
    assert [message.content for message in world.services.reads.said("default", [memory])[added.id]] == ["I like tea."]
    assert [item.event.value for item in world.services.reads.history("default", added.id)] == ["ADD"]
    assert [hit.memory.id for hit in world.find("tea")] == [added.id]
    world.services.changes.delete("default", added.id)
    assert world.ledger.read_messages("default", memory.sources) == {}


@pytest.mark.parametrize("infer", [False, True])
def test_a_repeat_after_the_job_is_gone_finds_the_memories_and_adds_nothing(new_world: NewWorld, infer: bool) -> None:
    replies = iter("abc")
    world = new_world(lambda _messages: facts(f"fact {next(replies)}"))
    first = world.say("I like tea.", infer=infer, idempotency_key="k")
    assert after_a_month(world) == 1
    again = world.say("I like tea.", infer=infer, idempotency_key="k")
    assert [one.id for one in again.results] == [one.id for one in first.results]
    assert again.job.state is JobState.SUCCEEDED
    assert len(world.texts()) == 1
    assert jobs(world) == []
    assert world.index.count() == 1


def test_an_add_whose_facts_were_none_may_be_done_again(new_world: NewWorld) -> None:
    replies = iter([facts(), facts("I like tea")])
    world = new_world(lambda _messages: next(replies))
    assert world.say("hello", infer=True, idempotency_key="k").results == ()
    assert after_a_month(world) == 1
    assert len(world.say("hello", infer=True, idempotency_key="k").results) == 1


def test_an_export_has_the_messages_of_jobs_that_are_gone(new_world: NewWorld) -> None:
    source, target = new_world(), new_world()
    source.say("I like tea.", "I live in Lisbon.")
    assert after_a_month(source) == 1
    source.say("Bob rides a bicycle.", scope=Scope("default", user_id="bob"))
    lines = b"".join(portion.lines for portion in source.services.event_exports.portions("default"))
    importer = EventImport(ledger=target.ledger, clock=target.clock)
    records = [(number, parse_line(line)) for number, line in enumerate(lines.splitlines(), 1)]
    report = importer.take("default", records)
    assert (report.memories, report.jobs, report.refused) == (3, 2, 0)
    for world in (source, target):
        memories = world.services.reads.list("default", {}, limit=9)
        said = world.services.reads.said("default", memories)
        assert sorted(message.content for memory in memories for message in said[memory.id]) == [
            "Bob rides a bicycle.",
            "I like tea.",
            "I live in Lisbon.",
        ]


def test_a_wildcard_delete_erases_messages_whose_job_is_gone(new_world: NewWorld) -> None:
    world = new_world(lambda _messages: facts())
    run = Scope("default", user_id="alice", run_id="r")
    job = world.say("nothing to remember", infer=True, scope=run).job
    assert after_a_month(world) == 1
    assert len(world.ledger.job_messages("default", job.id)) == 1
    world.services.changes.delete_kinds("default", ["run_id"], {})
    assert world.ledger.job_messages("default", job.id) == []
