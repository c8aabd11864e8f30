"""Recognises what a file contains, by its beginning and never by its name, and reads it as lines of an import."""

from __future__ import annotations

import gzip
import io
import os
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from forgetless.cli.formats import pages, postgres
from forgetless.cli.formats.expansion import Counted, Expanded
from forgetless.cli.formats.history_db import HistoryDb, is_sqlite
from forgetless.cli.formats.notes import Notes
from forgetless.cli.formats.records import RecordLines
from forgetless.cli.formats.streams import HEAD_BYTES, head_of, lines_of, rejoined
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import is_header, parse_line

__all__ = ["EXPECTED", "FileLines", "recognise"]

EXPECTED = (
    "expected an export of Forgetless; JSON lines, a list or pages of mem0 or its Platform; a scroll of Qdrant; mem0's "
    "table in Postgres (a dump as text, COPY, CSV); the zip, memories.json or memories.jsonl.gz of OpenMemory; or "
    "mem0's history.db. All may be compressed with gzip. See docs/migrate-from-mem0.md"
)
#: The beginnings of files that cannot be read, and what to do.
_UNREADABLE = (
    (b"PGDMP", "this is a dump in pg_dump's own format: make it text with pg_restore --data-only -f memories.sql FILE"),
    (b"\x80", "this is a pickle of Python, as mem0's FAISS store writes it: write get_all as JSON instead"),
    (b"\xff\xfe", "this is UTF-16, as PowerShell's > writes it: save it as UTF-8"),
    (b"\xfe\xff", "this is UTF-16: save it as UTF-8"),
)
_BOM = b"\xef\xbb\xbf"
#: How often a file may be compressed: OpenMemory's zip has a file that is compressed itself.
_MOST_PACKED = 2
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
#: The members of OpenMemory's zip, the fuller one first.
_MEMBERS = ("memories.json", "memories.jsonl.gz")
#: The methods of which Python's zipfile unpacks no more than is asked for. Of the others it unpacks all that a block of
#: the file gives: gigabytes from some hundred bytes.
_BOUNDED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_METHODS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 93: "Zstandard"}
#: What zipfile raises for a damaged archive: some of its offsets lead to nowhere, or its numbers make no sense.
_ZIP_FAULTS = (zipfile.BadZipFile, struct.error, OSError, ValueError, EOFError)


class FileLines:
    """The lines of a file, in the order in which they are imported."""

    def __init__(self, read: Callable[[], Iterator[bytes]], *, as_they_are: bool = False) -> None:
        self._read = read
        #: Whether the lines are those of the file, with its numbers.
        self.as_they_are = as_they_are

    def __iter__(self) -> Iterator[bytes]:
        with _faults_in_words():
            yield from self._read()


@contextmanager
def _faults_in_words() -> Iterator[None]:
    """Raise InvalidRequestError for what reading a file raises because of its content."""
    try:
        yield
    except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InvalidRequestError(f"the compressed data is damaged or ends too early ({error})") from None
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"it is not UTF-8 ({error.reason})") from None
    except sqlite3.Error as error:
        raise InvalidRequestError(f"SQLite cannot read the history: {error}") from None
    except OSError as error:
        raise InvalidRequestError(f"it cannot be read: {error}") from None


def recognise(
    head: bytes, file: BinaryIO, path: Path, lines: RecordLines, notes: Notes, *, packed: int = 0
) -> FileLines:
    """The lines of the file, of which `head` has been read; raises InvalidRequestError for an unknown format.

    What was `packed` twice may not be packed again: some files contain themselves.
    """
    if packed == _MOST_PACKED and head.startswith((_GZIP, _ZIP)):
        raise InvalidRequestError(f"it is compressed more than {_MOST_PACKED} times: decompress it first")
    for beginning, advice in _UNREADABLE:
        if head.startswith(beginning):
            raise InvalidRequestError(advice)
    if is_sqlite(head):
        return _of_history(path, lines, notes)
    if head.startswith(_ZIP):
        return _of_zip(file, path, lines, notes, packed + 1)
    if head.startswith(_GZIP):
        source = Counted(rejoined(head, file))
        return _Packed(gzip.GzipFile(fileobj=source), source, packed + 1).lines(path, lines, notes)
    return _of_text(head, rejoined(head, file), lines, notes)


@dataclass(frozen=True, slots=True)
class _Packed:
    """A compressed content, what it is read from (or its size), and how often it was compressed."""

    content: Any
    compressed: Counted | int
    times: int

    def lines(self, path: Path, lines: RecordLines, notes: Notes) -> FileLines:
        """Its lines. They may be those of the file, but nobody can count them before."""
        stream = io.BufferedReader(Expanded(self.content, self.compressed), buffer_size=HEAD_BYTES)
        with _faults_in_words():
            head = head_of(stream)
        found = recognise(head, stream, path, lines, notes, packed=self.times)
        found.as_they_are = False
        return found


