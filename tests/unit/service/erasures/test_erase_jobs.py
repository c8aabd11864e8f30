"""The removal of what an erasure covers: in the request, by a bulk job, and after failures and late writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger, erasures
from forgetless.domain.bulk_jobs import BULK_JOB
from forgetless.domain.erasures import Target
from forgetless.domain.errors import ErasedError, LedgerError
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import Event, EventKind
from forgetless.domain.scope import Scope
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.access.limited_ledger import LimitedLedger
from forgetless.service.jobs import erase
from tests.unit.service.world import ALICE, World, facts, make_world, only

BOB = Scope("default", user_id="bob")
ANNAS = {"user_id": "alice"}


def finish(world: World) -> None:
    """Let the worker do every bulk job."""
    while world.services.bulk_worker.turn():
        world.clock.advance(1)


def everything(world: World, scope: Scope = ALICE) -> list[str]:
    """The texts of all memories in the ledger itself, and of all messages."""
    page = world.ledger.list_memories("default", scope.ids(), limit=1000, superseded=True)
    messages, _ = world.ledger.scope_messages("default", scope.ids(), limit=1000)
    return [memory.text for memory in page.items] + [message.content for message in messages]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request has no time, and a step is one row."""
    monkeypatch.setattr(erase, "ERASE_IN_REQUEST_S", -1.0)
    monkeypatch.setattr(erase, "_STEP", 1)


def test_a_small_erasure_is_done_when_it_is_answered(world: World) -> None:
    world.say("one", "two")
    world.say("of bob", scope=BOB)
    erased = world.services.changes.delete_scope("default", ANNAS)
    assert erased.deleted == 2
    assert everything(world) == []
    assert everything(world, BOB) == ["of bob", "of bob"]
    assert world.ledger.erasure_state("default").hiding == 0
    job = world.services.bulk.job("default", erased.event_id)
    assert job is not None
    assert (job.state, job.done, job.total) == (JobState.SUCCEEDED, 2, 2)


@pytest.mark.usefixtures("slow")
def test_a_large_one_is_in_effect_at_once_and_a_bulk_job_does_the_rest(world: World) -> None:
    for place in range(5):
        world.say(f"said {place}")
    world.say("of bob", scope=BOB)
    erased = world.services.changes.delete_scope("default", ANNAS)
    assert erased.deleted == 5, "it is the total, not what the request has removed"
    assert len(everything(world)) == 9, "one message is gone"
    assert world.texts() == []
    world.say("new")
    finish(world)
    assert everything(world) == ["new", "new"]
    assert everything(world, BOB) == ["of bob", "of bob"]
    assert world.texts() == ["new"]
    assert len(world.index.keys("default", limit=99)) == 2
    job = world.services.bulk.job("default", erased.event_id)
    assert job is not None
    assert (job.state, job.done) == (JobState.SUCCEEDED, 5)
    assert world.ledger.erasure_state("default").hiding == 0
    assert world.ledger.open_erasures(limit=9, each=9) == []


def test_deleted_is_the_total_where_one_is_kept_and_otherwise_what_was_removed(world: World) -> None:
    in_a_run = replace(ALICE, run_id="r")
    world.say("one")
    world.say("two", "three", scope=in_a_run)
    world.say("of bob", scope=BOB)
    changes = world.services.changes
    assert changes.delete_scope("default", in_a_run.ids()).deleted == 2
    assert changes.delete_scope("default", ANNAS).deleted == 1
    assert changes.reset("default").deleted == 1


@pytest.mark.usefixtures("slow")
def test_a_reset_and_wildcards_cover_what_they_name(world: World) -> None:
    world.say("in a run", scope=replace(ALICE, run_id="r"))
    world.say("in none")
    world.services.changes.delete_kinds("default", ["run_id"], ANNAS)
    assert world.texts() == ["in none"]
    finish(world)
    assert everything(world) == ["in none", "in none"]
    world.services.changes.reset("default")
    assert world.texts() == []
    finish(world)
    assert everything(world) == []


@pytest.mark.usefixtures("slow")
def test_waiting_and_failed_jobs_end_as_erased_and_are_never_run(new_world: Callable[..., World]) -> None:
    world = new_world(["never asked"])
    waits = world.say("waits", infer=True, queued=True).job
    failed = world.say("has failed", infer=True, queued=True).job
    held = world.ledger.job("default", failed.id)
    assert held is not None
    assert world.ledger.update_job(replace(held, state=JobState.FAILED, error="why"), held=held)
    world.services.changes.delete_scope("default", ANNAS)
    world.services.ingest.run("default", waits.id, seconds=9)
    finish(world)
    for job in (waits, failed):
        stored = world.ledger.job("default", job.id)
        assert stored is not None
        assert (stored.state, stored.erased, stored.error, stored.request) == (JobState.SUCCEEDED, True, None, {})
    world.services.ingest.run("default", waits.id, seconds=9)
    assert everything(world) == []


@pytest.mark.parametrize("whole", [False, True], ids=["user", "reset"])
def test_an_add_that_the_llm_is_working_on_ends_as_erased(new_world: Callable[..., World], whole: bool) -> None:
    world: World

    def reply(messages: Any) -> str:
        del messages
        changes = world.services.changes
        changes.reset("default") if whole else changes.delete_scope("default", ANNAS)
        return facts("Alice likes tea")

    world = new_world(reply)
    outcome = world.say("I like tea", infer=True)
    assert (outcome.results, outcome.job.state, outcome.job.erased) == ((), JobState.SUCCEEDED, True)
    assert everything(world) == []
    stored = world.ledger.job("default", outcome.job.id)
    assert stored is not None
    assert stored.erased


