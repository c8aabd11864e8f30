"""The smaller commands: status, check, reindex, set-aside, backup, restore, tidy, forgetless and reset-data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from local.up.down import clean_up
from local.up.errors import UpError
from local.up.keys import known_key
from local.up.parts import environment_of_functions, index_command, ledger_command
from local.up.record import is_locked, lock, read_record
from local.up.settings import BACKUPS, ROOT, Settings
from local.up.state_folder import open_state

__all__ = ["backup", "check", "forgetless", "reindex", "reset_data", "restore", "set_aside", "status", "tidy"]

#: What `reset-data` keeps: models, the key that clients know, logs, backups, the log of erasures, without which these
#: would bring back what was erased, and the lock that it holds itself.
_KEPT = frozenset({"models", "api_key", "logs", "up.lock", BACKUPS, "ledger.db-erasures"})

#: The commands that read what is noted beside Milvus' data.
_MARKED = frozenset({"check", "migrate", "reindex"})


def status(settings: Settings) -> str:
    """Return the processes that run; raises UpError when nothing runs or the gateway is not healthy."""
    record = read_record(settings.state)
    if record is None or not is_locked(settings.state):
        raise UpError(f"nothing is running on {settings.state}; start it with: make up")
    lines = [f"{name:<9} pid {identity.pid}" for name, identity in record.parts.items() if identity.alive()]
    # With the administrator's key, the answer names what is out.
    headers = {"X-API-Key": key} if (key := known_key(settings.state, os.environ)) else {}
    try:
        answer = httpx.get(f"{record.url}/health", headers=headers, timeout=10.0, trust_env=False)
    except httpx.HTTPError as error:
        raise UpError(f"{record.url}/health does not answer ({type(error).__name__}); see {settings.logs}") from None
    if answer.status_code != httpx.codes.OK:
        raise UpError(f"{record.url}/health says {answer.status_code}: {answer.text[:300]}")
    health = answer.json()
    told = (
        "is healthy" if health["status"] == "ok" else f"is {health['status']}: {health.get('detail', 'see the logs')}"
    )
    return "\n".join([*lines, f"{record.url} {told}"])


def reset_data(settings: Settings, *, sure: bool = False) -> str:
    """Delete memories, index and queue; models, logs and API key stay. Raises UpError while the service runs."""
    if not settings.state.is_dir():
        return "There is no data."
    with lock(settings.state):
        if not sure and sys.stdin.isatty():
            answer = input(f"Delete all memories in {settings.state}? Type yes: ")
            if answer.strip().lower() != "yes":
                return "Nothing was deleted."
        for found in settings.state.iterdir():
            if found.name not in _KEPT:
                _delete(found)
    kept = f"; so are backups, in {settings.backups}" if settings.backups.exists() else ""
    return f"The memories in {settings.state} are deleted; models, logs and API key are kept{kept}."


def _delete(found: Path) -> None:
    if found.is_dir() and not found.is_symlink():
        shutil.rmtree(found)
    else:
        found.unlink()


def check(settings: Settings, environment: Mapping[str, str], options: Sequence[str]) -> int:
    """Run `forgetless check` on this state folder and return its exit code."""
    return _call(settings, environment, index_command("check", settings, *options))


def reindex(settings: Settings, environment: Mapping[str, str], *, afresh: bool = False) -> str:
    """Rebuild the index from the ledger; raises UpError when the service does not run or the rebuild fails."""
    if not is_locked(settings.state):
        raise UpError("the rebuild needs the embedder and Milvus; start them with: make up")
    if _call(settings, environment, index_command("reindex", settings, *(("--afresh",) if afresh else ()))):
        raise UpError("the index was not rebuilt to its end; the lines above say why. Run it again to continue")
    return f"The index is rebuilt from {os.path.relpath(settings.ledger)}."


def set_aside(settings: Settings, environment: Mapping[str, str], *, retry: bool = False) -> int:
    """Run `forgetless set-aside` on this state folder and return its exit code."""
    return _call(settings, environment, ledger_command("set-aside", *(("--retry",) if retry else ())))


def backup(settings: Settings, environment: Mapping[str, str], file: str, *, overwrite: bool = False) -> int:
    """Copy the ledger and return the exit code; without a file name it goes into the state folder's `backups`."""
    target = os.path.abspath(ROOT / Path(file).expanduser()) if file else str(settings.backups)
    if not file or file.endswith(os.sep):
        target += os.sep
    return _call(settings, environment, ledger_command("backup", target, *(("--overwrite",) if overwrite else ())))


def restore(settings: Settings, environment: Mapping[str, str], file: str, options: Sequence[str] = ()) -> int:
    """Replace the ledger by a copy and return the exit code. Raises UpError while the service runs."""
    open_state(settings.state)
    source = os.path.abspath(ROOT / Path(file).expanduser())
    with lock(settings.state):
        clean_up(settings.state)
        return _call(settings, environment, ledger_command("restore", source, *options))


def tidy(settings: Settings, environment: Mapping[str, str], *, anyway: bool = False) -> int:
    """Give back the space that the ledger no longer needs and return the exit code."""
    return _call(settings, environment, ledger_command("tidy", *(("--anyway",) if anyway else ())))


def forgetless(settings: Settings, environment: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Run any command of `forgetless` on this state folder and return its exit code."""
    command = index_command(arguments[0], settings, *arguments[1:]) if _MARKED.intersection(arguments[:1]) else None
    return _call(settings, environment, command or ledger_command(*arguments))


def _call(settings: Settings, environment: Mapping[str, str], command: Sequence[str]) -> int:
    if not settings.state.is_dir():
        raise UpError(f"there is nothing in {settings.state}; start it with: make up")
    handed = {**environment, **environment_of_functions(settings, environment)}
    return subprocess.run(command, cwd=ROOT, env=handed, check=False).returncode
