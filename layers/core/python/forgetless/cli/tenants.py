"""The command `tenants`: quotas and deletions of tenants, receipts, and the audit list that a deleted one had."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

from forgetless.adapters.clock import SystemClock
from forgetless.cli.quotas import add_tenant_quotas
from forgetless.cli.text import printable
from forgetless.domain.bulk_jobs import TENANT_NAME, BulkJob, BulkKind
from forgetless.domain.erasure_receipts import receipt_of
from forgetless.domain.errors import InvalidRequestError, NotFoundError
from forgetless.ports.ledger import Ledger
from forgetless.runtime.composition import build_ledger, build_services
from forgetless.runtime.settings import Settings
from forgetless.service.access.audit import AuditLog
from forgetless.service.jobs.bulk import BulkService
from forgetless.service.jobs.delete_tenant import NOBODY
from forgetless.service.jobs.index_cleanings import IndexCleanings

__all__ = ["add_tenant_commands"]

OK, NOT_CONFIRMED = 0, 1
_PAGE = 100


def add_tenant_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `tenants` and its actions."""
    parser = commands.add_parser("tenants", help="quotas of a tenant; deletion of a whole one, with its receipt")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    delete = actions.add_parser(
        "delete",
        help="delete a tenant with its memories, keys, settings, webhooks, jobs and everything else",
        description="Its keys and its memories are gone when the command ends (a process that has just seen a key "
        "takes it for 30 seconds more, finds nothing and stores nothing). The service removes the rest in the "
        "background and looks again after 16 minutes; then the name is free. It cannot be undone.",
    )
    delete.add_argument("name", help="the tenant")
    delete.add_argument("--yes", action="store_true", help="do not ask for the name again")
    delete.set_defaults(run=_delete)
    add_tenant_quotas(actions)
    deletions = actions.add_parser("deletions", help="deletions of tenants, newest first")
    deletions.set_defaults(run=_deletions)
    receipt = actions.add_parser("receipt", help="print the receipt of a deletion as JSON")
    receipt.add_argument("id", help="its id, as `delete` and `deletions` print it")
    receipt.set_defaults(run=_receipt)
    audit = actions.add_parser("audit", help="print the audit list that a deleted tenant had, newest first, as JSON")
    audit.add_argument("id", help="the id of its deletion")
    audit.add_argument("--limit", type=int, default=100, help="at most so many entries (default: %(default)s)")
    audit.set_defaults(run=_audit)


def _delete(settings: Settings, options: argparse.Namespace) -> int:
    name = options.name
    with closing(build_services(settings)) as services:
        if not options.yes and not _confirmed(name):
            print("the names differ: nothing was deleted", file=sys.stderr)
            return NOT_CONFIRMED
        job = services.tenant_deletions.begin(name)
    print(f"the tenant {printable(name)} has no keys and no memories any more")
    print(f"the service removes the rest and frees the name: forgetless tenants receipt {job.id}")
    return OK


def _confirmed(name: str) -> bool:
    if not sys.stdin.isatty():
        raise InvalidRequestError("--yes: needed where nobody can type the name of the tenant again")
    return input(f"Everything of the tenant {printable(name)} will be deleted for good. Type its name: ") == name


@contextmanager
def _ledger(settings: Settings) -> Iterator[tuple[Ledger, BulkService]]:
    with closing(build_ledger(settings)) as ledger:
        yield ledger, BulkService(ledger=ledger, queue=None, clock=SystemClock())


def _deletions(settings: Settings, _options: argparse.Namespace) -> int:
    cursor: str | None = None
    with _ledger(settings) as (_, bulk):
        while True:
            jobs, cursor = bulk.jobs(NOBODY, limit=_PAGE, cursor=cursor)
            # What no tenant owns stands there as well, such as the jobs of generations.
            for job in jobs:
                if job.kind is BulkKind.TENANT:
                    print(_line(job))
            if cursor is None:
                return OK


def _receipt(settings: Settings, options: argparse.Namespace) -> int:
    with _ledger(settings) as (ledger, bulk):
        job = bulk.job(NOBODY, options.id)
        cleanings = IndexCleanings(ledger=ledger, files=None, clock=SystemClock()).all()
    found = None if job is None else receipt_of(job, cleanings)
    if found is None:
        raise NotFoundError(f"there is no deletion of a tenant with the id {options.id!r}: see `tenants deletions`")
    print(json.dumps(found.record(), indent=2))
    return OK


def _audit(settings: Settings, options: argparse.Namespace) -> int:
    left, cursor = options.limit, None
    with _ledger(settings) as (ledger, bulk):
        if bulk.job(NOBODY, options.id) is None:
            raise NotFoundError(f"there is no deletion of a tenant with the id {options.id!r}: see `tenants deletions`")
        audit = AuditLog(ledger=ledger, clock=SystemClock())
        while left > 0:
            page = audit.page(options.id, limit=min(left, _PAGE), cursor=cursor)
            for entry in page.entries:
                print(json.dumps(entry.record()))
            left, cursor = left - len(page.entries), page.cursor
            if cursor is None:
                break
    return OK


def _line(job: BulkJob) -> str:
    name = job.request.get(TENANT_NAME)
    whose = "" if name is None else f"  {name}"
    waits = f"  goes on at {job.due_at}" if job.due_at is not None and not job.finished else ""
    error = f"  {job.error}" if job.error else ""
    return printable(f"{job.id}  {job.state:9}  {job.created_at}  {job.done} memories{whose}{waits}{error}")