@pytest.mark.usefixtures("slow")
def test_it_ends_as_erased_also_while_the_rows_still_wait(new_world: Callable[..., World]) -> None:
    world: World

    def reply(messages: Any) -> str:
        del messages
        world.ledger.begin_erasure("default", [Target(ANNAS)], at=world.clock.now())
        return facts("Alice likes tea")

    world = new_world(reply)
    queued = world.say("I like tea", infer=True, queued=True).job
    world.services.ingest.run("default", queued.id, seconds=9)
    assert world.ledger.list_memories("default", {}, limit=9).items == ()
    shown = world.services.reads.job("default", queued.id)
    assert shown is not None
    assert (shown.state, shown.erased) == (JobState.SUCCEEDED, True)


def test_when_a_memory_that_the_llm_was_shown_is_deleted_the_job_runs_again_without_it(
    new_world: Callable[..., World],
) -> None:
    world: World
    prompts: list[str] = []

    def reply(messages: Any) -> str:
        prompts.append(str(messages))
        if len(prompts) == 1:
            world.services.changes.delete("default", old)
        return facts("Alice likes the drink" if "secretword" not in prompts[-1] else "Alice likes secretword")

    world = new_world(reply)
    (stored,) = world.say("the drink is secretword").results
    old = stored.id
    outcome = world.say("I like the drink", infer=True)
    assert len(prompts) == 2
    assert "secretword" in prompts[0]
    assert "secretword" not in prompts[1]
    assert [one.memory for one in outcome.results] == ["Alice likes the drink"]


def test_a_verbatim_add_that_an_erasure_overtakes_stores_nothing(world: World) -> None:
    embed = world.embedder.embed

    def erase_first(*arguments: Any, **named: Any) -> Any:
        world.embedder.embed = embed  # type: ignore[method-assign]
        world.services.changes.delete_scope("default", ANNAS)
        return embed(*arguments, **named)

    world.embedder.embed = erase_first  # type: ignore[method-assign]
    with pytest.raises(ErasedError):
        world.say("overtaken")
    assert everything(world) == []
    world.say("sent again")
    assert world.texts() == ["sent again"]


def test_a_ledger_that_fails_after_the_marker_does_not_fail_the_erasure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.say("one")

    def fail(*_: Any, **__: Any) -> Any:
        raise LedgerError("out")

    with monkeypatch.context() as broken:
        broken.setattr(world.ledger, "scope_messages", fail)
        broken.setattr(world.ledger, "put_document", fail)
        erased = world.services.changes.delete_scope("default", ANNAS)
    assert world.texts() == []
    assert world.services.bulk.job("default", erased.event_id) is None
    world.clock.advance(200)
    world.services.sweep.sweep()
    finish(world)
    assert everything(world) == []
    job = world.services.bulk.job("default", erased.event_id)
    assert job is not None
    assert job.state is JobState.SUCCEEDED


def test_a_key_that_is_limited_to_users_erases_theirs_alone(world: World) -> None:
    shared = replace(ALICE, agent_id="bot")
    world.say("of alice", scope=shared)
    world.say("of bob", scope=replace(BOB, agent_id="bot"))
    limited = world.services.limited_to(only("alice"))
    assert limited.changes.delete_scope("default", {"agent_id": "bot"}).deleted == 1
    assert limited.changes.delete_scope("default", {"user_id": "bob"}).deleted == 0
    assert limited.changes.reset("default").deleted == 0
    assert everything(world, BOB) == ["of bob", "of bob"]
    view: RequestLedger = LimitedLedger(world.ledger, only("alice", "cid"))
    begun = view.begin_erasure("default", [Target({}, ("user_id", "run_id"))], at=world.clock.now())
    assert [(dict(target.ids), target.names) for target in begun.targets] == [
        ({"user_id": "alice"}, ("user_id", "run_id")),
        ({"user_id": "cid"}, ("user_id", "run_id")),
    ]


class LateLedger(SqliteLedger):
    """SQLite with the promise of DynamoDB: writes that began before an erasure may land after it."""

    def late_writes_s(self) -> float:
        return 900.0


def test_where_late_writes_may_land_the_marker_hides_until_a_late_pass_finds_nothing(tmp_path: Path) -> None:
    world = make_world(tmp_path, ledger=LateLedger(tmp_path / "ledger.db"))
    world.say("one")
    world.services.changes.delete_scope("default", ANNAS)
    assert world.ledger.erasure_state("default").hiding == 1
    world.say("new")
    _land(world, "late")
    assert world.texts() == ["new"]
    world.clock.advance(890)
    world.services.sweep.sweep()
    finish(world)
    assert world.ledger.erasure_state("default").hiding == 1
    world.clock.advance(20)
    world.services.sweep.sweep()
    finish(world)
    assert "late" not in everything(world)
    assert world.ledger.erasure_state("default").hiding == 1, "it removed something, so it looks again"
    world.clock.advance(60)
    world.services.sweep.sweep()
    finish(world)
    assert world.ledger.erasure_state("default").hiding == 0
    assert world.texts() == ["new"]
    documents, _ = world.ledger.documents("default", BULK_JOB, limit=9)
    assert {document.body["state"] for document in documents} == {"SUCCEEDED"}


def _land(world: World, text: str) -> None:
    """Write a memory that was accepted before the erasure, as a writer does whom nothing stops."""
    template = world.ledger.list_memories("default", {}, limit=1).items[0]
    later = replace(template, id="11111111-1111-4111-8111-111111111111", text=text, sources=(), context=())
    with pytest.MonkeyPatch.context() as unchecked:
        unchecked.setattr(erasures, "refuse", lambda *_: None)
        world.ledger.append([Event(EventKind.ADD, replace(later, erasures_before=0))])
