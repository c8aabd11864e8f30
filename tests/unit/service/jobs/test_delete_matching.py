"""Deletes by filter: bounded in the request, and by a bulk job to the end; linked deletes; many deletes at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.errors import (
    ConflictError,
    InvalidRequestError,
    LedgerError,
    NotFoundError,
    PreconditionFailedError,
    TooManyJobsError,
)
from forgetless.domain.filters.evaluate import Matcher
from forgetless.domain.jobs import JobState
from forgetless.domain.limits import ERASE_IN_REQUEST_S
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.service.jobs import delete_matching, removal
from forgetless.service.jobs.open_deletes import MOST_OPEN_DELETES
from forgetless.service.requests import UpdateRequest
from forgetless.service.services import Services
from forgetless.service.writing.erase_memories import FilteredDelete
from tests.contract.ledger.making import files_holding
from tests.fakes.counting_ledger import CountingLedger
from tests.unit.service.webhooks.post import make
from tests.unit.service.world import ALICE, World, facts, only

BOB = Scope("default", user_id="bob")
TEA = {"metadata": {"topic": "tea"}}
OF_ALICE = FilteredDelete("default", {"user_id": "alice"}, (), TEA)


def drink(world: World, count: int, scope: Scope = ALICE) -> None:
    """Every second memory is about tea."""
    for number in range(count):
        world.say(f"said {number}", scope=scope, metadata={"topic": "milk" if number % 2 else "tea"})


def finish(world: World) -> None:
    while world.services.bulk_worker.turn():
        world.clock.advance(1)


def job_of(world: World, id_: str) -> BulkJob:
    job = world.services.bulk.job("default", id_)
    assert job is not None
    return job


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request has no time, and a step is two rows."""
    monkeypatch.setattr(delete_matching, "ERASE_IN_REQUEST_S", -1.0)
    monkeypatch.setattr(removal, "STEP", 2)


def test_a_small_delete_is_done_when_it_is_answered(world: World) -> None:
    drink(world, 5)
    drink(world, 2, BOB)
    deleted = world.services.changes.delete_matching(OF_ALICE)
    assert deleted.deleted == 3
    assert world.texts() == ["said 3", "said 1"]
    assert world.texts(BOB) == ["said 1", "said 0"]
    job = job_of(world, deleted.event_id)
    assert (job.kind, job.state, job.done, job.total) == (BulkKind.DELETE, JobState.SUCCEEDED, 3, 3)
    assert job.due_at is not None, "its record has an end"
    messages, _ = world.ledger.scope_messages("default", {"user_id": "alice"}, limit=9)
    assert {message.content for message in messages} == {"said 1", "said 3"}


@pytest.mark.usefixtures("slow")
def test_a_larger_one_goes_on_as_a_job_that_judges_each_memory_when_its_portion_comes(world: World) -> None:
    drink(world, 7)
    deleted = world.services.changes.delete_matching(OF_ALICE)
    assert deleted.deleted == 1
    assert world.texts() == [f"said {number}" for number in (5, 4, 3, 2, 1, 0)]
    job = job_of(world, deleted.event_id)
    assert (job.state, job.done, job.request["filters"]) == (JobState.PENDING, 1, TEA)
    four, three = (memory.id for memory in world.ledger.list_memories("default", {}, limit=3).items[1:])
    world.services.changes.update(UpdateRequest("default", four, metadata={"topic": "milk"}))
    world.services.changes.update(UpdateRequest("default", three, metadata={"topic": "tea"}))
    world.say("new", metadata={"topic": "tea"})
    finish(world)
    assert world.texts() == ["new", "said 5", "said 4", "said 1"]
    job = job_of(world, deleted.event_id)
    assert (job.state, job.done, job.total) == (JobState.SUCCEEDED, 4, 4)
    assert set(job.request) == {"owners"}, "nothing of the filter stays, and no id"
    assert "alice" not in str(job.request)
    assert world.index.count() == 4


@pytest.mark.usefixtures("slow")
def test_a_tenant_has_a_bounded_number_of_deletes_that_have_not_ended(world: World) -> None:
    drink(world, 7)
    begin = world.services.changes.delete_matching
    nothing = replace(OF_ALICE, filters={"metadata": {"topic": "water"}})
    jobs = [begin(nothing).event_id for _ in range(MOST_OPEN_DELETES)]
    for services in (world.services, world.services.limited_to(only("alice"))):
        with pytest.raises(TooManyJobsError, match="20 deletes by filter have not ended") as refused:
            services.changes.delete_matching(OF_ALICE)
    assert refused.value.retry_after == 30
    assert len(world.texts()) == 7, "nothing was deleted"
    assert begin(replace(nothing, tenant="other")).deleted == 0
    world.services.bulk.cancel("default", jobs[0])
    assert job_of(world, begin(OF_ALICE).event_id).kind is BulkKind.DELETE
    with pytest.raises(TooManyJobsError):
        begin(OF_ALICE)
    finish(world)
    assert begin(OF_ALICE).deleted == 0
    assert world.texts() == ["said 5", "said 3", "said 1"]


