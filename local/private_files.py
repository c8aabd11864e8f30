"""Keeps files private to their owner: a umask for the whole process, and folders with mode 0700."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["close_files", "keep_private", "private_folder"]


def keep_private() -> None:
    """Set the umask once when a process starts, so that no other user can read its files and its children's."""
    os.umask(0o077)


def private_folder(folder: Path, *, ours: Iterable[str]) -> None:
    """Make a folder that only its owner can open; raises OSError when it cannot be made.

    An existing folder gets this mode only if it is empty or holds one of the files ``ours``: it could be a home folder.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not any(folder.iterdir()) or any((folder / name).exists() for name in ours):
        with contextlib.suppress(PermissionError):
            folder.chmod(0o700)


def close_files(files: Iterable[Path]) -> None:
    """Make files of an earlier version private, by their paths: closing a descriptor of a database drops its locks."""
    for file in files:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            file.chmod(0o600)
