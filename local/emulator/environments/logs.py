"""The log of all environments: one file, every line prefixed with function and environment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

#: Beyond this size the file is renamed to functions.log.1 and a new one is begun.
MAX_LOG_BYTES = 64 * 1024 * 1024
#: Lines wait at most this long in memory.
FLUSH_SECONDS = 0.1
#: A longer line is cut, as CloudWatch does.
MAX_LINE_BYTES = 256 * 1024


class FunctionLog:
    """Appends lines to a file in batches; must be used from the event loop's thread."""

    def __init__(
        self, path: Path, max_bytes: int = MAX_LOG_BYTES, *, seen: Callable[[bytes], None] = lambda _: None
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._max_bytes = path, max_bytes
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._size = path.stat().st_size
        self._lines: list[bytes] = []
        self._second, self._stamp = 0, ""
        #: Is told each line that a process printed.
        self._seen = seen

    def write(self, prefix: str, line: str) -> None:
        """Append one line of the emulator's own."""
        self.write_raw(f"{prefix} {self._now()} ".encode(), line.encode())

    def write_output(self, prefix: str, lines: list[bytes]) -> None:
        """Append what a process printed."""
        head = f"{prefix} {self._now()} ".encode()
        for line in lines:
            self._seen(line)
            self.write_raw(head, line)

    def write_raw(self, head: bytes, line: bytes) -> None:
        """Append one line with its prefix ready-made."""
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        self._lines.append(head + line[:MAX_LINE_BYTES] + b"\n")

    def flush(self) -> None:
        """Write the waiting lines; with a full disk lines are lost, but no invocation fails."""
        if not self._lines or self._file.closed:
            return
        data = b"".join(self._lines)
        self._lines.clear()
        try:
            if self._size + len(data) > self._max_bytes:
                self._rotate()
            self._file.write(data)
            self._size += len(data)
        except OSError:
            return

    def close(self) -> None:
        """Write the waiting lines and close the file."""
        self.flush()
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file, self._size = self._path.open("ab", buffering=0), 0

    def _now(self) -> str:
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        return f"{self._stamp}.{int(now * 1000) % 1000:03d}Z"
