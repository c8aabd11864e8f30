"""Retention: what a sweep removes when its time is over, and that nothing breaks when a job's record is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from forgetless.domain.bulk_jobs import BulkKind, Progress
from forgetless.domain.documents import Document
from forgetless.domain.errors import ConflictError, LedgerError, NotFoundError
from forgetless.domain.export_lines import parse_line
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.retention import DAY_S, Retention
from forgetless.domain.schema_exports import EXPORT
from forgetless.domain.scope import Scope
from forgetless.domain.webhook_deliveries import DELIVERY
from forgetless.service.jobs import removal, retention
from forgetless.service.jobs.expired_memories import BEFORE
from forgetless.service.jobs.retention import RetentionService
from forgetless.service.requests import UpdateRequest
from forgetless.service.transfer.event_import import EventImport
from tests.unit.service.world import ALICE, World, facts, newest

NewWorld = Callable[..., World]


def jobs(world: World) -> list[Job]:
    return world.ledger.jobs("default", limit=1000)[0]


def after_a_month(world: World) -> int:
    world.clock.advance(31 * DAY_S)
    return world.services.sweep.sweep().expired_jobs


def service_of(world: World, retention: Retention) -> RetentionService:
    return RetentionService(ledger=world.ledger, bulk=world.services.bulk, clock=world.clock, retention=retention)


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
    monkeypatch.setattr(world.ledger, "scrub_erased", lambda **_: bool(scrubbed.append(True)))
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
    service = service_of(world, forever)
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


@pytest.mark.parametrize("kept_s", [180 * DAY_S, None])
def test_a_failed_job_that_is_dismissed_is_removed_by_the_next_sweep(new_world: NewWorld, kept_s: float | None) -> None:
    world = new_world(lambda _messages: facts("x"))
    world.say("one")
    never_stored = failed(world)
    (stored,) = [job for job in jobs(world) if job.state is JobState.SUCCEEDED]
    with pytest.raises(ConflictError, match="SUCCEEDED"):
        world.services.failed_adds.dismiss("default", stored.id)
    with pytest.raises(NotFoundError):
        world.services.failed_adds.dismiss("other", never_stored.id)
    service = service_of(world, Retention(failed_jobs_s=kept_s))
    assert service.expire_jobs() == 0
    world.services.failed_adds.dismiss("default", never_stored.id)
    assert service.expire_jobs() == 1
    assert jobs(world) == [stored]
    assert world.ledger.job_messages("default", never_stored.id) == []


def test_messages_expire_where_a_retention_is_set(world: World) -> None:
    world.say("one")
    world.clock.advance(2 * DAY_S)
    service = service_of(world, Retention(messages_s=DAY_S))
    assert service.expire_messages() == 1
    assert service.expire_messages() == 0


def test_a_memory_keeps_history_and_source_when_its_job_is_gone(world: World) -> None:
    (added,) = world.say("I like tea.").results
    assert after_a_month(world) == 1
    (memory,) = newest(world.services, ALICE.ids(), limit=9)
    assert [message.content for message in world.services.reads.said("default", [memory])[added.id]] == ["I like tea."]
    assert [item.event.value for item in world.history(added.id)] == ["ADD"]
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
        memories = newest(world.services, {}, limit=9)
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


def expire_memories(world: World, days: float) -> int:
    """A sweep's part, and the bulk jobs that it started; returns how many it started."""
    started = service_of(world, Retention(expired_memories_s=days * DAY_S)).delete_expired_memories()
    while world.services.bulk_worker.turn():
        pass
    return started


def test_expired_memories_stay_unless_a_retention_is_set(world: World) -> None:
    world.say("one", expiration_date="2026-01-02")
    world.clock.advance(1000 * DAY_S)
    assert service_of(world, Retention()).delete_expired_memories() == 0
    assert len(world.ledger.list_memories("default", {}, limit=9).items) == 1


def test_memories_are_deleted_by_events_some_days_after_they_expired(world: World) -> None:
    ends = {"early": "2026-01-01", "late": "2026-01-09", "never": None}
    added = {text: world.say(text, expiration_date=end).results[0].id for text, end in ends.items()}
    world.clock.set("2026-01-03T00:00:00.000000+00:00")
    assert expire_memories(world, days=2) == 1
    assert len(world.ledger.list_memories("default", {}, limit=9).items) == 3
    world.clock.set("2026-01-04T00:00:00.000000+00:00")
    assert expire_memories(world, days=2) == 1
    left = world.ledger.list_memories("default", {}, limit=9).items
    assert {memory.text for memory in left} == {"late", "never"}
    history = world.history(added["early"])
    assert [item.event.value for item in history] == ["ADD", "DELETE"]
    assert world.index.count() == 2
    assert world.ledger.job_messages("default", world.ledger.history("default", added["early"])[0].memory.job_id) == []


def test_a_shorter_time_counts_from_the_next_run_on_and_half_a_day_is_one(world: World) -> None:
    world.say("one", expiration_date="2026-01-02")
    world.clock.set("2026-01-04T00:10:00.000000+00:00")
    assert expire_memories(world, days=3) == 1
    assert len(world.ledger.list_memories("default", {}, limit=9).items) == 1
    assert expire_memories(world, days=1) == 1
    assert world.ledger.list_memories("default", {}, limit=9).items == ()
    world.say("another", expiration_date="2026-01-04")
    world.clock.set("2026-01-05T00:10:00.000000+00:00")
    assert expire_memories(world, days=0.5) == 1
    assert len(world.ledger.list_memories("default", {}, limit=9).items) == 1
    world.clock.set("2026-01-05T12:10:00.000000+00:00")
    assert expire_memories(world, days=0.5) == 1
    assert world.ledger.list_memories("default", {}, limit=9).items == ()


