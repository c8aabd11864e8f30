"""WriteHealth: whether a write to the file has failed, in this or another process, and none has succeeded since."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["WriteHealth"]


class WriteHealth:
    """Is in doubt from a failed write until a later trial succeeds.

    An empty file beside the ledger tells other processes. If even this file cannot be created, because the file system
    has become read-only, they find out themselves that the ledger's file is not writable.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._marker = ledger.with_name(f"{ledger.name}-write-failed")
        self._here = False

    @property
    def in_doubt(self) -> bool:
        """Whether to try a write before reporting health. It makes two checks in the file system."""
        return self._here or self._marker.exists() or (self._ledger.exists() and not os.access(self._ledger, os.W_OK))

    def note_failure(self) -> None:
        """Record that a write has failed."""
        self._here = True
        with contextlib.suppress(OSError):
            self._marker.touch(mode=0o600)

    def note_success(self) -> None:
        """Record that a write has succeeded."""
        self._here = False
        with contextlib.suppress(OSError):
            self._marker.unlink(missing_ok=True)
