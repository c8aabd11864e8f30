"""A lock file beside the ledger that shows which processes use it. All processes with the ledger open share it.

Connections are opened and closed with threads, so an idle service may have none. A restore must not take it for a
stopped service. The lock is on a separate file, because closing a descriptor of the database would drop SQLite's locks.
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
    """This process' share of the lock. It holds the share from its first use of the ledger on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def enter(self) -> None:
        """Register as a user; raises LedgerError while another process replaces the ledger's file."""
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
        """Stop being registered as a user."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Make sure that no other process uses the ledger or begins to; raises LedgerError when one does."""
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
    # Without waiting: a pipe that another user has put there would wait for whoever made it.
    flags = os.O_RDONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    return os.open(path.with_name(f"{path.name}-users"), flags, 0o600)
