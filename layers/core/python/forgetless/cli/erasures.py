"""The command `erasures`: writes what the log of erasures has about one tenant to a file, for `import --erasures`."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from forgetless.cli.private_files import replacing
from forgetless.domain.erasure_log import LoggedRestore, dump_header, dump_line, erased_since, tenant_digest
from forgetless.domain.errors import InvalidRequestError
from forgetless.runtime.composition import build_erasure_log
from forgetless.runtime.settings import Settings

__all__ = ["add_erasures_command"]

OK = 0


def add_erasures_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    erasures = commands.add_parser(
        "erasures",
        help="write a tenant's log of erasures to a file, for `import --erasures` elsewhere",
        description="The file has digests and their key instead of ids. Who has it can test whether a certain id was "
        "erased, so keep it as private as an export.",
    )
    erasures.add_argument("file", type=Path, help="the file; it is replaced")
    erasures.add_argument("--tenant", default="default", help="the tenant (default: default)")
    erasures.set_defaults(run=_erasures)


def _erasures(settings: Settings, options: argparse.Namespace) -> int:
    with closing(build_erasure_log(settings)) as log:
        key = log.key()
        owner = tenant_digest(key, options.tenant)
        kept = [line for line in log.lines() if isinstance(line, LoggedRestore) or line.tenant == owner]
    restores = [line for line in kept if isinstance(line, LoggedRestore)]
    erased = [replace(line, tenant="") for line in erased_since(kept, None)]
    lines = [dump_header(key, tenant=True), *map(dump_line, restores), *map(dump_line, erased)]
    try:
        with replacing(options.file) as out:
            out.writelines(f"{line}\n".encode() for line in lines)
    except OSError as error:
        raise InvalidRequestError(f"{options.file}: {error.strerror}") from None
    print(f"{options.file}: {len(erased):,} erasures of the tenant {options.tenant}")
    return OK
