"""A child process with a log, which ends with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from local.up.identity import Identity, descendants, identify

__all__ = ["Child", "die_with_parent"]

_PR_SET_PDEATHSIG = 1
#: Loaded before any fork, because between fork and exec nothing may be imported or locked.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
#: A log with more bytes than this is renamed to FILE.1 at the next start.
_LOG_BYTES = 10_000_000
_TAIL_BYTES = 4096


class Child:
    """A running command in a session of its own, so that the terminal's Ctrl-C reaches it only through us."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, offset: int) -> None:
        self.identity = identify(process.pid) or Identity(process.pid, "gone")
        self._process = process
        self._log = log
        self._offset = offset

    @classmethod
    async def start(cls, command: tuple[str, ...], environment: Mapping[str, str], log: Path, cwd: Path) -> Child:
        """Start ``command`` with its output appended to ``log``; raises OSError when it cannot be started."""
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            os.replace(log, log.with_name(f"{log.name}.1"))
        parent = os.getpid()
        with log.open("ab") as stream:
            offset = stream.tell()
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_follow(parent),
            )
        return cls(process, log, offset)

    @property
    def code(self) -> int | None:
        """Return the exit code, negative after a signal, or None while the process runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end and return the exit code."""
        return await self._process.wait()

    def lines(self) -> list[str]:
        """Return the lines that it printed since its start, without empty ones; the last ones if there are many."""
        try:
            with self._log.open("rb") as stream:
                end = stream.seek(0, os.SEEK_END)
                stream.seek(max(self._offset, end - _TAIL_BYTES))
                text = stream.read().decode("utf-8", "replace")
        except OSError:  # Somebody removed the logs, which is no reason to fail.
            return []
        return [line.strip() for line in text.splitlines() if line.strip()]

    async def stop(self, seconds: float) -> None:
        """Send SIGTERM, and SIGKILL after ``seconds``; then kill the descendants that are left."""
        below = descendants(self.identity)
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            below = list({*below, *descendants(self.identity)})
            self.signal(signal.SIGKILL)
            await self._process.wait()
        for orphan in below:
            orphan.send(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Signal the child if it still runs (asyncio never signals a pid that it has reaped)."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send ``number`` to this process when its parent ends (Linux; elsewhere nothing)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)


def _follow(parent: int) -> Callable[[], None]:
    def before_exec() -> None:
        die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:  # The parent died in between: no signal will come any more.
            os._exit(1)

    return before_exec
