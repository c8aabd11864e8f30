"""The command `erase --verify`: looks for what an erasure should have removed, and says what nobody can look into."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from forgetless.adapters.clock import SystemClock
from forgetless.cli.byte_search import Places, found_in_folder
from forgetless.cli.text import printable
from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob, BulkKind
from forgetless.domain.errors import InvalidRequestError, NotFoundError
from forgetless.domain.identifiers import all_spellings
from forgetless.domain.scope import SCOPE_IDS
from forgetless.ports.ledger import Ledger
from forgetless.runtime.composition import build_erasure_log, build_ledger, build_openings, build_record
from forgetless.runtime.settings import Settings
from forgetless.service.access.audit import AuditLog
from forgetless.service.jobs.index_cleanings import IndexCleanings
from forgetless.service.transfer.erasure_check import Checked, ErasureCheck, Verdict
from forgetless.service.transfer.person_export import PersonExport

__all__ = ["FOUND", "add_erase_command"]

#: Nothing was found; something that should be gone is there.
OK, FOUND = 0, 3
#: Shorter words stand in any file.
_LEAST_CHARS = 4


def add_erase_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    erase = commands.add_parser(
        "erase",
        help="verify an erasure: look for what it should have removed",
        description=f"Exit codes: {OK} nothing was found, {FOUND} something is still there, 1 a part does not answer. "
        "To erase, use the API (DELETE /v2/entities/user/ID/) or `forgetless tenants delete`.",
    )
    erase.add_argument("--verify", action="store_true", required=True, help="look, and change nothing")
    for name in SCOPE_IDS:
        what = name.removesuffix("_id")
        erase.add_argument(f"--{what}", dest=name, metavar="ID", help=f"the {what} that was erased")
    erase.add_argument("--receipt", metavar="ID", help="the event of the erasure, which needs no id of anybody")
    erase.add_argument("--deleted-tenant", metavar="NAME", help="a tenant that was deleted")
    erase.add_argument("--tenant", default="default", help="the tenant of user and receipt (default: %(default)s)")
    erase.add_argument("--json", action="store_true", help="print the looks as JSON")
    erase.set_defaults(run=_verify)


def _verify(settings: Settings, options: argparse.Namespace) -> int:
    ids = {name: getattr(options, name) for name in SCOPE_IDS if getattr(options, name)}
    if sum(map(bool, (ids, options.receipt, options.deleted_tenant))) != 1:
        raise InvalidRequestError("name what was erased: --user (--agent, --app, --run), --receipt or --deleted-tenant")
    with (
        closing(build_ledger(settings)) as ledger,
        closing(build_openings(settings)) as openings,
        closing(build_erasure_log(settings)) as log,
    ):
        clock = SystemClock()
        person = PersonExport(ledger=ledger, audit=AuditLog(ledger=ledger, clock=clock))
        known = build_record(settings, ledger, openings).now()
        generations = [*known.all, *(one.generation for one in known.dropped)]
        indexes = [(openings.of(one).index, one.dimensions) for one in generations]
        check = ErasureCheck(ledger=ledger, indexes=indexes, log=log, person=person)
        cleanings = IndexCleanings(ledger=ledger, files=None, clock=clock).all()
        if options.deleted_tenant:
            words, looks = [options.deleted_tenant], check.tenant(options.deleted_tenant)
        elif options.receipt:
            words, looks = [], check.receipt(options.tenant, _job(ledger, options), cleanings)
        else:
            words = [value for spelled in all_spellings(ids) for value in spelled.values()]
            looks = check.scope(options.tenant, ids, cleanings)
    # Only now: a process that opens a database file beside SQLite loses SQLite's locks on it when it closes it.
    if settings.ledger == "sqlite" and words:
        looks += _files(Path(settings.ledger_path), words, looks)
    looks += _out_of_sight(settings, by_receipt=not words)
    _print(looks, as_json=options.json)
    return FOUND if any(look.verdict is Verdict.FOUND for look in looks) else OK


def _job(ledger: Ledger, options: argparse.Namespace) -> BulkJob:
    held = ledger.document(options.tenant, BULK_JOB, options.receipt)
    job = None if held is None else BulkJob.of(held)
    if job is None or job.kind is not BulkKind.ERASE or "number" not in job.request:
        raise NotFoundError(f"tenant {options.tenant!r} has no erasure with the id {options.receipt!r}")
    return job


def _files(ledger: Path, words: Iterable[str], looks: list[Checked]) -> list[Checked]:
    """Look at every byte of the state folder; what names the ids rightly explains what stands in its files."""
    folder, searched = ledger.parent, [word for word in words if len(word) >= _LEAST_CHARS]
    if not searched:
        return [Checked("files", Verdict.UNKNOWN, "the id is too short: it would stand in any file")]
    used = any(look.verdict is Verdict.STAYS for look in looks)
    found = [
        Checked("files", _verdict(places, used=used), f"{path.relative_to(folder)}: {places.told()}")
        for path, places in found_in_folder(folder, searched)
    ]
    return found or [Checked("files", Verdict.CLEAN, f"no file below {folder} has the id in clear")]


def _verdict(places: Places, *, used: bool) -> Verdict:
    if used:
        return Verdict.STAYS
    return Verdict.FOUND if places.alone else Verdict.UNKNOWN


def _out_of_sight(settings: Settings, *, by_receipt: bool) -> Iterator[Checked]:
    """What nobody can look into from here."""
    if by_receipt:
        yield Checked("files", Verdict.UNKNOWN, "a receipt names nobody, so there is no id to look for in files")
    if not settings.milvus_control:
        text = "segments of Milvus standalone and Zilliz, and their backups: they rewrite them by themselves"
        yield Checked("index file", Verdict.UNKNOWN, text)
    if settings.ledger != "sqlite":
        text = "point-in-time recovery and backups of the table, and answers of Idempotency-Keys (a day)"
        yield Checked("ledger", Verdict.UNKNOWN, text)
    text = "messages of queues and dead letters: they hold ids of jobs and digests of scopes, no ids of anybody"
    yield Checked("queue", Verdict.UNKNOWN, text)
    text = "backups and exports elsewhere, logs, receivers of webhooks, the LLM's provider (docs/retention.md)"
    yield Checked("copies", Verdict.UNKNOWN, text)


def _print(looks: Iterable[Checked], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(look) for look in looks], indent=2))
        return
    for look in looks:
        print(printable(f"{look.part:15}  {look.verdict:9}  {look.text}"))
