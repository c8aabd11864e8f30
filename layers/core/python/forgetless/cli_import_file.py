"""Importing a file in portions: reads its lines, sends them, and goes on where an earlier command was."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from forgetless.domain.backoff import Timer
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import parse_line
from forgetless.domain.limits import PORTION_BYTES
from forgetless.service.transfer.erased_lines import ErasedLines
from forgetless.service.transfer.import_jobs import ImportPlace, digest_of

__all__ = ["ImportTarget", "SourceFile", "import_file"]

#: The namespace of the ids of imports, each of which is derived from the beginning of the file.
_IMPORTS = uuid.UUID("6f7267e7-1e55-5f1e-9d6b-000000000002")
#: How much of a file determines the id of its import. Another file with the same beginning is told by its digest.
_HEAD_BYTES = 64 * 1024
#: The sizes of portions. The first ones are small, so that the speed of the service is known soon.
_FIRST_BYTES, _LEAST_BYTES = 256 * 1024, 16 * 1024
#: Portions become larger while each takes less than this many seconds, and smaller above the other number.
_QUICK_S, _SLOW_S = 1.0, 4.0
#: What is sent in place of a line that is too long. It is refused and counted.
_STAND_IN = b'"a line that is too long"'


class ImportTarget(Protocol):
    """Where the lines go: a service, or a ledger on this machine. See `ImportJobs`."""

    def begin(self, job_id: str, *, file: str, lines: int | None, afresh: bool) -> ImportPlace:
        """Begin the import or go on with it."""

    def take(self, job_id: str, body: bytes, *, line: int, before: str, last: bool) -> ImportPlace:
        """Import some lines."""


class SourceFile:
    """The lines of a file of JSON lines, or of one JSON list (by itself, or under `results` or `memories`).

    A line longer than `most_bytes` is replaced by one that will be refused; with None, no line is too long. What
    `without` covers is left out.
    """

    def __init__(
        self, file: BinaryIO, path: Path, *, most_bytes: int | None = None, without: ErasedLines | None = None
    ) -> None:
        self.name = path.name
        self._file = file
        self._stamp = _stamp(file)
        self._head = head = file.read(_HEAD_BYTES)
        if b"\n" not in head:
            self._head += file.readline()
        self._most_bytes = most_bytes
        self._without = without
        #: The lengths of the lines that were replaced, by their numbers.
        self._too_long: dict[int, int] = {}
        self._records = _records_of(self._head, file)

    @property
    def job_id(self) -> str:
        """The id of the import of this file, whoever imports it. With a log of erasures it is another import."""
        left_out = "" if self._without is None else " without what was erased"
        return str(uuid.uuid5(_IMPORTS, hashlib.sha256(self._head[:_HEAD_BYTES]).hexdigest() + left_out))

    def count(self) -> int | None:
        """The number of lines; None for a pipe."""
        if self._records is not None:
            return len(self._records)
        if not self._file.seekable():
            return None
        ends, last = self._head.count(b"\n"), self._head[-1:]
        while block := self._file.read(1024 * 1024):
            ends, last = ends + block.count(b"\n"), block[-1:]
        self._file.seek(len(self._head))
        return ends + (last not in {b"", b"\n"})

    def lines(self) -> Iterator[bytes]:
        """The lines in order, each without its end."""
        lines: Iterator[bytes]
        if self._records is not None:
            lines = (json.dumps(record, ensure_ascii=True).encode() for record in self._records)
        else:
            lines = _split(self._head, self._file)
        for number, line in enumerate(lines, 1):
            if self._without is not None:
                line = self._without.kept(line)  # noqa: PLW2901 - the line that is imported
            if self._most_bytes is not None and len(line) >= self._most_bytes:
                self._too_long[number] = len(line)
                yield _STAND_IN
            else:
                yield line

    def explained(self, problem: str) -> str:
        """What to say about a line that was refused."""
        number = problem.removeprefix("line ").partition(":")[0]
        if not number.isdigit() or int(number) not in self._too_long:
            return problem
        return (
            f"line {number}: it has {self._too_long[int(number)]} bytes, and a service takes at most "
            f"{self._most_bytes} at once; import the file where the ledger is, without --url"
        )

    def check_unchanged(self) -> None:
        """Raise InvalidRequestError if somebody has written to the file since it was opened."""
        if _stamp(self._file) != self._stamp:
            raise InvalidRequestError(
                f"{self.name}: somebody writes to it while it is imported; when it is complete, give the command again"
            )


def import_file(
    target: ImportTarget,
    source: SourceFile,
    *,
    afresh: bool,
    tell: Callable[[int, int | None], None],
    warn: Callable[[str], None],
    clock: Timer,
) -> ImportPlace:
    """Import the whole file from the place where an earlier command was; with `afresh` from its first line.

    Raises InvalidRequestError when the lines that were imported are no longer those of the file, and for a line that
    is not JSON.
    """
    job_id, total = source.job_id, source.count()
    place = target.begin(job_id, file=source.name[:255], lines=total, afresh=afresh)
    tell(place.line - 1, total)
    window = _Window(source)
    window.move_to(place)
    size = _FIRST_BYTES
    while not place.ended:
        body, last = window.portion(size)
        source.check_unchanged()
        began = clock.monotonic()
        place = target.take(job_id, body, line=window.line, before=window.digest, last=last)
        for problem in place.problems:
            warn(source.explained(problem))
        window.move_to(place)
        tell(place.line - 1, total)
        took = clock.monotonic() - began
        if took > _SLOW_S:
            size = max(size // 2, _LEAST_BYTES)
        elif took < _QUICK_S:
            size = min(size * 2, PORTION_BYTES)
    return place


class _Window:
    """The lines that were read and are not known to be imported; `line` is the number of the first of them."""

    def __init__(self, source: SourceFile) -> None:
        self._name = source.name
        self._lines = source.lines()
        self._waiting: deque[bytes] = deque()
        self.line = 1
        #: The digest of all lines before.
        self.digest = ""

    def portion(self, size: int) -> tuple[bytes, bool]:
        """The first lines, together at most `size` bytes but at least one line; and whether they are the last ones."""
        taken, length = 0, 0
        while self._has(taken) and (taken == 0 or length + len(self._waiting[taken]) + 1 <= size):
            length += len(self._waiting[taken]) + 1
            taken += 1
        lines = itertools.islice(self._waiting, taken)
        return b"".join(line + b"\n" for line in lines), not self._has(taken)

    def move_to(self, place: ImportPlace) -> None:
        """Drop the lines before the place; raises InvalidRequestError when they are not those that were imported."""
        while self.line < place.line and self._has(0):
            self.digest = digest_of([self._waiting.popleft()], self.digest)
            self.line += 1
        if (self.line, self.digest) != (place.line, place.digest):
            raise InvalidRequestError(
                f"{self._name}: its first {place.line - 1} lines are not those that were imported before; bring the "
                "file back as it was to go on, or give --afresh to import it from its first line"
            )

    def _has(self, place: int) -> bool:
        """Read ahead; whether there is a line at this place."""
        while len(self._waiting) <= place:
            line = next(self._lines, None)
            if line is None:
                return False
            self._waiting.append(line)
        return True


def _stamp(file: BinaryIO) -> tuple[int, int] | None:
    """Size and time of the last change; None for what is no file, such as a pipe."""
    try:
        state = os.fstat(file.fileno())
    except OSError:  # not a file of the system, in a test
        return None
    return (state.st_size, state.st_mtime_ns) if file.seekable() else None


def _split(head: bytes, file: BinaryIO) -> Iterator[bytes]:
    *whole, rest = head.split(b"\n")
    yield from whole
    rest += file.readline()
    if rest:
        yield rest.removesuffix(b"\n")
    for line in file:
        yield line.removesuffix(b"\n")


def _records_of(head: bytes, file: BinaryIO) -> list[Any] | None:
    """The records of a file that is one JSON value; None for JSON lines. `head` contains the whole first line."""
    first = head.partition(b"\n")[0]
    if not first.strip():
        return None
    try:
        return _many(parse_line(first))
    except InvalidRequestError:  # a list on many lines
        pass
    try:
        many = _many(parse_line(head + file.read()))
    except InvalidRequestError as error:
        raise InvalidRequestError(f"line 1: {error.message}") from None
    if many is None:
        raise InvalidRequestError("line 1: expected JSON lines, or a list, or an object with results or memories")
    return many


def _many(record: Any) -> list[Any] | None:
    if isinstance(record, dict):
        record = record.get("results", record.get("memories"))
    return record if isinstance(record, list) else None
