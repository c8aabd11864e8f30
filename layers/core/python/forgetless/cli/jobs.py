"""The command `jobs`: bulk jobs (deletions, rebuilds, retention) and failed adds, which are the dead letters."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice

from forgetless.adapters.clock import SystemClock
from forgetless.cli.actions import add_action
from forgetless.cli.progress import progress
from forgetless.cli.text import printable
from forgetless.domain.bulk_jobs import BulkJob
from forgetless.domain.erasure_receipts import receipt_of
from forgetless.domain.errors import ConflictError, NotFoundError
from forgetless.domain.jobs import Job, JobState
from forgetless.runtime.composition import build_ledger, build_queue
from forgetless.runtime.settings import Settings
from forgetless.service.access.hiding_operator_ledger import HidingOperatorLedger
from forgetless.service.jobs.bulk import BulkService
from forgetless.service.jobs.failed_adds import FailedAdds
from forgetless.service.jobs.index_cleanings import IndexCleanings

__all__ = ["add_job_commands"]

_action = partial(add_action, of="job")

#: Seconds between two looks at a job that is being watched.
_LOOK_AGAIN_S = 1.0


def add_job_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `jobs` and its actions."""
    help_ = "list, watch and cancel bulk jobs; list, retry and dismiss failed adds"
    actions = commands.add_parser("jobs", help=help_).add_subparsers(required=True, metavar="ACTION")
    list_ = _action(actions, "list", "the tenant's bulk jobs, newest first", _list)
    list_.add_argument("--limit", type=int, default=50, help="at most so many (default: %(default)s)")
    list_.add_argument("--open", action="store_true", help="only those that have not ended")
    watch = _action(actions, "watch", "show the progress of a job until it ends; exit code 1 if it failed", _watch)
    watch.add_argument("id", help="its id, as `list` shows it")
    receipt = _action(actions, "receipt", "print the receipt of an erasure as JSON", _receipt)
    receipt.add_argument("id", help="its id (event_id), as the erasure was answered with")
    cancel = _action(actions, "cancel", "end a job; what it has done stays done; erasures cannot be cancelled", _cancel)
    cancel.add_argument("id", help="its id, as `list` shows it")
    failed = _action(actions, "failed", "adds that failed or are held, with the reason, newest first", _failed)
    failed.add_argument("--limit", type=int, default=50, help="at most so many (default: %(default)s)")
    retry = _action(actions, "retry", "start failed adds again", _retry)
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?", help="the id (event_id) of one, as `failed` shows it")
    which.add_argument("--all", action="store_true", help="all that failed")
    dismiss = _action(actions, "dismiss", "remove a failed add, which is not a bulk job, and its messages", _dismiss)
    dismiss.add_argument("id", help="its id (event_id), as `failed` shows it")


@contextmanager
def _jobs(settings: Settings) -> Iterator[BulkService]:
    """The jobs in the ledger. This process does none, so it needs no queue and no index."""
    ledger = build_ledger(settings)
    try:
        yield BulkService(ledger=ledger, queue=None, clock=SystemClock())
    finally:
        ledger.close()


def _list(settings: Settings, options: argparse.Namespace) -> int:
    shown, cursor = 0, None
    with _jobs(settings) as bulk:
        while shown < options.limit:
            page, cursor = bulk.jobs(options.tenant, limit=options.limit, cursor=cursor)
            for job in page:
                if shown < options.limit and not (options.open and job.finished):
                    print(_line(job))
                    shown += 1
            if cursor is None:
                break
    return 0


def _watch(settings: Settings, options: argparse.Namespace) -> int:
    clock = SystemClock()
    with _jobs(settings) as bulk, progress("Done", "rows") as tell:
        while True:
            job = bulk.job(options.tenant, options.id)
            if job is None:
                raise NotFoundError(f"tenant {options.tenant!r} has no bulk job {options.id!r}: see `jobs list`")
            tell(job.done, job.total)
            if job.finished:
                break
            clock.sleep(_LOOK_AGAIN_S)
    print(_line(job))
    return 1 if job.state is JobState.FAILED else 0


def _receipt(settings: Settings, options: argparse.Namespace) -> int:
    ledger = build_ledger(settings)
    try:
        job = BulkService(ledger=ledger, queue=None, clock=SystemClock()).job(options.tenant, options.id)
        cleanings = IndexCleanings(ledger=ledger, files=None, clock=SystemClock()).all()
    finally:
        ledger.close()
    found = None if job is None else receipt_of(job, cleanings)
    if found is None:
        raise NotFoundError(f"tenant {options.tenant!r} has no erasure with a receipt and the id {options.id!r}")
    print(json.dumps(found.record(), indent=2))
    return 0


def _cancel(settings: Settings, options: argparse.Namespace) -> int:
    with _jobs(settings) as bulk:
        job = bulk.cancel(options.tenant, options.id)
    print(_line(job))
    print("a worker that is busy with it stops within a step", file=sys.stderr)
    return 0


@contextmanager
def _failed_adds(settings: Settings) -> Iterator[FailedAdds]:
    ledger = build_ledger(settings)
    try:
        yield FailedAdds(ledger=HidingOperatorLedger(ledger), queue=build_queue(settings), clock=SystemClock())
    finally:
        ledger.close()


def _failed(settings: Settings, options: argparse.Namespace) -> int:
    with _failed_adds(settings) as adds:
        jobs = list(islice(adds.each(options.tenant), options.limit))
    for job in jobs:
        print(printable(_failed_line(job)))
    if not jobs:
        tenant = printable(options.tenant)
        print(f"tenant {tenant} has none; name another one with --tenant (its log lines do)", file=sys.stderr)
    return 0


def _failed_line(job: Job) -> str:
    state = "FAILED" if job.state is JobState.FAILED else f"held until {job.next_try_at or 'it is tried again'}"
    return f"{job.id}  {state}  added {job.created_at}  attempts {job.attempts}  {job.error}"


def _retry(settings: Settings, options: argparse.Namespace) -> int:
    when = "" if settings.queue_url else ": a worker or sweep takes it within three minutes"
    with _failed_adds(settings) as adds:
        for id_ in _wanted(adds, options):
            try:
                adds.retry(options.tenant, id_)
            except ConflictError as error:
                if not options.all:
                    raise
                print(f"{id_} was not started again: {error.message}", file=sys.stderr)
            else:
                print(f"{id_} is started again{when}")
    return 0


def _wanted(adds: FailedAdds, options: argparse.Namespace) -> list[str]:
    if not options.all:
        return [options.id]
    return [job.id for job in adds.each(options.tenant) if job.state is JobState.FAILED]


def _dismiss(settings: Settings, options: argparse.Namespace) -> int:
    with _failed_adds(settings) as adds:
        adds.dismiss(options.tenant, options.id)
    print(f"{options.id} is removed with its messages by the next sweep")
    return 0


def _line(job: BulkJob) -> str:
    amount = f"{job.done}" if job.total is None else f"{job.done}/{job.total}"
    amount += " or more" if job.done_at_least else ""
    aside = f"  {job.set_aside} set aside" if job.set_aside else ""
    error = f"  {job.error}" if job.error else ""
    return printable(f"{job.id}  {job.kind:9}  {job.state:9}  {amount} rows{aside}  {job.created_at}{error}")
