"""Files that a command writes and only its user may read, also in folders where others may write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["continued_file", "new_private_file", "replacing"]


def new_private_file(path: Path) -> BinaryIO:
    """A new file of mode 0600. What was at `path` before is gone: it may be somebody else's, or a link."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "r+b")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new private file, which takes the place of `path` when everything is written; of half of one, nothing stays.

    Until then it is PATH.part. Only a command that is killed leaves that behind, and the next one replaces it.
    """
    part = path.with_name(f"{path.name}.part")
    out = new_private_file(part)
    try:
        with out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except BaseException:  # also Ctrl-C
        part.unlink(missing_ok=True)
        raise


def continued_file(path: Path) -> BinaryIO | None:
    """The file that an earlier command of this user made by `new_private_file`; None if it is anything else."""
    try:
        # Without waiting, because a pipe would wait for whoever made it.
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    found = os.fstat(descriptor)
    private = found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077
    if stat.S_ISREG(found.st_mode) and private and found.st_nlink == 1:
        return os.fdopen(descriptor, "r+b")
    os.close(descriptor)
    return None
