"""The command line of an operator: `python -m forgetless.cli --help`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from forgetless.cli.backup import add_backup_commands
from forgetless.cli.compact import add_compact_command
from forgetless.cli.erase import add_erase_command
from forgetless.cli.erasures import add_erasures_command
from forgetless.cli.generations import add_generations_command
from forgetless.cli.jobs import add_job_commands
from forgetless.cli.keys import add_key_commands
from forgetless.cli.memories import add_memory_commands
from forgetless.cli.migrate import add_migrate_command
from forgetless.cli.quotas import add_usage_command
from forgetless.cli.serve import add_serve_command
from forgetless.cli.set_aside import add_set_aside_command
from forgetless.cli.stores import FAILED, OK, add_store_commands, exit_code_of
from forgetless.cli.tenants import add_tenant_commands
from forgetless.cli.text import printable_lines
from forgetless.cli.tidy import add_tidy_command
from forgetless.cli.transfer import add_transfer_commands
from forgetless.domain.errors import ForgetlessError
from forgetless.runtime.settings import load_settings
from forgetless.runtime.start import keep_private

__all__ = ["FAILED", "OK", "PIPE_CLOSED", "main"]

#: The exit code of a program whose output nobody reads any more, as shells give it for SIGPIPE.
PIPE_CLOSED = 141

_EPILOG = """examples:
  python -m forgetless.cli serve --processes 2
  python -m forgetless.cli keys create --role read --user-id alice --label "alice's phone"
  python -m forgetless.cli keys list
  python -m forgetless.cli keys revoke 5f0c…
  python -m forgetless.cli tenants set acme --quota adds_per_day=1000 --quota stored_memories=50000
  python -m forgetless.cli usage --tenant acme --by-key
  python -m forgetless.cli check
  python -m forgetless.cli reindex --afresh
  python -m forgetless.cli generations
  python -m forgetless.cli generations back
  python -m forgetless.cli jobs list --open
  python -m forgetless.cli set-aside --retry
  python -m forgetless.cli memories restore 0e5f…
  python -m forgetless.cli tenants delete acme
  python -m forgetless.cli backup /backups/
  python -m forgetless.cli migrate --plan
  python -m forgetless.cli restore /backups/ledger-20261127T101500Z.db
  python -m forgetless.cli tidy
  python -m forgetless.cli compact
  python -m forgetless.cli export --out backup.jsonl
  python -m forgetless.cli import backup.jsonl
  python -m forgetless.cli erasures erased.jsonl --tenant default
  python -m forgetless.cli erase --verify --user alice
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    keep_private()
    options = _parser().parse_args(arguments)
    try:
        code = int(options.run(load_settings(), options))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Who read it, `head` for example, has enough. Python's flush at exit must not fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except ForgetlessError as error:
        print(printable_lines(f"forgetless: {error.message}"), file=sys.stderr)
        return exit_code_of(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="forgetless",
        description="Operate a Forgetless deployment.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_serve_command(commands)
    add_key_commands(commands)
    add_store_commands(commands)
    add_generations_command(commands)
    add_set_aside_command(commands)
    add_backup_commands(commands)
    add_job_commands(commands)
    add_usage_command(commands)
    add_memory_commands(commands)
    add_tenant_commands(commands)
    add_tidy_command(commands)
    add_compact_command(commands)
    add_migrate_command(commands)
    add_transfer_commands(commands)
    add_erasures_command(commands)
    add_erase_command(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