def test_deletes_that_end_in_their_request_are_not_counted(world: World) -> None:
    drink(world, 2)
    for _ in range(MOST_OPEN_DELETES + 1):
        world.services.changes.delete_matching(OF_ALICE)
    assert world.texts() == ["said 1"]


def test_a_request_looks_at_a_bounded_number_of_memories(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "STEP", 2)
    monkeypatch.setattr(delete_matching, "STEP", 2)
    monkeypatch.setattr(delete_matching, "SCANNED_ROWS", 4)
    drink(world, 8)
    deleted = world.services.changes.delete_matching(OF_ALICE)
    assert deleted.deleted == 2
    finish(world)
    assert world.texts() == ["said 7", "said 5", "said 3", "said 1"]


@pytest.mark.parametrize("announced", [False, True])
def test_a_step_ends_when_its_filter_has_cost_enough_and_the_next_goes_on_there(
    world: World, monkeypatch: pytest.MonkeyPatch, announced: bool
) -> None:
    if announced:  # they are held, and judged once more before they are removed
        make(world).hook(event_types=("memory_delete",))
    drink(world, 9)
    judged: list[str] = []
    real = Matcher.__call__

    def judge(matcher: Matcher, memory: Memory) -> bool:
        judged.append(memory.id)
        return real(matcher, memory)

    monkeypatch.setattr(Matcher, "__call__", judge)
    monkeypatch.setattr(delete_matching, "ERASE_IN_REQUEST_S", -1.0)
    monkeypatch.setattr("forgetless.domain.filters.evaluate.MOST_FILTER_STEPS", 7)
    deleted = world.services.changes.delete_matching(OF_ALICE)
    assert len(judged) < 9, "one step in the request"
    finish(world)
    left = world.ledger.list_memories("default", {}, limit=9).items  # a list's filter would have cost enough, too
    assert [memory.text for memory in left] == ["said 7", "said 5", "said 3", "said 1"]
    assert job_of(world, deleted.event_id).state is JobState.SUCCEEDED


@pytest.mark.usefixtures("slow")
def test_ids_in_the_filter_and_any_value_of_an_id_count(world: World) -> None:
    drink(world, 4)
    drink(world, 4, replace(BOB, run_id="r"))
    in_filter = FilteredDelete("default", {}, (), {"AND": [{"user_id": "alice"}, TEA]})
    counting = CountingLedger(world.ledger)
    services = Services(replace(world.services._ports, ledger=counting))  # type: ignore[arg-type]
    services.changes.delete_matching(in_filter)
    while services.bulk_worker.turn():
        pass
    assert counting.rows["list_memories"] == 4, "bob's are not read"
    assert world.texts() == ["said 3", "said 1"]
    world.services.changes.delete_matching(FilteredDelete("default", {}, ("run_id",), TEA))
    finish(world)
    assert world.texts(BOB) == ["said 3", "said 1"]


@pytest.mark.usefixtures("slow")
def test_a_limited_key_deletes_and_sees_only_what_is_its_own(world: World) -> None:
    shared = {name: replace(Scope("default", user_id=name), agent_id="bot") for name in ("alice", "bob", "cid")}
    for scope in shared.values():
        drink(world, 3, scope)
    asked = FilteredDelete("default", {"agent_id": "bot"}, (), TEA)
    deleted = world.services.limited_to(only("alice", "cid")).changes.delete_matching(asked)
    finish(world)
    assert {name: len(world.texts(scope)) for name, scope in shared.items()} == {"alice": 1, "bob": 3, "cid": 1}
    seen = {
        users: world.services.limited_to(only(*users)).bulk.job("default", deleted.event_id) is not None
        for users in (("alice", "cid"), ("alice", "cid", "bob"), ("alice",), ("bob",))
    }
    assert seen == {("alice", "cid"): True, ("alice", "cid", "bob"): True, ("alice",): False, ("bob",): False}
    assert [job.id for job in world.services.limited_to(only("cid", "alice")).bulk.jobs("default", limit=9)[0]] == [
        deleted.event_id
    ]


@pytest.mark.usefixtures("slow")
def test_it_can_be_cancelled_and_what_it_has_done_stays_done(world: World) -> None:
    drink(world, 7)
    deleted = world.services.changes.delete_matching(OF_ALICE)
    cancelled = world.services.bulk.cancel("default", deleted.event_id)
    assert (cancelled.state, cancelled.error) == (JobState.FAILED, "cancelled")
    assert "filters" not in cancelled.request
    finish(world)
    assert len(world.texts()) == 6
    erased = world.services.changes.reset("default")
    with pytest.raises(ConflictError):
        world.services.bulk.cancel("default", erased.event_id)


