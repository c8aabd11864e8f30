"""Importing a file in portions: sends its lines, and goes on where an earlier command was."""

from __future__ import annotations

import hashlib
import itertools
import os
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from forgetless.cli.formats.history_db import HistoryDb
from forgetless.cli.formats.notes import Notes
from forgetless.cli.formats.recognise import recognise
from forgetless.cli.formats.records import RecordLines
from forgetless.cli.formats.streams import head_of
from forgetless.domain.backoff import Timer
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import PORTION_BYTES
from forgetless.service.transfer.erased_lines import ErasedLines
from forgetless.service.transfer.import_jobs import ImportPlace, digest_of

__all__ = ["ImportTarget", "SourceFile", "import_file"]

#: The namespace of the ids of imports, each of which is derived from the beginning of the file.
_IMPORTS = uuid.UUID("6f7267e7-1e55-5f1e-9d6b-000000000002")
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
    """The lines of a file in any of the formats of `forgetless.cli.formats`.

    `user` is whose the memories are that name nobody, and `history` is mem0's history.db, with the earlier texts.
    A line longer than `most_bytes` is replaced by one that will be refused; with None, no line is too long. What
    `without` covers is left out.
    """

    def __init__(
        self,
        file: BinaryIO,
        path: Path,
        *,
        most_bytes: int | None = None,
        without: ErasedLines | None = None,
        user: str | None = None,
        history: HistoryDb | None = None,
    ) -> None:
        self.name = path.name
        self._file = file
        self._stamp = _stamp(file)
        self._head = head_of(file)
        self._most_bytes = most_bytes
        self._without = without
        named = ("" if without is None else " without what was erased", f" of {user}" if user else "")
        self._options = "".join(named) + ("" if history is None else f" with the history {history.digest}")
        #: What is to be said about the file when it has been read.
        self.notes = Notes()
        #: The lengths of the lines that were replaced, by their numbers.
        self._too_long: dict[int, int] = {}
        records = RecordLines(user=user, history=history, notes=self.notes)
        try:
            self._content = recognise(self._head, file, path, records, self.notes)
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{self.name}: {error.message}") from None

    @property
    def job_id(self) -> str:
        """The id of the import of this file, whoever imports it. With other options it is another import."""
        return str(uuid.uuid5(_IMPORTS, hashlib.sha256(self._head).hexdigest() + self._options))

    def count(self) -> int | None:
        """The number of lines; None for a pipe, and for a file whose lines are not those of the import."""
        if not self._content.as_they_are or not self._file.seekable():
            return None
        ends, last = self._head.count(b"\n"), self._head[-1:]
        while block := self._file.read(1024 * 1024):
            ends, last = ends + block.count(b"\n"), block[-1:]
        self._file.seek(len(self._head))
        return ends + (last not in {b"", b"\n"})

    def lines(self) -> Iterator[bytes]:
        """The lines in order, each without its end; once."""
        for number, line in enumerate(self._named_lines(), 1):
            if self._without is not None:
                line = self._without.kept(line)  # noqa: PLW2901 - the line that is imported
            if self._most_bytes is not None and len(line) >= self._most_bytes:
                self._too_long[number] = len(line)
                yield _STAND_IN
            else:
                yield line

    def _named_lines(self) -> Iterator[bytes]:
        try:
            yield from self._content
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{self.name}: {error.message}") from None

    def explained(self, problem: str) -> str:
        """What to say about a line that was refused."""
        number = problem.removeprefix("line ").partition(":")[0]
        if not self._content.as_they_are and problem.startswith("line "):
            problem = f"record {problem.removeprefix('line ')}"
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
