"""Processes of environments, each in a group of its own that is killed as a whole and ends with the emulator."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_READ_BYTES = 64 * 1024
#: Seconds for which the pipe and sockets of an ended process are read on, if something else keeps them open.
_LAST_WORDS_SECONDS = 0.5
# Loaded here and not between fork and exec, where an import could wait for a lock that nobody releases.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # The emulator died before the line above.
                os._exit(1)

    return prepare


#: Positions in /proc/PID/stat after the name, and the flags of a process that ends (proc(5)).
_FLAGS, _PENDING = 6, 28
_ENDING = 0x4 | 0x400  # PF_EXITING, PF_SIGNALED
_KILLED = 1 << (signal.SIGKILL - 1)


def _open_stat(pid: int) -> int | None:
    try:
        return os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


class Process:
    """One running runtime; `ended` returns its exit code, and `close` is called when its output was read."""

    def __init__(
        self,
        pid: int,
        output: asyncio.StreamReader,
        ended: Callable[[], Awaitable[int]],
        close: Callable[[], None] = lambda: None,
    ) -> None:
        #: The process id, which is that of its group too.
        self.pid = pid
        self._output, self._ended, self._close = output, ended, close
        self._task: asyncio.Task[None] | None = None
        self._stat = _open_stat(pid)

    @classmethod
    async def start(
        cls, command: list[str], variables: Mapping[str, str], folder: Path, *, descriptors: tuple[int, ...] = ()
    ) -> Process:
        """Start a command in a folder, with these variables and no others, and with these open descriptors."""
        process = await asyncio.create_subprocess_exec(
            *command,
            env=variables,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent(os.getpid()),
            pass_fds=descriptors,
        )
        assert process.stdout is not None
        return cls(process.pid, process.stdout, process.wait)

    def watch(
        self,
        on_lines: Callable[[list[bytes]], None],
        on_exit: Callable[[int], None],
        hung_up: Callable[[], Awaitable[None]],
    ) -> None:
        """Pass on the lines that the process prints and, once, its exit code; `hung_up` waits for its connections."""
        self._task = asyncio.get_running_loop().create_task(self._watch(on_lines, on_exit, hung_up))

    async def _watch(
        self,
        on_lines: Callable[[list[bytes]], None],
        on_exit: Callable[[int], None],
        hung_up: Callable[[], Awaitable[None]],
    ) -> None:
        output = asyncio.create_task(self._read(on_lines))
        code = await self._ended()
        # Its output and the end of its connections come first. They are there at once, unless a
        # grandchild keeps pipe or socket open.
        ends = [output, asyncio.ensure_future(hung_up())]
        await asyncio.wait(ends, timeout=_LAST_WORDS_SECONDS)
        for end in ends:
            end.cancel()
        self._close()
        if self._stat is not None:
            os.close(self._stat)
            self._stat = None
        on_exit(code)

    async def _read(self, on_lines: Callable[[list[bytes]], None]) -> None:
        rest = b""
        while data := await self._output.read(_READ_BYTES):
            lines = (rest + data).splitlines() if data.endswith(b"\n") else (rest + data).split(b"\n")
            rest = b"" if data.endswith(b"\n") else lines.pop()
            if len(rest) > _READ_BYTES * 4:  # A line without an end must not fill the memory.
                lines, rest = [*lines, rest], b""
            on_lines(lines)
        if rest:
            on_lines([rest])

    @property
    def doomed(self) -> bool:
        """Return whether the process was killed, even if it has had no core since and nothing else shows it yet.

        An event that is sent to such a process is lost. The check reads one file in memory; without /proc the answer
        is always False.
        """
        if self._stat is None:
            return False
        try:
            fields = os.pread(self._stat, 1024, 0).rpartition(b") ")[2].split()
        except OSError:  # The process has ended.
            return True
        flags, pending = int(fields[_FLAGS]), int(fields[_PENDING])
        return fields[0] in b"ZX" or bool(flags & _ENDING) or bool(pending & _KILLED)

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; a group that has ended is no error."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """End the whole group at once."""
        self.signal(signal.SIGKILL)

    async def gone(self) -> None:
        """Return when the process has ended and its end was passed on."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def peak_memory(self) -> int:
        """Return the most memory the process has had, in MB (0 where the system does not say)."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return 0
        _, found, rest = status.partition("VmHWM:")
        return int(rest.split()[0]) // 1024 if found else 0
