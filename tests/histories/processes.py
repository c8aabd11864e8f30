"""A process of a world, which the main thread starts, kills, pauses and restarts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import httpx

from local.up.identity import Identity, descendants, end_all, identify
from local.up.process import die_with_parent

__all__ = ["PATIENCE_S", "Process", "WorldError", "answers", "wait_until"]

# Before pymilvus is loaded: gRPC's handlers of fork() may end a child between fork and exec, without a word.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

#: Seconds that something may take on a busy machine.
PATIENCE_S = 120.0
#: Seconds in which a process must end by itself.
_GRACE_S = 20.0


class WorldError(Exception):
    """The world under test cannot run, so nothing is known of the service."""


class Process:
    """A command that may run many times in turn; the kernel ends it with the thread that started it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        cwd: Path,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._cwd = cwd
        self._ready = ready
        self._running: subprocess.Popen[bytes] | None = None
        self._identity: Identity | None = None

    @property
    def alive(self) -> bool:
        """Return whether it runs now, paused or not."""
        return self._running is not None and self._running.poll() is None

    def start(self) -> None:
        """Start it, unless it runs; it may not be ready yet."""
        if self.alive:
            return
        with self.log.open("ab") as stream:
            self._running = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=self._environment,
                cwd=self._cwd,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, signal.SIGTERM),  # noqa: PLW1509 - one system call, no locks
            )
        self._identity = identify(self._running.pid)

    def wait_ready(self) -> None:
        """Wait until it is ready; raises WorldError when it ends or does not answer."""
        wait_until(lambda: not self.alive or self._is_ready(), f"{self.name} is ready", self.log)
        if not self.alive:
            raise WorldError(f"{self.name} ended at its start: {_last_line(self.log)} (log: {self.log})")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._running is not None and self._running.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._running.pid, number)

    def kill(self) -> None:
        """SIGKILL; returns when it is gone. What it started ends as the program itself has provided for."""
        self.signal(signal.SIGKILL)
        if self._running is not None:
            self._running.wait()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what does not end; returns when all below it is gone too."""
        self.signal(signal.SIGCONT)
        if self._identity is not None:
            end_all([self._identity], grace=_GRACE_S)
        if self._running is not None:
            self._running.wait()

    def below(self) -> list[Identity]:
        """All processes that it has started and that run now."""
        return descendants(self._identity) if self.alive and self._identity is not None else []

    def _is_ready(self) -> bool:
        return self._ready()


def answers(url: str) -> bool:
    """Whether a GET has a 200 for an answer now."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def wait_until(holds: Callable[[], bool], what: str, log: Path | None = None, *, seconds: float = PATIENCE_S) -> None:
    """Return once it holds; raises WorldError after `seconds`."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            said = f": {_last_line(log)} (log: {log})" if log else ""
            raise WorldError(f"after {seconds:g} s it is not true that {what}{said}")
        time.sleep(0.05)


def _last_line(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"
    return "it said nothing"
