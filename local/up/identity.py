"""Identifies processes by pid and start time, so that a reused pid is never taken for the old process."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Identity", "descendants", "end_all", "identify"]

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Identity:
    """One process; ``started`` differs for a later process with the same pid."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Return whether this process still runs; a zombie does not."""
        return identify(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Signal this process if it still runs, and no other."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def identify(pid: int) -> Identity | None:
    """Return the process that has ``pid`` now, or None."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Identity(pid, _ticks(pid) or f"{process.create_time():.2f}")
    except psutil.Error:
        return None


def descendants(identity: Identity) -> list[Identity]:
    """Return all descendants of this process; none when it has ended."""
    if not identity.alive():
        return []
    try:
        children = psutil.Process(identity.pid).children(recursive=True)
    except psutil.Error:
        return []
    return [found for child in children if (found := identify(child.pid))]


def end_all(processes: Iterable[Identity], *, grace: float) -> list[Identity]:
    """Send SIGTERM, and SIGKILL after ``grace`` seconds, to processes and their descendants; return who is left."""
    tops = list(processes)
    everyone = list(dict.fromkeys([*tops, *(below for top in tops for below in descendants(top))]))
    for top in tops:
        top.send(signal.SIGTERM)
    left = _wait(everyone, grace)
    for process in left:
        process.send(signal.SIGKILL)
    return _wait(left, 5.0)


def _wait(processes: list[Identity], seconds: float) -> list[Identity]:
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if process.alive()]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return left


def _ticks(pid: int) -> str | None:
    """Return, on Linux, the clock ticks since boot, which do not change when the time of day is set."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return f"{boot}:{fields[19]}"
