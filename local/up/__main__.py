"""`python -m local.up COMMAND`: the commands behind the Makefile that start, stop and look after what runs here."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from local.private_files import keep_private
from local.up import commands
from local.up.down import down
from local.up.errors import UpError
from local.up.settings import add_options, read_settings
from local.up.up import up

_HELP = {
    "up": "start every part and stay in the foreground",
    "down": "stop what `up` started; returns when all processes have ended",
    "status": "show which parts run and whether the service answers",
    "check": "check whether ledger and index are sound and fit each other",
    "reindex": "rebuild the index of the running service from the ledger",
    "set-aside": "list the memories that cannot be indexed, or try them again",
    "backup": "copy the ledger; the service may run meanwhile",
    "restore": "replace the ledger by a copy, while the service is stopped",
    "tidy": "give back the space that the ledger no longer needs; the service may run meanwhile",
    "forgetless": "run a command of forgetless on this state folder: forgetless -- jobs list --open",
    "reset-data": "delete all memories of this machine",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 after one line on stderr that names the reason."""
    keep_private()
    options = _parser().parse_args(arguments)
    try:
        said = _run(options)
    except (UpError, OSError) as error:
        print(f"forgetless: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if isinstance(said, int):
        return said
    if said:
        print(said)
    return 0


def _run(options: argparse.Namespace) -> str | int:
    settings = read_settings(options, os.environ)
    said: str | int = ""
    match options.command:
        case "up":
            up(settings, os.environ)
        case "down":
            said = down(settings.state)
        case "status":
            said = commands.status(settings)
        case "check":
            said = commands.check(settings, os.environ, options.rest)
        case "reindex":
            said = commands.reindex(settings, os.environ, afresh=options.afresh)
        case "set-aside":
            said = commands.set_aside(settings, os.environ, retry=options.retry)
        case "backup":
            said = commands.backup(settings, os.environ, options.file, overwrite=options.overwrite)
        case "restore":
            names = ("replace", "include-erased", "keys-of-copy")
            more = [f"--{name}" for name in names if getattr(options, name.replace("-", "_"))]
            said = commands.restore(settings, os.environ, options.file, more)
        case "tidy":
            said = commands.tidy(settings, os.environ, anyway=options.anyway)
        case "forgetless":
            said = commands.forgetless(settings, os.environ, options.rest)
        case _:
            said = commands.reset_data(settings, sure=options.yes)
    return said


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.up", description=__doc__)
    chosen = parser.add_subparsers(dest="command", required=True)
    for name, text in _HELP.items():
        command = chosen.add_parser(name, help=text)
        add_options(command)
        _add_own(name, command)
    return parser


def _add_own(name: str, command: argparse.ArgumentParser) -> None:
    """Add the options that only this command has."""
    match name:
        case "up":
            command.add_argument(
                "--empty-ledger",
                action="store_true",
                help="the ledger is empty on purpose: drop the rows of the index",
            )
            command.add_argument(
                "--accept-degraded",
                action="store_true",
                help="the model of the present index cannot run: search by words alone until another index is filled",
            )
        case "check":
            command.add_argument("rest", nargs="*", metavar="-- OPTION", help="options of forgetless check")
        case "forgetless":
            command.add_argument("rest", nargs="*", metavar="-- ARGUMENT", help="the command and its options")
        case "reindex":
            command.add_argument(
                "--afresh", action="store_true", help="drop all rows first; searches do not find them meanwhile"
            )
        case "set-aside":
            command.add_argument("--retry", action="store_true", help="let sweep index all of them again")
        case "backup":
            command.add_argument("file", nargs="?", default="", help="file or folder (default: backups in the state)")
            command.add_argument("--overwrite", action="store_true", help="replace an older copy of this name")
        case "tidy":
            command.add_argument("--anyway", action="store_true", help="also if the file is large and the service runs")
        case "restore":
            command.add_argument("file", help="a file that backup wrote")
            command.add_argument("--replace", action="store_true", help="replace a ledger that has memories")
            command.add_argument("--include-erased", action="store_true", help="keep what was erased after the copy")
            command.add_argument(
                "--keys-of-copy", action="store_true", help="keep keys that were revoked after the copy"
            )
        case "reset-data":
            command.add_argument("--yes", action="store_true", help="do not ask")


if __name__ == "__main__":
    raise SystemExit(main())
