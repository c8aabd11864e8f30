"""Scenarios of bulk jobs: reindex, delete or retention in several portions; one process is disturbed after a step."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import boto3

from forgetless.adapters.queue_none import NoQueue
from forgetless.adapters.queue_sqs import SqsBulkQueue
from forgetless.domain.bulk_jobs import FILTERS, BulkJob, BulkKind
from forgetless.domain.scope import Scope
from forgetless.service.jobs import expired_memories, reindex_job, removal
from forgetless.service.requests import AddRequest, IncomingMessage
from forgetless.service.services import Ports, Services
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.lambda_context import FakeContext
from tests.faults.fault_injection import Fault, Step, Watch, Way, watched
from tests.faults.harness import LATER_S, join, wait_at_step
from tests.faults.ledgers import OpenLedger, half_written
from tests.faults.processes import PROCESSES
from tests.faults.shared_stores import AheadClock, DiskIndex
from tests.faults.tasks import handler_of

__all__ = ["BulkHarness", "BulkLeft", "BulkPlace", "disturbed", "portions_undisturbed"]

_JOB, _TENANT = "the-only-job", "default"
#: What there is: so many memories about each topic.
_MEMORIES = {"tea": 6, "milk": 4}
#: What is asked of a job: all memories for the index, or the deletion of what is about tea, which has also expired.
_REQUESTS: dict[BulkKind, dict[str, Any]] = {
    BulkKind.REINDEX: {},
    BulkKind.DELETE: {"ids": {"user_id": "alice"}, "names": [], FILTERS: {"metadata": {"topic": "tea"}}},
    BulkKind.RETENTION: {expired_memories.BEFORE: "2021-01-01"},
}
#: Rounds of sweep and queue after which unfinished work counts as lost.
_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class BulkPlace:
    """The addresses of the stores; `ahead_s` is how far the process's clock is ahead of the machine's."""

    folder: Path
    queue_url: str
    open_ledger: OpenLedger
    ahead_s: float = 0.0
    kind: BulkKind = BulkKind.REINDEX


@dataclass(frozen=True)
class BulkLeft:
    """The state in the end, which is the same after every run."""

    job: tuple[str, int, int, str | None]
    rows: tuple[tuple[str, int], ...]
    #: The texts of the memories, and the raw messages.
    texts: tuple[str, ...]
    said: tuple[str, ...]
    pending: int
    messages: int
    half_written: int


def compose(place: BulkPlace, watch: Watch | None = None) -> Services:
    """The services over the shared stores, watched if asked."""
    ports: dict[str, Any] = {
        "ledger": place.open_ledger(watch),
        "index": DiskIndex(place.folder / "index.pickle"),
        "embedder": FakeEmbedder(),
        "bulk_queue": SqsBulkQueue(place.queue_url),
    }
    if watch is not None:
        ports = {name: watched(port, name, watch) for name, port in ports.items()}
    # What is missing in the index is for the job alone.
    return Services(Ports(clock=AheadClock(place.ahead_s), queue=NoQueue(), **ports), rebuilds_lost_index=False)


@contextmanager
def small_portions() -> Iterator[None]:
    """A portion of two pages of three memories, so that one job takes several."""
    before = (reindex_job.PAGE, reindex_job._MOST_PAGES, removal.STEP, removal.MOST_STEPS)
    reindex_job.PAGE, reindex_job._MOST_PAGES, removal.STEP, removal.MOST_STEPS = 3, 2, 3, 2
    try:
        yield
    finally:
        reindex_job.PAGE, reindex_job._MOST_PAGES, removal.STEP, removal.MOST_STEPS = before


def do(task: str, argument: Any, services: Services, kind: BulkKind) -> Any:
    """Run a task: start the job, run the function bulk for records, or run a sweep."""
    with small_portions():
        if task == "start":
            return services.bulk.start(_TENANT, kind, _REQUESTS[kind], job_id=_JOB).id
        return handler_of(task, services)(argument, FakeContext())


def perform(task: str, argument: Any, place: BulkPlace, fault: Fault | None, line: Connection) -> None:
    """Run a task in a process of its own, then send its result."""
    watch = Watch(fault, line)
    result = do(task, argument, compose(place, watch), place.kind)
    watch.after("handler")
    line.send(("done", result))


class BulkHarness:
    """One ledger, index and standard queue, with the memories of one tenant; for a reindex, none is in the index."""

    def __init__(
        self, folder: Path, endpoint: str, name: str, open_ledger: OpenLedger, kind: BulkKind = BulkKind.REINDEX
    ) -> None:
        self._sqs = boto3.client(
            "sqs", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="x"
        )
        self._url = str(self._sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "360"})["QueueUrl"])
        self.place = BulkPlace(folder, self._url, open_ledger, kind=kind)
        with closing(compose(self.place)) as services:
            for topic, count in _MEMORIES.items():
                said = tuple(IncomingMessage("user", f"{topic} {number}") for number in range(count))
                # Each topic is a run of its own, so that none is the context of another.
                whose, about = Scope(_TENANT, user_id="alice", run_id=topic), {"topic": topic}
                # The key gives the memories the same ids each time, so that they are in the same ranges.
                over = "2020-01-01" if topic == "tea" and kind is BulkKind.RETENTION else None
                add = AddRequest(whose, said, infer=False, metadata=about, expiration_date=over, idempotency_key=topic)
                services.add.add(add)
        if kind is BulkKind.REINDEX:
            DiskIndex(folder / "index.pickle").drop_all()

    def run(self, task: str, argument: Any = None) -> tuple[Any, list[Step]]:
        """Run a task undisturbed in this process; the result and its steps."""
        watch = Watch()
        with closing(compose(self.place, watch)) as services:
            return do(task, argument, services, self.place.kind), watch.seen

    def start(self, task: str, argument: Any, fault: Fault) -> tuple[Any, Connection]:
        """Run a task in a process of its own."""
        ours, theirs = multiprocessing.Pipe()
        process = PROCESSES.Process(target=perform, args=(task, argument, self.place, fault, theirs), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    def receive(self) -> list[dict[str, Any]]:
        """The next message as Lambda passes it to the function."""
        reply = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=1, WaitTimeSeconds=0)
        return [
            {"messageId": one["MessageId"], "receiptHandle": one["ReceiptHandle"], "body": one["Body"]}
            for one in reply.get("Messages", [])
        ]

    def settle(self, records: list[dict[str, Any]], answer: Any) -> None:
        """Delete what the function did; what it did not do, because it died, becomes visible again."""
        for record in records:
            if answer == {"batchItemFailures": []}:
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=record["receiptHandle"])
            else:
                self._sqs.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0
                )

    def portion(self) -> list[Step] | None:
        """Do what the next message asks for; its steps, or None when there is no message."""
        records = self.receive()
        if not records:
            return None
        answer, steps = self.run("bulk", {"Records": records})
        self.settle(records, answer)
        return [*steps, Step("handler", 1)]

    def later(self) -> None:
        """Let time pass, beyond every lease and until the job is due."""
        self.place = replace(self.place, ahead_s=self.place.ahead_s + LATER_S)

    def recover(self) -> bool:
        """Let time pass and sweep and queue work; whether the job has ended."""
        for _ in range(_ROUNDS):
            self.later()
            self.run("sweep", {})
            while self.portion() is not None:
                pass
            if self.job().finished:
                return True
        return False

    def job(self) -> BulkJob:
        """The job as it is now."""
        with closing(compose(self.place)) as services:
            found = services.bulk.job(_TENANT, _JOB)
        assert found is not None
        return found

    def left(self) -> BulkLeft:
        """The state as it is now; after a removal, once sweep has looked again.

        A step of a removal erases messages that stand in the rows of what the next step removes. The next step may then
        not say that the index is clean, because the row may be written again at the same moment: sweep does.
        """
        if self.place.kind is not BulkKind.REINDEX:
            self.later()
            self.run("sweep", {})
        job = self.job()
        ledger = self.place.open_ledger()
        with closing(ledger):
            pending, unfinished = len(ledger.unindexed(before="9999-12-31", limit=100)), half_written(ledger)
            found = ledger.list_memories(_TENANT, {}, limit=100, superseded=True).items
            said, _ = ledger.scope_messages(_TENANT, {}, limit=100)
        rows = DiskIndex(self.place.folder / "index.pickle").every_key()
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        names = (*names, "ApproximateNumberOfMessagesDelayed")
        counts = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        messages = sum(int(counts[name]) for name in names)
        state = (job.state.value, job.done, job.set_aside, job.error)
        texts = tuple(sorted(memory.text for memory in found))
        raw = tuple(sorted(message.content for message in said))
        return BulkLeft(state, tuple(rows), texts, raw, pending, messages, unfinished)


def portions_undisturbed(harness: BulkHarness) -> tuple[list[list[Step]], BulkLeft]:
    """The steps of each portion of a job that nothing disturbs, and what it leaves."""
    harness.run("start")
    steps = list(iter(harness.portion, None))
    return steps, harness.left()


def disturbed(harness: BulkHarness, *, task: str, before: int, fault: Fault) -> tuple[bool, BulkLeft]:
    """Disturb the process of a task after `before` portions; whether the job ended, and what was left."""
    records: list[dict[str, Any]] = []
    if task != "start":
        harness.run("start")
        for _ in range(before):
            assert harness.portion() is not None
    if task == "sweep":
        harness.settle(harness.receive(), {"batchItemFailures": []})  # the message is lost
        harness.later()
    if task == "bulk":
        records = harness.receive()
    process, line = harness.start(task, {"Records": records}, fault)
    wait_at_step(process, line, fault.way)
    harness.settle(records, None)
    if task == "start":  # its client asks again
        harness.run("start")
    ended = harness.recover()
    if fault.way is Way.STALL:
        line.send("go on")
        join(process, line)
        ended = harness.recover() and ended
    line.close()
    left = harness.left()
    # A process that goes on after others have done its work inserts the same rows again, which readers take for one.
    return ended, replace(left, rows=tuple(sorted(set(left.rows)))) if fault.way is Way.STALL else left
