"""Bulk jobs: portions asked for by messages, of which only the current one counts; nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.bulk_jobs import BulkJob, BulkKind, Progress
from forgetless.domain.errors import (
    ConflictError,
    EmbedderError,
    InvalidRequestError,
    NotFoundError,
    QueueError,
)
from forgetless.domain.jobs import JobState
from forgetless.domain.limits import MOST_ATTEMPTS
from forgetless.domain.times import later
from forgetless.ports.ledger import Ledger
from forgetless.service.jobs.bulk import LOST_AFTER_S, BulkService
from tests.fakes.bulk_queue import MemoryBulkQueue
from tests.fakes.clock import FakeClock

SECONDS = 20.0


class WorkerDiedError(BaseException):
    """Not an Exception: nothing in the service may catch it."""


@dataclass
class Count:
    """Work that counts to the request's `to` in steps of ten; `numbers` holds what it has counted, in order."""

    numbers: list[int] = field(default_factory=list)
    before: Callable[[BulkJob], None] = lambda _job: None

    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        self.before(job)
        begin = int((job.cursor or {}).get("at", 0))
        end = min(begin + 10, int(job.request["to"]))
        self.numbers += range(begin, end)
        return Progress({"at": end} if end < job.request["to"] else None, end, job.request["to"])


@dataclass
class Place:
    """One ledger with a queue and a worker."""

    ledger: Ledger
    clock: FakeClock = field(default_factory=FakeClock)
    work: Count = field(default_factory=Count)
    queued: bool = True

    def __post_init__(self) -> None:
        self.queue = MemoryBulkQueue(self.clock)
        self.bulk = BulkService(
            ledger=self.ledger,
            queue=self.queue if self.queued else None,
            clock=self.clock,
            works=dict.fromkeys(BulkKind, self.work),
        )

    def start(self, to: int = 25, *, tenant: str = "acme", kind: BulkKind = BulkKind.RETENTION) -> BulkJob:
        self.clock.advance(1)
        return self.bulk.start(tenant, kind, {"to": to}, total=to)

    def step(self) -> bool:
        """Do what the next visible message asks for; False when there is none."""
        message = self.queue.receive()
        if message is None:
            return False
        self.bulk.run(message.tenant, message.job_id, message.version, seconds=SECONDS, waits=message.waits)
        self.queue.delete(message.receipt)
        return True

    def work_off(self) -> int:
        return sum(1 for _ in iter(self.step, False))

    def sweep(self) -> int:
        due = self.ledger.due_documents("bulk-job", now=self.clock.now(), limit=100)
        return sum(self.bulk.send_again(BulkJob.of(document)) for document in due)

    def now(self, job: BulkJob) -> BulkJob:
        found = self.bulk.job(job.tenant, job.id)
        assert found is not None
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    yield Place(ledger)
    ledger.close()


def test_a_job_is_done_in_portions_and_says_how_far_it_is(place: Place) -> None:
    job = place.start(25)
    assert (job.state, job.done, job.total) == (JobState.PENDING, 0, 25)
    place.step()
    half = place.now(job)
    assert (half.state, half.done, half.cursor, half.finished) == (JobState.RUNNING, 10, {"at": 10}, False)
    assert half.started_at
    assert place.work_off() == 2
    done = place.now(job)
    assert (done.state, done.done, done.cursor, done.error) == (JobState.SUCCEEDED, 25, None, None)
    assert done.completed_at
    assert place.work.numbers == list(range(25))
    assert len(place.queue) == 0


def test_a_record_survives_the_way_to_a_document_and_back(place: Place) -> None:
    job = place.start()
    place.step()
    assert BulkJob.of(place.now(job).document()) == place.now(job)


def test_starting_a_job_again_under_its_id_changes_nothing(place: Place) -> None:
    first = place.bulk.start("acme", BulkKind.RETENTION, {"to": 5}, job_id="one")
    place.work_off()
    again = place.bulk.start("acme", BulkKind.RETENTION, {"to": 9}, job_id="one")
    assert (again.id, again.state, again.done) == (first.id, JobState.SUCCEEDED, 5)
    assert place.queue.sent == 1


