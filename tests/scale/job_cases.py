"""What is run of every job and of the checks: sweep, ingest, webhooks, reindex, transfer, check and start."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping

from forgetless.domain.bulk_jobs import BULK_JOB, FILTERS, BulkJob, BulkKind
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.memory import Message, MessageRef
from forgetless.domain.retention import DAY_S, Retention
from forgetless.domain.times import later
from forgetless.domain.webhook_deliveries import Delivery, EventRef
from forgetless.ports.metrics import recording_metrics
from forgetless.service.jobs.reindex import Reindexer
from forgetless.service.known_names import KnownNames
from forgetless.service.services import Services
from forgetless.service.stores.check import StoreCheck
from forgetless.service.stores.start import StoreStart
from forgetless.service.transfer.event_import import EventImport
from forgetless.service.writing.indexer import Indexer
from tests.fakes.metrics import KeptMetrics
from tests.scale.filled_ledger import ALICE, HOOK, NOW, TENANT
from tests.scale.stage import JobCase, Stage

__all__ = ["JOB_CASES"]

#: Long before the tests begin: what has waited since then is taken for lost.
_LONG_AGO = later(NOW, -DAY_S)
#: How many other tenants have something pending.
_OTHERS = 20
#: Rows in a portion of a reindex, and lines in one of an import.
_ROWS, _LINES = 100, 200
#: Seconds of a portion of a bulk job.
_PORTION_S = 2.0
#: The same of a portion that might otherwise come to the end of the smaller ledger.
_SHORT_S = 0.2


def _sweep(stage: Stage, _: object) -> None:
    random.seed(7)  # it begins with a tenant at random
    stage.services.sweep.sweep()


def _measured_sweep(stage: Stage, _: object) -> None:
    with recording_metrics(KeptMetrics()):
        _sweep(stage, _)


def _mark_all_pending(stage: Stage) -> None:
    """Everything of the tenant, and of as many other tenants as both ledgers have."""
    for tenant in (TENANT, *(f"tenant-{number}" for number in range(_OTHERS))):
        stage.ledger.mark_unindexed(tenant, at=_LONG_AGO)


def _lose_jobs(stage: Stage) -> None:
    for number in range(stage.size // 4):
        _put_job(stage, number)


def _put_job(stage: Stage, number: int = 0) -> Job:
    job = Job(str(uuid.UUID(int=number)), ALICE, JobState.PENDING, _LONG_AGO, _LONG_AGO)
    message = Message(MessageRef(job.id, 0), ALICE, "user", "I planted mint", _LONG_AGO)
    return stage.ledger.put_job(job, [message])


def _ingest(stage: Stage, job: Job) -> None:
    stage.services.ingest.run(TENANT, job.id, seconds=60.0)


def _expire(stage: Stage, _: object) -> None:
    Services(stage.ports, retention=Retention(messages_s=3600.0)).sweep.sweep()


def _reindex(stage: Stage, _: object) -> None:
    ports = stage.ports
    names = KnownNames(ledger=ports.ledger, clock=stage.clock)
    indexer = Indexer(ledger=ports.ledger, index=ports.index, embedder=ports.embedder, recipe=ports.recipe, names=names)
    portion = ports.ledger.unindexed(before=stage.clock.now(), limit=_ROWS, tenant=TENANT)
    Reindexer(ledger=ports.ledger, index=ports.index, indexer=indexer, names=names, clock=stage.clock).refresh(portion)


def _start_reindex(stage: Stage) -> BulkJob:
    return stage.services.bulk.start(TENANT, BulkKind.REINDEX, {})


def _portion(stage: Stage, job: BulkJob) -> None:
    stage.services.bulk.run(job.tenant, job.id, job.version, seconds=_PORTION_S)


def _delete(topic: str) -> JobCase:
    """A short portion of a delete by filter: everything that matches little is looked at before its time is over."""

    def start(stage: Stage) -> BulkJob:
        request = {"ids": {"user_id": "alice"}, "names": [], FILTERS: {"metadata": {"topic": topic}}}
        return stage.services.bulk.start(TENANT, BulkKind.DELETE, request)

    def run(stage: Stage, job: BulkJob) -> None:
        stage.services.bulk.run(job.tenant, job.id, job.version, seconds=_SHORT_S)

    return JobCase(run, start)


def _announce(stage: Stage) -> None:
    for number, memory in enumerate(stage.some_memories(stage.size // 9)):
        refs = (EventRef(memory, 1),)
        waiting = Delivery(f"waiting-{number}", TENANT, HOOK, refs, _LONG_AGO, due_at=_LONG_AGO)
        stage.ledger.put_document(waiting.document())


def _deliver(stage: Stage, _: object) -> None:
    stage.services.deliveries.run()


def _export(cursor: str | None) -> JobCase:
    return JobCase(lambda stage, _: stage.services.event_exports.portion(TENANT, cursor=cursor))


def _import(stage: Stage, _: object) -> None:
    records = [
        {"id": str(uuid.uuid4()), "memory": f"old note {number}", "user_id": "alice"} for number in range(_LINES)
    ]
    EventImport(ledger=stage.ports.ledger, clock=stage.clock).take(TENANT, list(enumerate(records)))


def _check(tenant: str | None) -> JobCase:
    def run(stage: Stage, _: object) -> None:
        ports = stage.ports
        check = StoreCheck(ledger=ports.ledger, index=ports.index, clock=stage.clock, collection="c")
        random.seed(7)  # samples begin at a random place: near the last row, they are smaller
        check.run(tenant=tenant, seconds=1.0)

    return JobCase(run, counts=True)


def _start(stage: Stage, _: object) -> None:
    ports = stage.ports
    start = StoreStart(ledger=ports.ledger, index=ports.index, clock=stage.clock, collection="c")
    start.settle(start.decide(None, absent=False, log_left=False, accept_empty=False).identity)


def _turn(stage: Stage, _: object) -> None:
    stage.services.bulk_worker.turn()


def _look_for_adds(stage: Stage, _: object) -> None:
    random.seed(7)  # it begins with a speaker at random
    now = stage.clock.now()
    stage.ledger.stuck_in_turn(now=now, pending_before=now, limit=200, each=50)


def _start_deletes(stage: Stage) -> None:
    request = {"ids": {"user_id": "alice"}, "names": [], FILTERS: {"metadata": {"topic": "none"}}}
    for _ in range(stage.size // 50):
        stage.services.bulk.start(TENANT, BulkKind.DELETE, request)


def _look_for_bulk_jobs(stage: Stage, _: object) -> None:
    stage.ledger.due_in_turn(BULK_JOB, now=later(stage.clock.now(), DAY_S), limit=200, each=20)


JOB_CASES: Mapping[str, JobCase] = {
    "sweep with nothing to do": JobCase(_sweep),
    "sweep with everything pending": JobCase(_sweep, _mark_all_pending),
    "sweep with many lost jobs": JobCase(_sweep, _lose_jobs),
    "sweep after the index was lost": JobCase(_sweep, lambda stage: stage.index.drop_all()),
    "sweep with many messages to expire": JobCase(_expire),
    "sweep with many old jobs": JobCase(_sweep, lambda stage: stage.clock.advance(60 * DAY_S)),
    "sweep with metrics and many open jobs": JobCase(_measured_sweep, _lose_jobs),
    "ingest of a job": JobCase(_ingest, _put_job),
    "a portion of what is pending": JobCase(_reindex, _mark_all_pending),
    "a portion of the bulk job reindex": JobCase(_portion, _start_reindex),
    "a portion of a delete by filter": _delete("often"),
    "a portion of a delete by filter that matches little": _delete("rare"),
    "webhooks with nothing due": JobCase(_deliver),
    "webhooks with many deliveries due": JobCase(_deliver, _announce),
    "the worker of bulk jobs with nothing to do": JobCase(_turn),
    "the worker's look for bulk jobs among many": JobCase(_look_for_bulk_jobs, _start_deletes),
    "the worker's look for adds among many": JobCase(_look_for_adds, _lose_jobs),
    "an export's first portion": _export(None),
    "an export's portion of events": _export("events."),
    "an import of 200 lines": JobCase(_import),
    "a check of all tenants": _check(None),
    "a check of one tenant": _check(TENANT),
    "a start": JobCase(_start, counts=True),
}