def test_one_job_a_day_is_started_for_a_tenant_however_often_a_run_is_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.say("one", expiration_date="2026-01-02")
    world.clock.advance(10 * DAY_S)
    with monkeypatch.context() as patch:  # the run dies before it has noted the day
        patch.setattr(world.ledger, "put_document", put_all_but(world, "sweep"))
        assert expire_memories(world, days=1) == 1
    assert [expire_memories(world, days=1) for _ in range(3)] == [1, 0, 0]
    started, _ = world.services.bulk.jobs("default", limit=9)
    assert [(job.kind, job.done, job.state) for job in started] == [(BulkKind.RETENTION, 1, JobState.SUCCEEDED)]
    world.clock.advance(DAY_S)
    assert expire_memories(world, days=1) == 1


def put_all_but(world: World, kind: str) -> Callable[[Document], bool]:
    put = world.ledger.put_document
    return lambda document: document.kind == kind or put(document)


def test_a_portion_ends_at_its_deadline_and_the_next_one_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        world.say(f"fact {number}", expiration_date="2026-01-02" if number % 2 else None)
    monkeypatch.setattr(removal, "STEP", 3)
    work = world.services.bulk._work(BulkKind.RETENTION)
    job = world.services.bulk.start("default", BulkKind.RETENTION, {BEFORE: "2026-01-03"})
    seen: list[Progress] = []
    while True:
        seen.append(work.portion(job, deadline=world.clock.monotonic()))
        if seen[-1].cursor is None:
            break
        job = replace(job, cursor=seen[-1].cursor, done=seen[-1].done)
    assert [progress.done for progress in seen] == [1, 3, 3]
    again = replace(job, cursor=None)
    assert work.portion(again, deadline=world.clock.monotonic() + 9) == Progress(None, 0, 0)


def test_a_memory_whose_date_is_changed_meanwhile_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (added,) = world.say("one", expiration_date="2026-01-02").results
    list_memories = world.ledger.list_memories
    pages = [list_memories("default", {}, limit=9, superseded=True)]
    world.services.changes.update(UpdateRequest("default", added.id, expiration_date="2030-01-01"))
    monkeypatch.setattr(
        world.ledger, "list_memories", lambda *asked, **more: pages.pop() if pages else list_memories(*asked, **more)
    )
    work = world.services.bulk._work(BulkKind.RETENTION)
    job = world.services.bulk.start("default", BulkKind.RETENTION, {BEFORE: "2026-01-03"})
    assert work.portion(job, deadline=world.clock.monotonic() + 9) == Progress(None, 0, 0)
    assert pages == []


def test_records_of_ended_bulk_jobs_and_of_exports_are_removed(world: World) -> None:
    world.say("one", expiration_date="2026-01-02")
    export = world.services.exports.create("default", {}, {"user_id": "alice"}, None)
    world.clock.advance(10 * DAY_S)
    assert expire_memories(world, days=1) == 1
    world.clock.advance(19 * DAY_S)
    world.services.sweep.sweep()
    world.services.bulk_worker.turn()
    assert len(world.services.bulk.jobs("default", limit=9)[0]) == 1
    assert world.ledger.document("default", EXPORT, export) is not None
    world.clock.advance(12 * DAY_S)
    assert world.services.sweep.sweep().expired_records == 1
    world.services.bulk_worker.turn()
    assert world.services.bulk.jobs("default", limit=9) == ([], None)
    assert world.ledger.document("default", EXPORT, export) is None


def test_deliveries_that_nobody_sends_do_not_pile_up(world: World) -> None:
    world.services.webhooks.create(
        "default", "default", name="hook", url="https://example.com/hook", event_types=["memory_add"], is_active=True
    )
    world.say("one")
    assert len(world.ledger.documents("default", DELIVERY, limit=9)[0]) == 1
    world.clock.advance(6 * DAY_S)
    assert world.services.sweep.sweep().expired_records == 0
    world.clock.advance(2 * DAY_S)
    assert world.services.sweep.sweep().expired_records == 1
    assert world.ledger.documents("default", DELIVERY, limit=9) == ([], None)


def test_a_portion_that_is_cut_short_is_done_again_and_deletes_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        world.say(f"fact {number}", expiration_date="2026-01-02")
    world.clock.advance(10 * DAY_S)
    append, calls = world.ledger.append, count()

    def cut_short(*arguments: Any, **named: Any) -> None:
        if next(calls) >= 2:
            raise LedgerError("the power went out")
        append(*arguments, **named)

    monkeypatch.setattr(removal, "STEP", 2)
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "append", cut_short)
        assert expire_memories(world, days=1) == 1
    assert len(world.ledger.list_memories("default", {}, limit=9).items) == 1
    world.clock.advance(3600)
    while world.services.bulk_worker.turn():
        pass
    (job,) = world.services.bulk.jobs("default", limit=9)[0]
    assert job.state is JobState.SUCCEEDED
    assert world.ledger.list_memories("default", {}, limit=9).items == ()
    assert world.index.count() == 0
    events = world.ledger.list_events("default", limit=9).items
    assert [event.kind.value for event in events] == ["ADD", "DELETE"] * 5