def cancel_after(world: World, monkeypatch: pytest.MonkeyPatch, transactions: int) -> None:
    """Cancel every open bulk job when so many transactions more have deleted something."""
    append = world.ledger.append
    done: list[int] = []

    def append_and_cancel(*arguments: Any, **named: Any) -> None:
        append(*arguments, **named)
        done.append(1)
        if len(done) == transactions:
            for job in world.services.bulk.jobs("default", limit=9)[0]:
                world.services.bulk.cancel("default", job.id)

    monkeypatch.setattr(world.ledger, "append", append_and_cancel)


@pytest.mark.parametrize("held", [False, True], ids=["as found", "held for webhooks"])
@pytest.mark.parametrize("transactions", [1, 2, 3])
def test_a_portion_stops_within_a_step_of_the_cancel_and_counts_what_it_has_done(
    world: World, monkeypatch: pytest.MonkeyPatch, slow: None, transactions: int, held: bool
) -> None:
    del slow
    if held:
        make(world).hook(event_types=("memory_delete",))
        monkeypatch.setattr(removal, "MOST_ANNOUNCED", 5 if transactions == 1 else 10)
    for number in range(18):
        world.say(f"said {number}", metadata={"topic": "tea"})
    deleted = world.services.changes.delete_matching(OF_ALICE)
    assert deleted.deleted == (0 if held else 2)
    cancel_after(world, monkeypatch, transactions)
    finish(world)
    left = len(world.texts())
    assert left == 18 - deleted.deleted - 2 * transactions
    job = job_of(world, deleted.event_id)
    assert (job.state, job.error, job.done, job.done_at_least) == (JobState.FAILED, "cancelled", 18 - left, False)


def test_a_cancel_after_the_last_step_leaves_the_whole_count(
    world: World, monkeypatch: pytest.MonkeyPatch, slow: None
) -> None:
    del slow
    drink(world, 6)
    deleted = world.services.changes.delete_matching(OF_ALICE)

    def scrub_and_cancel(**_: float) -> bool:
        world.services.bulk.cancel("default", deleted.event_id)
        return True

    monkeypatch.setattr(world.ledger, "scrub_erased", scrub_and_cancel)
    finish(world)
    job = job_of(world, deleted.event_id)
    assert (job.state, job.error, job.done) == (JobState.FAILED, "cancelled", 3)


def test_an_error_in_the_midst_of_what_is_held_loses_no_count(
    world: World, monkeypatch: pytest.MonkeyPatch, slow: None
) -> None:
    del slow
    make(world).hook(event_types=("memory_delete",))
    drink(world, 11)
    deleted = world.services.changes.delete_matching(OF_ALICE)
    append, done = world.ledger.append, []

    def second_fails(*arguments: Any, **named: Any) -> None:
        done.append(1)
        if len(done) == 2:
            raise LedgerError("out")
        append(*arguments, **named)

    monkeypatch.setattr(world.ledger, "append", second_fails)
    finish(world)
    job = job_of(world, deleted.event_id)
    assert (job.state, job.done, job.total, job.done_at_least) == (JobState.SUCCEEDED, 6, 6, False)


