"""FileErasureLog: the log of erasures as a file of JSON lines, beside the SQLite ledger.

A line is written and synchronised under a lock on the file. A process that dies in the middle leaves a line without
its end. Nobody was told of it; readers leave it out, and the next writer cuts it off.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forgetless.domain.erasure_log import LogLine, dump_header, dump_line, load_header, load_line
from forgetless.domain.errors import LedgerError

__all__ = ["FileErasureLog", "log_beside", "read_log"]


def log_beside(ledger: Path) -> Path:
    """The file of the log that belongs to a ledger's file."""
    return ledger.with_name(f"{ledger.name}-erasures")


class FileErasureLog:
    """See `forgetless.ports.erasure_log.ErasureLog`. Several processes may use the file at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key: bytes | None = None

    def key(self) -> bytes:
        if self._key is None:
            with self._locked() as descriptor:
                self._key = self._begun(descriptor)
        return self._key

    def write(self, line: LogLine) -> None:
        with self._locked() as descriptor:
            key = self._begun(descriptor)
            if self._key is not None and key != self._key:
                # Somebody has put another file here: the digests of this line would mean nothing in it.
                raise self._failure("it was replaced while it was in use; restart the service")
            _append(descriptor, dump_line(line))

    def lines(self) -> Iterator[LogLine]:
        if not self._path.exists():
            return
        _, _, lines = self._read()
        yield from lines

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _read(self) -> tuple[bytes, bool, list[LogLine]]:
        if self._path.is_fifo():  # it would wait for whoever made it
            raise self._failure("it is a named pipe")
        try:
            return read_log(self._path)
        except (OSError, ValueError) as error:
            raise self._failure(str(error)) from error

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, which nobody else reads its end of or writes to meanwhile."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise ValueError("it is not a file")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield descriptor
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise self._failure(reason) from error

    def _begun(self, descriptor: int) -> bytes:
        """The key of the file, which is begun if it is empty; a line without its end is cut off."""
        with os.fdopen(os.dup(descriptor), "rb") as file:
            head = file.readline()
        if not head.endswith(b"\n"):
            os.ftruncate(descriptor, 0)
            key = secrets.token_bytes(32)
            _append(descriptor, dump_header(key))
            _sync_folder(self._path.parent)
            return key
        _cut(descriptor)
        key, of_one = load_header(head.decode())
        if of_one:
            raise ValueError("it is about one tenant; move it elsewhere")
        return key

    def _failure(self, reason: str) -> LedgerError:
        return LedgerError(f"the log of erasures {self._path.name} failed: {reason}")


def read_log(path: Path) -> tuple[bytes, bool, list[LogLine]]:
    """Key, whether it is about one tenant, and lines; raises OSError, and ValueError with the number of a bad line."""
    lines = path.read_bytes().split(b"\n")[:-1]
    if not lines:
        raise ValueError("it is empty")
    found: list[LogLine] = []
    number = 1
    try:
        key, of_one = load_header(lines[0].decode())
        for line in lines[1:]:
            number += 1
            found.append(load_line(line.decode()))
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None
    return key, of_one, found


def _append(descriptor: int, text: str) -> None:
    """Write a line at the end and synchronise the file; after an error the file is as it was."""
    begin = os.lseek(descriptor, 0, os.SEEK_END)
    rest = memoryview(text.encode() + b"\n")
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, begin)
        raise


def _cut(descriptor: int) -> None:
    """Cut off what stands after the last end of a line."""
    size = end = os.lseek(descriptor, 0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 4096)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
