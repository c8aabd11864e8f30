"""`python -m local.up up|down|status|reindex|reset-data`: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from local.up import commands
from local.up.down import down
from local.up.errors import UpError
from local.up.settings import add_options, read_settings
from local.up.up import up

_HELP = {
    "up": "start every part and stay in the foreground",
    "down": "stop what `up` started; returns when all is gone",
    "status": "say what runs and whether it answers",
    "reindex": "rebuild the index of the running service from the ledger",
    "reset-data": "delete all memories of this machine",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 1 with one line on stderr that names the reason."""
    options = _parser().parse_args(arguments)
    try:
        said = _run(options)
    except (UpError, OSError) as error:
        print(f"forgetless: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if said:
        print(said)
    return 0


def _run(options: argparse.Namespace) -> str:
    settings = read_settings(options, os.environ)
    match options.command:
        case "up":
            up(settings, os.environ)
            return ""
        case "down":
            return down(settings.state)
        case "status":
            return commands.status(settings)
        case "reindex":
            return commands.reindex(settings, os.environ)
        case _:
            return commands.reset_data(settings, sure=options.yes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.up", description=__doc__)
    chosen = parser.add_subparsers(dest="command", required=True)
    for name, text in _HELP.items():
        command = chosen.add_parser(name, help=text)
        add_options(command)
        if name == "reset-data":
            command.add_argument("--yes", action="store_true", help="do not ask")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
