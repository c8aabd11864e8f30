"""What is written on this machine is its owner's alone: a umask for the whole process, and folders that are closed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["close_files", "keep_private", "private_folder"]


def keep_private() -> None:
    """Called once when a process starts: what it and its children make, no other user can read."""
    os.umask(0o077)


def private_folder(folder: Path, *, ours: Iterable[str]) -> None:
    """Make a folder for its owner alone; raises OSError when it cannot be made.

    One that is there already is closed when it holds something of ``ours``: another may be somebody's home.
    """
    made = not folder.exists()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if made or any((folder / name).exists() for name in ours):
        with contextlib.suppress(PermissionError):
            folder.chmod(0o700)


def close_files(files: Iterable[Path]) -> None:
    """Close files of an earlier version to others, by their paths: a descriptor of a database would drop its locks."""
    for file in files:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            file.chmod(0o600)