def test_what_fails_in_the_request_is_left_to_the_job(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    drink(world, 3)

    def fail(*_: Any, **__: Any) -> Any:
        raise LedgerError("out")

    with monkeypatch.context() as broken:
        broken.setattr(world.ledger, "append", fail)
        deleted = world.services.changes.delete_matching(OF_ALICE)
        assert deleted.deleted == 0
        broken.setattr(world.ledger, "put_document", fail)
        with pytest.raises(LedgerError):
            world.services.changes.delete_matching(OF_ALICE)
    finish(world)
    assert world.texts() == ["said 1"]
    assert job_of(world, deleted.event_id).done == 2


@pytest.mark.parametrize("whole", [True, False], ids=["scope", "filter"])
def test_a_job_ends_only_when_the_file_has_lost_the_text_as_well(
    world: World, monkeypatch: pytest.MonkeyPatch, slow: None, whole: bool
) -> None:
    del slow
    monkeypatch.setattr("forgetless.service.jobs.erase.ERASE_IN_REQUEST_S", -1.0)
    drink(world, 5)
    changes = world.services.changes
    begun = changes.delete_scope("default", {"user_id": "alice"}) if whole else changes.delete_matching(OF_ALICE)
    removed = 5 if whole else 3
    answers = [False, False, True]
    monkeypatch.setattr(world.ledger, "scrub_erased", lambda **_: answers.pop(0))
    finish(world)
    held = job_of(world, begun.event_id)
    assert (held.state, held.done, len(answers)) == (JobState.PENDING, removed, 1)
    assert held.error is not None
    assert "log" in held.error
    assert len(world.texts()) == 5 - removed
    world.clock.advance(600)
    finish(world)
    job = job_of(world, begun.event_id)
    assert (job.state, job.done, job.total, answers) == (JobState.SUCCEEDED, removed, removed, [])


@pytest.mark.parametrize("whole", [True, False], ids=["scope", "filter"])
def test_what_a_request_has_removed_succeeds_only_when_the_file_has_lost_the_text_as_well(
    world: World, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    answers: list[float] = []

    def scrub(*, patience_s: float = 2.0) -> bool:
        answers.append(patience_s)
        return len(answers) > 1

    monkeypatch.setattr(world.ledger, "scrub_erased", scrub)
    drink(world, 5)
    changes = world.services.changes
    begun = changes.delete_scope("default", {"user_id": "alice"}) if whole else changes.delete_matching(OF_ALICE)
    removed = 5 if whole else 3
    assert (begun.deleted, answers) == (removed, [ERASE_IN_REQUEST_S])
    held = job_of(world, begun.event_id)
    assert (held.state, held.done) == (JobState.PENDING, removed)
    finish(world)
    job = job_of(world, begun.event_id)
    assert (job.state, job.done, answers) == (JobState.SUCCEEDED, removed, [ERASE_IN_REQUEST_S, 2.0])
    assert job.counts == ({"messages": 5} if whole else {})


def test_the_file_has_lost_the_text_when_the_event_of_a_request_has_succeeded(world: World, tmp_path: Path) -> None:
    drink(world, 5)
    assert files_holding(tmp_path / "0", "said 3")
    begun = world.services.changes.delete_scope("default", {"user_id": "alice"})
    assert job_of(world, begun.event_id).state is JobState.SUCCEEDED
    assert files_holding(tmp_path / "0", "said 3") == []


def test_linked_deletes_follow_the_links(new_world: Callable[..., World]) -> None:
    replies = [facts("lives in Rome"), *(facts({"text": f"lives in {city}", "supersedes": [1]}) for city in "ABC")]
    world = new_world(lambda _: replies.pop(0))
    said = [world.say(f"I moved {number}", infer=True).results for number in range(4)]
    newest = next(one.id for one in said[-1] if one.event == "ADD")
    drink(world, 3)
    changes = world.services.changes
    with pytest.raises(InvalidRequestError, match=r"superseded 3 others or more.*at most 3 memories"):
        changes.delete_linked("default", newest, most=3)
    with pytest.raises(PreconditionFailedError):
        changes.delete_linked("default", newest, most=4, expected_versions=frozenset({9}))
    assert len(world.texts()) == 4
    assert changes.delete_linked("default", newest, most=4, expected_versions=frozenset({1})) == 3
    found = world.ledger.list_memories("default", {}, limit=99, superseded=True).items
    assert [memory.text for memory in found] == ["said 2", "said 1", "said 0"]
    with pytest.raises(NotFoundError):
        changes.delete_linked("default", newest, most=4)


def test_a_linked_delete_whose_memory_is_changed_meanwhile_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (added,) = world.say("one").results
    append = world.ledger.append

    def overtaken(*arguments: Any, **named: Any) -> None:
        monkeypatch.setattr(world.ledger, "append", append)
        world.services.changes.update(UpdateRequest("default", added.id, metadata={"k": 1}))
        append(*arguments, **named)

    monkeypatch.setattr(world.ledger, "append", overtaken)
    with pytest.raises(PreconditionFailedError):
        world.services.changes.delete_linked("default", added.id, most=9, expected_versions=frozenset({1}))
    assert world.texts() == ["one"]
    assert world.services.changes.delete_linked("default", added.id, most=9) == 0


@pytest.mark.parametrize("count", [10, 200, 450])
def test_many_deletes_are_few_calls(world: World, count: int) -> None:
    ids = [one.id for start in range(0, count, 50) for one in world.say(*map(str, range(min(50, count)))).results]
    counting = CountingLedger(world.ledger)
    services = Services(replace(world.services._ports, ledger=counting))  # type: ignore[arg-type]
    assert services.changes.delete_many("default", [*ids, "unknown", ids[0]]) == count
    portions = -(-count // 200)
    calls = {name: counting.calls[name] for name in ("append", "mark_indexed", "read")}
    assert calls == {"append": portions, "mark_indexed": portions, "read": portions}
    assert sum(counting.calls.values()) <= 4 + 4 * portions, counting.calls
    assert world.texts() == []