def test_a_message_that_is_not_current_is_dropped_and_sends_nothing(place: Place) -> None:
    job = place.start(25)
    place.step()
    sent = place.queue.sent
    place.bulk.run("acme", job.id, job.version, seconds=SECONDS)
    place.bulk.run("acme", "no such job", 1, seconds=SECONDS)
    assert (place.queue.sent, place.work.numbers) == (sent, list(range(10)))
    place.work_off()
    place.bulk.run("acme", job.id, place.now(job).version, seconds=SECONDS)
    assert place.work.numbers == list(range(25))


def test_a_lost_message_is_sent_again_when_the_job_is_due_and_not_before(place: Place) -> None:
    job = place.start(25)
    place.step()
    place.queue.purge()
    assert place.sweep() == 0
    place.clock.advance(LOST_AFTER_S + 1)
    assert [place.sweep(), place.sweep()] == [1, 0]
    place.work_off()
    assert (place.now(job).state, place.work.numbers) == (JobState.SUCCEEDED, list(range(25)))


def test_a_message_that_arrives_after_it_was_taken_for_lost_is_dropped(place: Place) -> None:
    job = place.start(25)
    place.clock.advance(LOST_AFTER_S + 1)
    place.sweep()
    assert len(place.queue) == 2
    place.work_off()
    assert place.work.numbers == list(range(25))
    assert place.now(job).state is JobState.SUCCEEDED


def test_a_queue_that_is_down_delays_and_loses_nothing(place: Place) -> None:
    place.queue.failure = QueueError("down")
    job = place.start(25)
    assert place.now(job).state is JobState.PENDING
    place.queue.failure = None
    place.clock.advance(LOST_AFTER_S + 1)
    place.sweep()
    place.work_off()
    assert place.now(job).state is JobState.SUCCEEDED


def test_a_worker_that_dies_is_followed_by_another_which_does_its_portion_again(place: Place) -> None:
    def die(job: BulkJob) -> None:
        if job.done == 10 and not deaths:
            deaths.append(job.version)
            raise WorkerDiedError

    deaths: list[int] = []
    place.work.before = die
    job = place.start(25)
    place.step()
    with pytest.raises(WorkerDiedError):
        place.step()
    # As if it had been killed: the lease stays. The message comes back while the lease is held, and is dropped.
    lane = f"bulk {job.lane} acme"
    now = place.clock.now()
    assert place.ledger.acquire_lease(lane, owner="the dead one", now=now, until=later(now, 60))
    assert place.queue.return_all() == 1
    place.work_off()
    assert place.work.numbers == list(range(10))
    place.clock.advance(SECONDS + LOST_AFTER_S + 1)
    place.sweep()
    place.work_off()
    assert (place.now(job).state, place.work.numbers) == (JobState.SUCCEEDED, list(range(25)))


def test_after_a_worker_is_stopped_its_message_goes_on_at_once(place: Place) -> None:
    def stop(job: BulkJob) -> None:
        if job.done == 10 and not stops:
            stops.append(job.version)
            raise SystemExit

    stops: list[int] = []
    place.work.before = stop
    job = place.start(25)
    place.step()
    with pytest.raises(SystemExit):
        place.step()
    assert place.now(job).state is JobState.RUNNING
    assert place.queue.return_all() == 1
    place.work_off()
    assert (place.now(job).state, place.work.numbers) == (JobState.SUCCEEDED, list(range(25)))


def test_a_job_that_outlives_all_its_workers_is_given_up_unless_it_erases(place: Place) -> None:
    def die(_job: BulkJob) -> None:
        raise WorkerDiedError

    place.work.before = die
    doomed, erasure = place.start(), place.start(kind=BulkKind.ERASE, tenant="other")
    for _ in range(MOST_ATTEMPTS):
        for job in (doomed, erasure):
            with pytest.raises(WorkerDiedError):
                place.bulk.run(job.tenant, job.id, place.now(job).version, seconds=SECONDS)
        place.clock.advance(SECONDS + LOST_AFTER_S + 1)
    place.bulk.run("acme", doomed.id, place.now(doomed).version, seconds=SECONDS)
    reason = f"worker_lost: no worker finished a portion in {MOST_ATTEMPTS} attempts"
    assert (place.now(doomed).state, place.now(doomed).error) == (JobState.FAILED, reason)
    place.work.before = lambda _job: None
    place.sweep()
    place.work_off()
    assert place.now(erasure).state is JobState.SUCCEEDED


