"""Faults of the ledger's disk: a small file system that can be filled, and other programs that open the file."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.histories import operator_programs
from tests.histories.faults import Fault, background

__all__ = ["Disk", "foreign_faults"]

_BYTES = 96 * 1024 * 1024


class Disk:
    """A folder on a small file system if the superuser runs this; otherwise a plain folder, which is never full."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(mode=0o700)
        self._mounted = False

    def mount(self) -> None:
        """Give the folder its own disk, if that is allowed here."""
        command = ["mount", "-t", "tmpfs", "-o", f"size={_BYTES},mode=0700", "tmpfs", str(self.folder)]
        try:
            self._mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            self._mounted = False

    def unmount(self) -> None:
        """Unmount the disk, with everything on it."""
        if self._mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)
            self._mounted = False

    def faults(self) -> list[Fault]:
        """Return the fault that the disk is full for a while."""
        filler = self.folder / "filler"
        end = partial(filler.unlink, missing_ok=True)
        return [Fault("full disk", "disk", partial(_fill, filler), end, 0.5, 2.0)] if self._mounted else []


def foreign_faults(ledger: Path, log: Path) -> list[Fault]:
    """Return the faults in which other processes open and close SQLite's file."""
    program = [sys.executable, "-I", "-S", operator_programs.__file__]
    return [
        background(f"another process: {way}", [*program, way, str(ledger)], {}, cwd=ledger.parent, log=log, weight=1.5)
        for way in operator_programs.WAYS
    ]


def _fill(filler: Path) -> None:
    """Leave no byte free."""
    with filler.open("wb", buffering=0) as stream:
        space = os.statvfs(filler.parent)
        try:
            os.posix_fallocate(stream.fileno(), 0, max(1, space.f_bavail * space.f_frsize))
        except OSError:
            _write_to_the_end(stream.fileno())


def _write_to_the_end(descriptor: int) -> None:
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except OSError:
        return
