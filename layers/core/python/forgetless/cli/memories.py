"""The command `memories`: brings memories back that others have superseded."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from functools import partial

from forgetless.cli.actions import add_action
from forgetless.cli.text import printable, printable_lines
from forgetless.domain.errors import NotFoundError
from forgetless.runtime.composition import build_services
from forgetless.runtime.settings import Settings

__all__ = ["add_memory_commands"]

OK, NOT_ALL = 0, 1

_action = partial(add_action, of="memories")


def add_memory_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `memories` and its actions."""
    parser = commands.add_parser("memories", help="bring superseded memories back")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    restore = _action(actions, "restore", "bring memories back that others have superseded", _restore)
    restore.add_argument("id", nargs="+", help="the id of a memory")


def _restore(settings: Settings, options: argparse.Namespace) -> int:
    code = OK
    with closing(build_services(settings)) as services:
        for memory_id in options.id:
            try:
                memory = services.restores.restore(options.tenant, memory_id)
            except NotFoundError as error:
                print(printable_lines(f"forgetless: {error.message}"), file=sys.stderr)
                code = NOT_ALL
            else:
                print(f"{printable(memory.id)} holds, version {memory.version}")
    return code
