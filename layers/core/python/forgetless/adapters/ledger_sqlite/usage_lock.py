"""Who uses a ledger: a lock file beside it, shared by every process that has opened the ledger since it began.

Connections come and go with threads, so a service at rest may have none; a restore must not mistake it for stopped.
The lock is on a file of its own: closing a descriptor of the database itself would drop SQLite's locks on it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forgetless.domain.errors import LedgerError

__all__ = ["Presence", "alone"]


class Presence:
    """This process' share in the lock, from the first use on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def enter(self) -> None:
        """Be seen as a user; raises LedgerError while somebody puts another file in the ledger's place."""
        if self._descriptor is not None:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = _opened(self._path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise LedgerError(f"the ledger {self._path.name} is being restored; try again in a moment") from None
        self._descriptor = descriptor

    def leave(self) -> None:
        """Be no user any more."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """No other process uses the ledger, nor begins to meanwhile; raises LedgerError when one does."""
    descriptor = _opened(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LedgerError(
                f"the ledger {path.name} is in use: stop the service first (make down), then restore"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    return os.open(path.with_name(f"{path.name}-users"), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
