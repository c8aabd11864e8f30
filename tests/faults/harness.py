"""The harness of a kill test: a queue as Lambda's event source serves it, processes that may die, what is left."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import boto3

from forgetless.domain.jobs import JobState
from forgetless.domain.limits import MOST_DELIVERIES
from local.emulator.specs import Place as AccountPlace
from local.emulator.sqs.app import QueueServer
from local.emulator.sqs.operations import Operations
from local.emulator.sqs.service import QueueService
from local.emulator.sqs.store import Store
from tests.faults.fault_injection import HERE, Fault, Step, Way
from tests.faults.ledgers import OpenLedger, half_written
from tests.faults.processes import PROCESSES
from tests.faults.shared_stores import CALLS, DiskIndex, Place
from tests.faults.tasks import SCOPE, perform, perform_in_process
from tests.unit.servers import free_socket, serve_app

__all__ = ["LATER_S", "Harness", "Left", "join", "queue_server", "receive", "wait_at_step"]

#: Beyond every lease, and beyond what sweep waits for a lost message.
LATER_S = 200.0
#: Seconds that a process may take on a busy machine.
PATIENCE_S = 180.0
#: Rounds of sweep and queue after which unfinished work counts as lost.
ROUNDS = 8


@contextlib.contextmanager
def queue_server(folder: Path) -> Iterator[str]:
    """Run the emulator's SQS and give its address."""
    service = QueueService(Store(folder / "sqs.db"))

    async def status() -> dict[str, Any]:
        return {}

    with free_socket() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with serve_app(QueueServer(Operations(service, AccountPlace(queue_url=url)), status), listener) as endpoint:
            yield endpoint
    service.close()


@dataclass(frozen=True)
class Left:
    """The state that a client and an operator find in the end; it is the same after every run of a scenario."""

    memories: list[tuple[str, str, int, str | None]]
    histories: list[tuple[str, int, str]]
    jobs: list[tuple[str, str, str]]
    rows: list[tuple[str, int]]
    pending: int
    half_written: int