def test_what_we_depend_on_holds_a_job_and_never_ends_it(place: Place) -> None:
    def fail(_job: BulkJob) -> None:
        raise EmbedderError("the embedder does not answer")

    place.work.before = fail
    job = place.start(25)
    waited = []
    for _ in range(3 * MOST_ATTEMPTS):
        before = place.queue.sent
        place.step()
        held = place.now(job)
        assert (held.state, held.error, held.attempts) == (JobState.PENDING, "the embedder does not answer", 0)
        assert (place.queue.sent - before, place.step()) == (1, False), "it is sent again with a delay"
        begin = place.clock.monotonic()
        while not place.step():
            place.clock.advance(5)
        waited.append(place.clock.monotonic() - begin)
        place.clock.advance(301)
    assert waited[0] < waited[-1] <= 305
    place.work.before = lambda _job: None
    place.work_off()
    done = place.now(job)
    assert (done.state, done.error, done.failures) == (JobState.SUCCEEDED, None, 0)


@pytest.mark.parametrize(
    ("error", "tries", "reason"),
    [
        (InvalidRequestError("request.to is wrong"), 1, "request.to is wrong"),
        (KeyError("secret"), 5, "internal_error: KeyError"),
    ],
)
def test_a_job_that_would_fail_in_the_same_way_again_ends_with_the_reason(
    place: Place, error: Exception, tries: int, reason: str
) -> None:
    def fail(_job: BulkJob) -> None:
        tried.append(1)
        raise error

    tried: list[int] = []
    place.work.before = fail
    job, erasure = place.start(25), place.start(25, tenant="other", kind=BulkKind.ERASE)
    for _ in range(30):
        place.work_off()
        place.clock.advance(301)
    assert (place.now(job).state, place.now(job).error) == (JobState.FAILED, reason)
    assert place.now(erasure).state is JobState.PENDING, "an erasure must be done in the end"
    assert len(tried) - 30 <= tries + 1


def test_the_jobs_of_a_tenant_take_turns_and_those_of_others_do_not_wait(place: Place) -> None:
    def others(job: BulkJob) -> None:
        if job.id == first.id and not seen:
            seen.append("began")
            place.step()
            place.step()

    seen: list[str] = []
    first = place.start(10)
    second, other = place.start(10), place.start(10, tenant="other")
    place.work.before = others
    place.step()
    assert [place.now(job).state for job in (first, second, other)] == [
        JobState.SUCCEEDED,
        JobState.PENDING,
        JobState.SUCCEEDED,
    ]
    assert place.step() is False, "the message that found the lease taken waits"
    place.clock.advance(60)
    place.work_off()
    assert place.now(second).state is JobState.SUCCEEDED


def test_ranges_of_a_reindex_run_side_by_side_and_beside_another_job(place: Place) -> None:
    def nested(job: BulkJob) -> None:
        if job.id not in inside:
            inside.append(job.id)
            place.step()

    inside: list[str] = []
    place.work.before = nested
    for number in range(5):
        place.bulk.start("acme", BulkKind.REINDEX, {"to": 5, "range": number})
    place.start(5)
    place.step()
    # The fifth range shares the lane of the first one, so its message waits, and ends the nesting of calls.
    assert len(inside) == 4
    place.work.before = lambda _job: None
    place.clock.advance(60)
    place.work_off()
    assert {job.state for job in place.bulk.jobs("acme", limit=9)[0]} == {JobState.SUCCEEDED}


@pytest.mark.parametrize("kind", [BulkKind.RETENTION, BulkKind.REINDEX])
def test_a_cancelled_job_has_failed_and_its_worker_only_adds_what_it_has_done(place: Place, kind: BulkKind) -> None:
    def cancel(job: BulkJob) -> None:
        cancelled.append(place.bulk.cancel("acme", job.id))

    cancelled: list[BulkJob] = []
    job = place.start(25, kind=kind)
    place.step()
    place.work.before = cancel
    place.step()
    ended = place.now(job)
    assert (ended.state, ended.error, ended.cancelled, ended.done) == (JobState.FAILED, "cancelled", True, 20)
    assert (ended.cursor, ended.completed_at, ended.due_at) == (None, cancelled[0].completed_at, cancelled[0].due_at)
    removes = kind is BulkKind.RETENTION
    assert (cancelled[0].done, cancelled[0].done_at_least, ended.done_at_least) == (10, removes, False)
    assert len(place.queue) == 0
    assert place.bulk.cancel("acme", job.id) == ended
    place.clock.advance(2 * LOST_AFTER_S)
    assert place.sweep() == 0


