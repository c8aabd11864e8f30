"""The command `set-aside`: lists the memories that embedder or index keep refusing, and has them tried again."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from dataclasses import asdict

from forgetless.adapters.clock import SystemClock
from forgetless.cli.text import printable
from forgetless.ports.ledger import SetAside
from forgetless.runtime.composition import build_ledger
from forgetless.runtime.settings import Settings

__all__ = ["add_set_aside_command"]

OK = 0

_DESCRIPTION = """
Embedder or index have refused these memories several times, so sweep leaves them out. They can be read and listed.
Searches find those that the embedder refuses by their words alone, and the others not at all. A change of the memory
ends this.
"""


def add_set_aside_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "set-aside", help="list the memories that cannot be indexed, or try them again", description=_DESCRIPTION
    )
    command.add_argument("--tenant", help="only this tenant (default: all tenants)")
    command.add_argument("--limit", type=int, default=1000, help="list at most so many (default: %(default)s)")
    command.add_argument("--json", action="store_true", help="print one JSON object for each memory")
    command.add_argument("--retry", action="store_true", help="let sweep index all of them again")
    command.set_defaults(run=_run)


def _run(settings: Settings, options: argparse.Namespace) -> int:
    with closing(build_ledger(settings)) as ledger:
        if options.retry:
            count = ledger.retry_set_aside(options.tenant, at=SystemClock().now())
            print(f"{count} memories will be tried again by the next sweep; forgetless reindex does it at once")
            return OK
        found = ledger.set_aside(options.tenant, limit=options.limit)
    for one in found:
        print(json.dumps(asdict(one)) if options.json else _line(one))
    if not found:
        print("no memory is set aside", file=sys.stderr)
    return OK


def _line(one: SetAside) -> str:
    return printable(f"{one.tenant}  {one.memory_id}  version {one.version}  {one.since}  {one.reason}")
