"""A reindex as bulk jobs: in ranges, resumed where it stopped, and without the rows that embedder or index refuse."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from forgetless.domain.bulk_jobs import MOST_RANGES, BulkKind
from forgetless.domain.errors import (
    DependencyError,
    EmbedderError,
    InvalidRequestError,
    LedgerError,
    ProviderAuthError,
    ProviderRequestError,
)
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.ports.index import IndexRow
from forgetless.service.jobs import reindex_all, reindex_job
from forgetless.service.requests import UpdateRequest
from tests.unit.service.world import ALICE, World, newest

OTHER = Scope("other", user_id="bob")


class KilledError(BaseException):
    """Not an Exception: nothing in the service may catch it."""


def fill(world: World, number: int, *, scope: Scope = ALICE) -> None:
    world.say(*(f"fact {number} of {scope.tenant}" for number in range(number)), scope=scope)


def refuse(world: World, monkeypatch: pytest.MonkeyPatch, word: str, error: Exception) -> None:
    embed = world.embedder.embed

    def picky(texts: Sequence[str], *rest: object, **options: object) -> list[list[float]]:
        if any(word in text for text in texts):
            raise error
        return embed(texts, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(world.embedder, "embed", picky)


def counted(world: World) -> list[int]:
    """Every number that a whole run told."""
    told: list[int] = []
    world.services.reindex_all.begin()
    world.services.reindex_all.finish(told.append)
    return told


def test_a_job_makes_the_index_of_its_tenant_whole_and_touches_no_other(world: World) -> None:
    fill(world, 12)
    fill(world, 3, scope=OTHER)
    world.index.drop_all()
    job = world.services.bulk.start("default", BulkKind.REINDEX, {})
    while world.services.bulk_worker.turn():
        pass
    done = world.services.bulk.job("default", job.id)
    assert done is not None
    assert (done.state, done.done, done.set_aside) == (JobState.SUCCEEDED, 12, 0)
    assert (world.index.count("default"), world.index.count("other")) == (12, 0)


def test_a_right_row_is_neither_written_again_nor_missing_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(world, 5)
    monkeypatch.setattr(world.index, "insert", lambda _rows: pytest.fail("every row is there already"))
    assert counted(world)[-1] == 5


@pytest.mark.parametrize("large", [False, True])
def test_all_tenants_are_done_the_large_ones_in_ranges_side_by_side(
    world: World, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(reindex_all, "_SMALL", 10 if large else 100)
    monkeypatch.setattr(reindex_job, "PAGE", 5)
    fill(world, 30)
    fill(world, 3, scope=OTHER)
    world.index.drop_all()
    told = counted(world)
    assert told[-1] == 33
    assert (world.index.count("default"), world.index.count("other")) == (30, 3)
    jobs = [world.services.bulk.jobs(tenant, limit=9)[0] for tenant in ("default", "other")]
    assert [len(found) for found in jobs] == [MOST_RANGES if large else 1, 1]
    assert {job.state for found in jobs for job in found} == {JobState.SUCCEEDED}
    assert world.ledger.document(*reindex_all._RUN) is None, "the next run is a new one"


def test_a_killed_run_goes_on_where_it_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindex_job, "PAGE", 2)
    monkeypatch.setattr(reindex_job, "_MOST_PAGES", 1)
    fill(world, 20)
    world.index.drop_all()
    insert, written = world.index.insert, []

    def once(rows: Sequence[IndexRow]) -> None:
        if len(written) == 3:
            raise KilledError
        written.append(rows)
        insert(rows)

    with monkeypatch.context() as patch:
        patch.setattr(world.index, "insert", once)
        with pytest.raises(KilledError):
            counted(world)
    first = world.index.count()
    assert 0 < first < 20
    world.embedder.calls.clear()
    world.services.reindex_all.begin()
    done = world.services.reindex_all.finish(lambda _done: None)
    assert done.done == 20 - first
    assert world.index.count() == len({row.memory.id for row in world.index._rows}) == 20
    assert sum(len(texts) for texts, _ in world.embedder.calls) <= 3 * (20 - first), "what was done is not done again"


@pytest.mark.parametrize("changed", [False, True])
def test_no_row_stays_of_what_was_deleted_while_the_ledger_was_away(
    world: World, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    fill(world, 1)
    gone = newest(world.services, {}, limit=1)[0]
    if changed:
        world.services.changes.update(UpdateRequest("default", gone.id, text="changed"))
    world.index.drop_all()
    mark = world.ledger.mark_indexed

    def away(*_arguments: object, **_named: object) -> list[Memory]:
        monkeypatch.setattr(world.ledger, "mark_indexed", mark)
        raise LedgerError("the ledger was locked for 10 s")

    def deleted_meanwhile() -> None:
        world.services.changes.delete("default", gone.id)
        monkeypatch.setattr(world.ledger, "mark_indexed", away)

    world.index.before_insert = deleted_meanwhile
    job = world.services.bulk.start("default", BulkKind.REINDEX, {})
    while not world.services.bulk.job("default", job.id).finished:  # type: ignore[union-attr]
        world.services.bulk_worker.turn()
        world.clock.advance(60)
    assert world.ledger.mark_indexed == mark, "it was away once"
    assert (world.index.count(), world.index.past.count()) == (0, 0)


def test_a_cancel_ends_a_portion_after_its_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindex_job, "PAGE", 5)
    fill(world, 120)  # ids are random, and a quarter of them is in a range
    world.index.drop_all()
    job = world.services.bulk.start("default", BulkKind.REINDEX, {"range": 0})
    world.index.before_insert = lambda: world.services.bulk.cancel("default", job.id) and None
    while world.services.bulk_worker.turn():
        pass
    ended = world.services.bulk.job("default", job.id)
    assert ended is not None
    assert (ended.error, ended.done, world.index.count()) == ("cancelled", 5, 5)


def test_a_run_anew_ends_the_jobs_of_the_one_before(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(world, 3)
    world.embedder.failure = EmbedderError("the embedder is down")
    world.services.reindex_all.begin()
    with pytest.raises(DependencyError, match="the embedder is down"):
        world.services.reindex_all.finish(lambda _done: None)
    world.embedder.failure = None
    world.services.reindex_all.begin(afresh=True)
    assert world.services.reindex_all.finish(lambda _done: None).done == 3
    states = [(job.state, job.cancelled) for job in world.services.bulk.jobs("default", limit=9)[0]]
    assert sorted(states) == [(JobState.FAILED, True), (JobState.SUCCEEDED, False)]


def test_a_job_that_was_cancelled_ends_the_run(world: World) -> None:
    fill(world, 3)
    world.embedder.failure = EmbedderError("the embedder is down")
    world.services.reindex_all.begin()
    with pytest.raises(DependencyError, match="the embedder is down"):
        world.services.reindex_all.finish(lambda _done: None)
    (job,) = world.services.bulk.jobs("default", limit=9)[0]
    world.services.bulk.cancel("default", job.id)
    world.embedder.failure = None
    with pytest.raises(DependencyError, match="ended: cancelled"):
        world.services.reindex_all.finish(lambda _done: None)
    assert counted(world)[-1] == 3, "the next run begins from the start"


def test_a_row_that_the_embedder_refuses_is_set_aside_and_all_others_are_indexed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    fill(world, 9)
    world.say("poison", scope=Scope("default", user_id="eve"))
    world.index.drop_all()
    world.embedder.refuses = lambda text: "poison" in text
    job = world.services.bulk.start("default", BulkKind.REINDEX, {})
    while world.services.bulk_worker.turn():
        pass
    done = world.services.bulk.job("default", job.id)
    assert done is not None
    assert (done.state, done.done, done.set_aside) == (JobState.SUCCEEDED, 10, 1)
    assert world.index.count() == 10, "the refused one has a row with its words"
    (told,) = [record for record in caplog.records if record.message == "a memory cannot be indexed"]
    assert "no vector for 1 texts" in told.__dict__["reason"]
    assert "poison" not in str(told.__dict__)
    assert [memory.text for memory in world.ledger.unindexed(before="9999-12-31", limit=9)] == ["poison"]
    world.services.sweep.index_pending()
    assert [one.reason for one in world.ledger.set_aside("default", limit=9)] == [told.__dict__["reason"]]


@pytest.mark.parametrize(
    "error",
    [ProviderRequestError("no such model", status=404), ProviderAuthError("wrong key"), EmbedderError("down")],
)
def test_an_error_that_is_not_the_rows_fault_holds_the_job_and_keeps_what_was_done(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(reindex_job, "PAGE", 1)
    fill(world, 8)
    world.index.drop_all()
    embed, calls = world.embedder.embed, iter(range(100))

    def three_times(*arguments: object, **options: object) -> list[list[float]]:
        if next(calls) >= 3:
            raise error
        return embed(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(world.embedder, "embed", three_times)
        job = world.services.bulk.start("default", BulkKind.REINDEX, {})
        world.services.bulk_worker.turn()
        so_far = world.services.bulk.job("default", job.id)
        assert so_far is not None
        assert (so_far.state, so_far.error, so_far.set_aside) == (JobState.RUNNING, None, 0)
        assert so_far.done == world.index.count() == 3
        world.services.bulk_worker.turn()
        held = world.services.bulk.job("default", job.id)
        assert held is not None
        assert (held.state, held.error, held.done) == (JobState.PENDING, str(error), so_far.done)
    world.clock.advance(600)
    while world.services.bulk_worker.turn():
        pass
    assert world.index.count() == 8


@pytest.mark.parametrize("number", [-1, 4, "1"])
def test_a_range_that_does_not_exist_ends_the_job_at_once(world: World, number: object) -> None:
    with pytest.raises(InvalidRequestError, match="0 to 3"):
        reindex_job._first_range(world.services.bulk.start("default", BulkKind.REINDEX, {"range": number}))


def test_after_an_error_no_further_portion_is_begun(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        fill(world, 2, scope=Scope(f"tenant-{number}", user_id="x"))
    calls: list[str] = []

    def refresh(memories: Sequence[Memory], **_: object) -> object:
        calls.append(memories[0].scope.tenant if memories else "")
        raise EmbedderError("the embedder is down")

    monkeypatch.setattr(world.services.sweep._reindexer, "refresh", refresh)
    world.services.reindex_all.begin()
    with pytest.raises(DependencyError, match="the embedder is down"):
        world.services.reindex_all.finish(lambda _done: None)
    assert len(calls) <= 3 * MOST_RANGES, "each thread may have begun a portion before it heard of the first error"
