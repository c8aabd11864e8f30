"""The report of a store check as lines of text for people."""

from __future__ import annotations

from collections.abc import Iterator

from forgetless.service.stores.report import OldIds, StoreReport, TenantReport, Verdict

__all__ = ["lines_of"]

_LIST = "make set-aside (without make: forgetless set-aside)"
_HEAD = ("tenant", "memories", "indexed", "pending", "missing", "stray")


def lines_of(report: StoreReport, *, whole: bool = True) -> Iterator[str]:
    """What was examined, a table of tenants, each finding with its remedy, and the verdict.

    The verdict "sound" is left out if the report is not `whole`.
    """
    yield f"collection  {report.collection}"
    yield f"ledger      looked at: {report.looked_at}"
    if report.tenants or report.total:
        yield from _table(report)
        yield _sampled(report)
    if report.total and report.total.set_aside:
        yield f"set aside   {report.total.set_aside:,} memories, which embedder or index refuse; to see which: {_LIST}"
    yield from _old_ids(report.old_ids)
    for finding in report.findings:
        yield f"- {finding.text}"
        yield f"  remedy: {finding.remedy}"
    if report.verdict is not Verdict.SOUND:
        yield f"not sound: {report.verdict}"
    elif whole:
        yield "sound"


def _table(report: StoreReport) -> Iterator[str]:
    rows = [_HEAD, *map(_cells, report.tenants), *([_cells(report.total)] if report.total else [])]
    width = max(len(row[0]) for row in rows)
    for row in rows:
        yield f"{row[0]:<{width}}  " + "  ".join(f"{cell:>12}" for cell in row[1:])


def _cells(one: TenantReport) -> tuple[str, ...]:
    least = "" if one.exact else "≥ "
    counts = (f"{least}{one.memories:,}", f"{one.indexed:,}", f"{least}{one.pending:,}")
    if one.tenant is None:
        return ("(all)", *counts, "", "")
    return (one.tenant or repr(""), *counts, f"{one.missing} of {one.sampled}", f"{one.stray} of {one.sampled_rows}")


def _old_ids(old: OldIds) -> Iterator[str]:
    if old.found:
        least = "" if old.complete else "at least "
        yield f"old ids     {least}{len(old.found)} ids as an earlier version stored them; name them exactly like this:"
        # Escapes show the spelling: two spellings may look alike.
        yield from (f"  {one.tenant}  {one.kind}  {one.id!a}" for one in old.found)


def _sampled(report: StoreReport) -> str:
    memories = sum(one.sampled for one in report.tenants)
    rows = sum(one.sampled_rows for one in report.tenants)
    tenants = "all tenants" if report.tenants_complete else f"{len(report.tenants)} of the tenants"
    return f"sampled     {memories:,} memories and {rows:,} rows of {tenants}"