def test_a_cancelled_job_does_not_get_the_count_of_a_worker_that_another_had_replaced(place: Place) -> None:
    def fall_behind(job: BulkJob) -> None:
        place.work.before = lambda _job: None
        place.clock.advance(SECONDS + LOST_AFTER_S + 1)
        place.sweep()
        place.bulk.cancel("acme", job.id)

    job = place.start(25)
    place.work.before = fall_behind
    place.step()
    ended = place.now(job)
    assert (ended.cancelled, ended.done, ended.done_at_least) == (True, 0, True)


def test_what_a_dead_worker_has_removed_is_not_counted_and_the_record_says_so(place: Place) -> None:
    def die(job: BulkJob) -> None:
        place.work.before = lambda _job: None
        raise SystemExit

    kinds = (BulkKind.ERASE, BulkKind.DELETE, BulkKind.RETENTION, BulkKind.REINDEX)
    jobs = [place.start(25, tenant=kind, kind=kind) for kind in kinds]
    whole = place.start(25, tenant="whole", kind=BulkKind.ERASE)
    for _ in kinds:
        place.work.before = die
        with pytest.raises(SystemExit):
            place.step()
    place.queue.return_all()
    place.work_off()
    assert {place.now(job).state for job in (*jobs, whole)} == {JobState.SUCCEEDED}
    assert [place.now(job).done_at_least for job in jobs] == [True, True, True, False]
    assert not place.now(whole).done_at_least


def test_what_cannot_be_cancelled_says_so(place: Place) -> None:
    done, erasure = place.start(5), place.start(5, kind=BulkKind.ERASE)
    place.step()
    with pytest.raises(ConflictError, match="already ended: SUCCEEDED"):
        place.bulk.cancel("acme", done.id)
    with pytest.raises(ConflictError, match="erasure"):
        place.bulk.cancel("acme", erasure.id)
    with pytest.raises(NotFoundError):
        place.bulk.cancel("other", done.id)


def test_rows_set_aside_are_counted_and_the_job_succeeds(place: Place) -> None:
    class SetsAside:
        def portion(self, job: BulkJob, *, deadline: float) -> Progress:
            return Progress(None, 10, 10, set_aside=2)

    bulk = BulkService(ledger=place.ledger, queue=place.queue, clock=place.clock, works={BulkKind.REINDEX: SetsAside()})
    job = bulk.start("acme", BulkKind.REINDEX, {})
    bulk.run("acme", job.id, job.version, seconds=SECONDS)
    assert (place.now(job).state, place.now(job).set_aside) == (JobState.SUCCEEDED, 2)


def test_a_kind_that_this_program_does_not_know_is_left_to_another(place: Place) -> None:
    job = place.start(5)
    BulkService(ledger=place.ledger, queue=place.queue, clock=place.clock).run(
        "acme", job.id, job.version, seconds=SECONDS
    )
    held = place.now(job)
    assert held.state is JobState.PENDING
    assert "cannot do jobs of the kind retention" in str(held.error)


def test_jobs_are_listed_newest_first_in_pages_and_by_tenant(place: Place) -> None:
    started = [place.start(5) for _ in range(5)]
    place.start(5, tenant="other")
    page, cursor = place.bulk.jobs("acme", limit=3)
    rest, end = place.bulk.jobs("acme", limit=3, cursor=cursor)
    assert [job.id for job in page + rest] == [job.id for job in reversed(started)]
    assert end is None


def test_without_a_queue_a_job_is_due_at_once_and_after_each_portion(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    place = Place(ledger, queued=False)
    job = place.start(25)
    portions = 0
    while due := ledger.due_documents("bulk-job", now=place.clock.now(), limit=9):
        found = BulkJob.of(due[0])
        place.bulk.run(found.tenant, found.id, found.version, seconds=SECONDS)
        portions += 1
    assert (portions, place.now(job).state, place.queue.sent) == (3, JobState.SUCCEEDED, 0)
    ledger.close()
