"""The command `compact`: has Milvus Lite rewrite the index file, so that no deleted memory stays legible in it."""

from __future__ import annotations

import argparse
import sys

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.milvus_control import MilvusControl
from forgetless.domain.errors import InvalidRequestError
from forgetless.runtime.composition import build_ledger
from forgetless.runtime.settings import Settings
from forgetless.service.jobs.index_cleanings import IndexCleanings

__all__ = ["add_compact_command"]

OK = 0
#: A file of a gigabyte takes about half a minute.
_DEADLINE_S = 600.0


def add_compact_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    compact = commands.add_parser(
        "compact",
        help="rewrite Milvus Lite's file now, so that nothing that was deleted stays legible in it",
        description="Milvus Lite is stopped for some seconds: searches are answered with 503 meanwhile, and what is "
        "added is indexed afterwards. Its supervisor does the same by itself once a day.",
    )
    compact.set_defaults(run=_compact)


def _compact(settings: Settings, _options: argparse.Namespace) -> int:
    if not settings.milvus_control:
        raise InvalidRequestError(
            "FORGETLESS_MILVUS_CONTROL is not set: only Milvus Lite's file is compacted by this command. "
            "Milvus standalone and Zilliz remove deleted rows in their own compaction (docs/operations.md)"
        )
    control, ledger = MilvusControl(settings.milvus_control, clock=SystemClock()), build_ledger(settings)
    cleanings = IndexCleanings(ledger=ledger, files=control, clock=SystemClock())
    try:
        cleanings.look()  # so that the receipts of erasures that have ended by now get the time of this compaction
        control.compact(deadline_s=_DEADLINE_S)
        newest = cleanings.all()[-1:] if cleanings.look() else []
    finally:
        ledger.close()
    print("the index file is compacted")
    if pending := sum(len(one.pending) for one in newest):
        print(
            f"{pending} tenants had changes on their way to the index: receipts of their erasures get their time "
            "from a later compaction. Run this again in a minute if one must say it now",
            file=sys.stderr,
        )
    return OK
