"""WriteHealth: whether writes may still fail, because one did, in this process or in another one over the same file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["WriteHealth"]


class WriteHealth:
    """Is in doubt from a write that failed until a later trial succeeds.

    Other processes learn of it by an empty file beside the ledger's. Where not even that can be made (a file system
    that has become read-only), they see by themselves that the ledger's file is not writable.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._marker = ledger.with_name(f"{ledger.name}-write-failed")
        self._here = False

    @property
    def in_doubt(self) -> bool:
        """Whether to try a write before saying that all is well; costs two looks at the file system."""
        return self._here or self._marker.exists() or (self._ledger.exists() and not os.access(self._ledger, os.W_OK))

    def note_failure(self) -> None:
        """A write has failed."""
        self._here = True
        with contextlib.suppress(OSError):
            self._marker.touch(mode=0o600)

    def note_success(self) -> None:
        """A write has succeeded."""
        self._here = False
        with contextlib.suppress(OSError):
            self._marker.unlink(missing_ok=True)