class Harness:
    """One ledger, index and queue in a folder."""

    def __init__(self, folder: Path, endpoint: str, name: str, open_ledger: OpenLedger) -> None:
        self._sqs = boto3.client(
            "sqs", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="x"
        )
        self._dead_url = self._queue(f"{name}-dead.fifo")
        arn = f"arn:aws:sqs:us-east-1:123456789012:{name}-dead.fifo"
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MOST_DELIVERIES})
        self._url = self._queue(f"{name}.fifo", RedrivePolicy=policy)
        self.place = Place(folder, self._url, open_ledger)
        self._ledger = open_ledger()
        weakref.finalize(self, self._ledger.close)
        self._delivered: list[dict[str, Any]] = []

    def later(self, seconds: float = LATER_S) -> None:
        """Let time pass for all later steps."""
        self.place = replace(self.place, ahead_s=self.place.ahead_s + seconds)

    def run(self, task: str, argument: Any) -> tuple[Any, list[Step]]:
        """Run a task undisturbed in this process; return the result and the steps."""
        return perform_in_process(task, argument, self.place, self._ledger)

    def start(self, task: str, argument: Any, fault: Fault | None = None) -> tuple[BaseProcess, Connection]:
        """Run a task in a process of its own."""
        ours, theirs = multiprocessing.Pipe()
        process = PROCESSES.Process(target=perform, args=(task, argument, self.place, fault, theirs), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    def receive(self) -> list[dict[str, Any]]:
        """Receive messages as the event source passes them to the function; in flight until deleted or released."""
        reply = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=0, MessageSystemAttributeNames=["All"]
        )
        records = [_record(message) for message in reply.get("Messages", [])]
        self._delivered += records
        return records

    def settle_batch(self, records: list[dict[str, Any]], answer: Any) -> None:
        """Do what the event source does with the function's answer; None stands for a process that died."""
        failed = {one["messageId"] for one in records}
        if answer is not None:
            failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        for record in records:
            if record["messageId"] in failed:
                self.show([record])
            else:
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=record["receiptHandle"])

    def show(self, records: list[dict[str, Any]]) -> None:
        """Make messages visible now, even if a worker has them."""
        for record in records:
            self._sqs.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0
            )

    def work_off(self) -> None:
        """Run the ingest function for each message of the queue, one by one as in the template."""
        while records := self.receive():
            for record in records:
                self.settle_batch([record], self.run("ingest", {"Records": [record]})[0])

    def redeliver(self, times: int) -> None:
        """Pass every message so far to the function again, although it has been deleted."""
        for record in self._delivered * times:
            self.run("ingest", {"Records": [record]})

    def purge(self) -> None:
        """Delete every message."""
        self._sqs.purge_queue(QueueUrl=self._url)

    def dead(self) -> list[str]:
        """Return the job ids in the dead-letter queue."""
        reply = self._sqs.receive_message(QueueUrl=self._dead_url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [json.loads(message["Body"])["job_id"] for message in reply.get("Messages", [])]

    def recover(self) -> bool:
        """Let time pass and sweep and queue work; return whether all jobs have ended."""
        for _ in range(ROUNDS):
            self.later()
            self.run("sweep", {})
            if half_written(self._ledger):
                continue  # Sweep must repair this without a worker.
            self.work_off()
            if self._settled():
                return True
        return False

    def left(self) -> Left:
        """Return the current state."""
        ledger = self._ledger
        memories = ledger.list_memories(SCOPE.tenant, {}, limit=1000, superseded=True).items
        histories = [event for memory in memories for event in ledger.history(SCOPE.tenant, memory.id)]
        jobs, _ = ledger.jobs(SCOPE.tenant, limit=100)
        return Left(
            memories=sorted((one.id, one.text, one.version, one.superseded_by) for one in memories),
            histories=sorted((event.memory.id, event.memory.version, str(event.kind)) for event in histories),
            jobs=sorted((job.id, str(job.state), str(sorted(one["id"] for one in job.results))) for job in jobs),
            rows=DiskIndex(self.place.folder / "index.pickle").every_key(),
            pending=len(ledger.unindexed(before="9999-12-31", limit=100)),
            half_written=half_written(ledger),
        )

    def memories(self) -> int:
        """Return the number of visible memories."""
        return len(self._ledger.list_memories(SCOPE.tenant, {}, limit=1000, superseded=True).items)

    def calls_of_llm(self) -> list[str]:
        """Return what each call of the LLM for a long add was about."""
        return (self.place.folder / CALLS).read_text().split("\n")[:-1]

    def _settled(self) -> bool:
        jobs, _ = self._ledger.jobs(SCOPE.tenant, limit=100)
        pending = self._ledger.unindexed(before="9999-12-31", limit=1)
        return not pending and all(job.state in {JobState.SUCCEEDED, JobState.FAILED} for job in jobs)

    def _queue(self, name: str, **attributes: str) -> str:
        attributes |= {"FifoQueue": "true", "VisibilityTimeout": "540"}
        return str(self._sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def receive(line: Connection) -> Any:
    """Return the next message of a process: HERE at its step, or its result."""
    assert line.poll(PATIENCE_S), "the process neither ended nor reached its step"
    return line.recv()


def join(process: BaseProcess, line: Connection) -> Any:
    """Wait for a process's result, which is None if it died."""
    try:
        message = receive(line)
    except (EOFError, ConnectionResetError):
        message = None
    process.join(PATIENCE_S)
    line.close()
    return message


def wait_at_step(process: BaseProcess, line: Connection, way: Way) -> None:
    """Wait until the process has done its step; then it has ended, is killed here, or stays waiting."""
    if way is Way.EXIT:
        process.join(PATIENCE_S)
        assert process.exitcode == 9, f"the process ended with {process.exitcode} and did not die at its step"
        return
    assert receive(line) == HERE
    if way is Way.KILL:
        assert process.pid is not None
        os.kill(process.pid, 9)
        process.join(PATIENCE_S)
        assert process.exitcode == -9


def _record(message: Any) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:ingest.fifo",
        "awsRegion": "us-east-1",
    }
