"""The record of a running `up`: a lock that only one can hold, and the list of the processes that it started."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

from local.up.errors import UpError
from local.up.identity import Identity, identify
from local.up.keys import write_private
from local.up.state_folder import unusable

__all__ = ["Record", "is_locked", "lock", "read_record"]


@contextmanager
def lock(state: Path) -> Iterator[None]:
    """Lock the state folder; the kernel releases the lock even after SIGKILL.

    Raises UpError when another `up` holds it, or when the folder cannot be written.
    """
    try:
        opened = _lock_file(state)
    except OSError as error:
        raise unusable(state, error) from None
    with opened as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            record = read_record(state)
            who = f" (pid {record.owner.pid}, {record.url})" if record and record.owner else ""
            raise UpError(f"already running{who}; stop it with: make down") from None
        yield


def is_locked(state: Path) -> bool:
    """Return whether an `up` runs on this state folder now."""
    if not (state / "up.lock").exists():
        return False
    with _lock_file(state) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


class Record:
    """The processes of one `up`, written at every change so that `down` finds them after a SIGKILL."""

    def __init__(self, state: Path, url: str, owner: Identity | None, parts: dict[str, Identity]) -> None:
        self.url = url
        self.owner = owner
        self.parts = parts
        self._file = _record_file(state)

    @classmethod
    def of_this_process(cls, state: Path, url: str) -> Record:
        """Make a record that this process owns."""
        record = cls(state, url, identify(os.getpid()), {})
        record._write()
        return record

    def started(self, name: str, identity: Identity) -> None:
        """Remember that ``name`` runs as ``identity``."""
        self.parts[name] = identity
        self._write()

    def ended(self, name: str) -> None:
        """Forget ``name``."""
        self.parts.pop(name, None)
        self._write()

    def remove(self) -> None:
        """Remove the record; nothing runs any more."""
        self._file.unlink(missing_ok=True)

    def _write(self) -> None:
        parts = {name: asdict(identity) for name, identity in self.parts.items()}
        owner = asdict(self.owner) if self.owner else None
        write_private(self._file, json.dumps({"url": self.url, "owner": owner, "parts": parts}, indent=1) + "\n")


def read_record(state: Path) -> Record | None:
    """Return the record in the state folder, or None; a file that cannot be read counts as none."""
    try:
        found = json.loads(_record_file(state).read_text(encoding="utf-8"))
        owner = Identity(**found["owner"]) if found["owner"] else None
        parts = {name: Identity(**identity) for name, identity in found["parts"].items()}
        return Record(state, str(found["url"]), owner, parts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _record_file(state: Path) -> Path:
    return state / "up.json"


def _lock_file(state: Path) -> IO[str]:
    return (state / "up.lock").open("a", encoding="utf-8")