def _of_zip(file: BinaryIO, path: Path, lines: RecordLines, notes: Notes, packed: int) -> FileLines:
    if not file.seekable():
        raise InvalidRequestError("a zip cannot be read from a pipe: give its path")
    try:
        archive = zipfile.ZipFile(file)
    except NotImplementedError as error:  # a version of the format that Python does not know
        raise InvalidRequestError(f"this zip cannot be read: {error}") from None
    except _ZIP_FAULTS as error:
        raise InvalidRequestError(f"this zip is damaged: {error}") from None
    entries = [entry for entry in archive.infolist() if not entry.filename.endswith("/")]
    for member in _MEMBERS:
        for entry in entries:
            if entry.filename.rpartition("/")[2] == member:
                return _Packed(_opened(archive, entry), _size_of(file), packed).lines(path, lines, notes)
    inside = ", ".join(entry.filename for entry in entries[:5]) or "nothing"
    raise InvalidRequestError(f"expected the zip of OpenMemory, with {' or '.join(_MEMBERS)}; this one has: {inside}")


def _size_of(file: BinaryIO) -> int:
    at = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(at)
    return size


def _opened(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> IO[bytes]:
    if (method := entry.compress_type) not in _BOUNDED_METHODS:
        named = _METHODS.get(method, "an unusual one")
        raise InvalidRequestError(
            f"this zip's {entry.filename} is compressed with method {method} ({named}); only deflate and stored are "
            "read: zip it again with deflate, or give the file itself"
        )
    try:
        return archive.open(entry)
    except RuntimeError as error:  # a password, or a rare form
        raise InvalidRequestError(f"this zip cannot be read: {error}") from None
    except _ZIP_FAULTS as error:
        raise InvalidRequestError(f"this zip is damaged: {error}") from None


def _of_history(path: Path, lines: RecordLines, notes: Notes) -> FileLines:
    if str(path) == "-":
        raise InvalidRequestError("a file of SQLite cannot be read from a pipe: give its path")
    history = HistoryDb(path)
    if lines.user is None:
        history.close()
        raise InvalidRequestError("mem0's history.db does not say whose the memories are: say it with --user ID")

    def read() -> Iterator[bytes]:
        with closing(history):
            yield from map(lines.line, history.records(notes))

    return FileLines(read)


def _of_text(head: bytes, stream: io.BufferedReader, lines: RecordLines, notes: Notes) -> FileLines:
    start = head.removeprefix(_BOM).lstrip()
    first = start.partition(b"\n")[0]
    whole = len(head) < HEAD_BYTES or b"\n" in start
    value: Any = None
    with suppress(InvalidRequestError):
        value = parse_line(first) if whole else None
    if not start or (value is not None and not pages.is_page(value)):
        return FileLines(lambda: _of_lines(stream, lines), as_they_are=True)
    if start[:1] in (b"[", b"{"):
        found = pages.records(_text(stream, newline=None), notes)
        return FileLines(lambda: (lines.line(one.record, around=one.around) for one in found))
    name = first.decode("utf-8", "replace")
    if postgres.is_dump(head.removeprefix(_BOM).decode("utf-8", "replace")):
        return FileLines(lambda: map(lines.line, postgres.dump_rows(_text(stream, newline="\n"), notes)))
    if postgres.is_copy(name):
        return FileLines(lambda: map(lines.line, postgres.copy_rows(_text(stream, newline="\n"))))
    if postgres.is_csv(name):
        return FileLines(lambda: map(lines.line, postgres.csv_rows(_text(stream, newline=""))))
    raise InvalidRequestError(f"its format is unknown: {EXPECTED}")


def _text(stream: io.BufferedReader, *, newline: str | None) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline=newline)


def _of_lines(stream: io.BufferedReader, lines: RecordLines) -> Iterator[bytes]:
    """The lines as they are, but for what the options add, and without what is left out."""
    ours: bool | None = None
    for line in lines_of(stream):
        text = line.removesuffix(b"\n")
        if ours:
            yield text
            continue
        try:
            record = parse_line(text.removeprefix(_BOM)) if text.strip() else None
        except InvalidRequestError:  # the import says what is wrong with it
            record = None
        if ours is None and isinstance(record, dict):
            ours = is_header(record)
        yield text if record is None or ours else lines.line(record, raw=text.removeprefix(_BOM))
