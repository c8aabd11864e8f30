"""The command line of an operator: `python -m forgetless.cli --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from forgetless.cli_keys import add_key_commands
from forgetless.cli_transfer import add_transfer_commands
from forgetless.domain.errors import ForgetlessError
from forgetless.runtime.composition import build_ledger, build_services, collection_name
from forgetless.runtime.settings import Settings, load_settings

__all__ = ["main"]

#: Everything went well.
OK = 0
#: The command could not be done; one line on standard error says why.
FAILED = 1

_EPILOG = """examples:
  python -m forgetless.cli keys create --role read --user-id alice --label "alice's phone"
  python -m forgetless.cli keys list
  python -m forgetless.cli keys revoke 5f0c…
  python -m forgetless.cli check
  python -m forgetless.cli reindex
  python -m forgetless.cli export --out backup.jsonl
  python -m forgetless.cli import backup.jsonl
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(load_settings(), options))
    except ForgetlessError as error:
        print(f"forgetless: {error.message}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="forgetless",
        description="Operate a Forgetless deployment.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_key_commands(commands)
    check = commands.add_parser("check", help="say whether this state fits: prints ok, or reindex")
    check.set_defaults(run=_check)
    _marker_option(check)
    reindex = commands.add_parser("reindex", help="rebuild the index from the ledger")
    reindex.set_defaults(run=_reindex)
    _marker_option(reindex)
    migrate = commands.add_parser("migrate", help="bring the ledger to this program's schema")
    migrate.add_argument("--create", action="store_true", help="make the DynamoDB table where no template does")
    migrate.set_defaults(run=_migrate)
    add_transfer_commands(commands)
    return parser


def _migrate(settings: Settings, options: argparse.Namespace) -> int:
    ledger = build_ledger(settings)
    if options.create and settings.ledger == "dynamodb":
        from forgetless.adapters.ledger_dynamodb import DynamoLedger  # noqa: PLC0415

        assert isinstance(ledger, DynamoLedger)
        ledger.create_table()
    print(f"steps: {ledger.migrate()}")
    ledger.close()
    return OK


def _marker_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--marker",
        type=Path,
        help="the file that names the collection which holds the memories; keep it beside the index's data "
        "(default: beside the ledger)",
    )


def _check(settings: Settings, options: argparse.Namespace) -> int:
    ledger = build_ledger(settings)
    ledger.ping()
    empty = not ledger.list_memories("default", {}, limit=1).items
    ledger.close()
    marker = _marker(settings, options)
    if empty and not marker.exists():
        _mark(marker, settings)
    fits = marker.exists() and marker.read_text(encoding="utf-8") == collection_name(settings)
    print("ok" if fits else "reindex")
    return OK


def _reindex(settings: Settings, options: argparse.Namespace) -> int:
    count = build_services(settings).sweep.index_all()
    _mark(_marker(settings, options), settings)
    print(f"indexed {count} memories into {collection_name(settings)}")
    return OK


def _marker(settings: Settings, options: argparse.Namespace) -> Path:
    given: Path | None = options.marker
    return given or Path(settings.ledger_path).with_name("index-collection")


def _mark(marker: Path, settings: Settings) -> None:
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(collection_name(settings), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
