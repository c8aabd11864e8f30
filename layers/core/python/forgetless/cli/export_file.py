"""Exporting to a file in portions: what is fetched is written and synchronized before the next portion is asked for.

FILE.part holds the lines so far, and FILE.progress the id of the export's job. Both disappear when FILE is complete.
They stay when the export is interrupted, because the same command goes on there, and it says so.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from forgetless.cli.private_files import continued_file, new_private_file, replacing
from forgetless.cli.text import printable
from forgetless.domain.errors import ConflictError, DependencyError, InvalidRequestError, NotFoundError
from forgetless.service.transfer.export_jobs import ExportAnswer, ExportPlace

__all__ = ["ExportSource", "export_file", "told_what_stays"]


class ExportSource(Protocol):
    """Where the lines come from: a service, or a ledger on this machine. See `ExportJobs`."""

    def begin(self, job_id: str) -> ExportPlace:
        """Begin the export or go on with it."""

    def fetch(self, job_id: str, cursor: str | None) -> ExportAnswer:
        """The lines at the cursor; everything before it is written."""

    def all_lines(self) -> Iterator[bytes]:
        """The whole export, for a pipe; it cannot be continued and has no job."""


def export_file(
    source: ExportSource, path: Path, *, name: str, afresh: bool, tell: Callable[[int, int | None], None]
) -> int:
    """Write the export to `path`, and go on with an interrupted one; returns the number of events.

    `name` tells where the lines come from. An export that was begun elsewhere is not continued.
    """
    part, noted = _beside(path)
    with ExitStack() as files:
        out = None if afresh else continued_file(part)
        if out is not None:
            files.enter_context(out)
        job_id = None if out is None else _read_note(noted, name)
        try:
            place = None if job_id is None else source.begin(job_id)
        except (ConflictError, NotFoundError):  # it was cancelled
            place = None
        if out is None or job_id is None or place is None or os.fstat(out.fileno()).st_size < place.bytes:
            out, job_id = files.enter_context(new_private_file(part)), str(uuid.uuid4())
            _write_note(noted, name, job_id)
            place = source.begin(job_id)
            if place.bytes:
                raise DependencyError(
                    f"{name}: an export that has just begun is said to have {place.bytes} bytes already"
                )
        try:
            events = _write(source, out, job_id, place, tell)
        except ConflictError:  # it cannot go on: the next command begins anew
            noted.unlink(missing_ok=True)
            part.unlink(missing_ok=True)
            raise
    part.replace(path)
    noted.unlink(missing_ok=True)
    return events


@contextmanager
def told_what_stays(path: Path) -> Iterator[None]:
    """If an export to `path` is interrupted, say which files stay: they hold memories."""
    part, noted = _beside(path)
    try:
        yield
    except BaseException as error:  # also Ctrl-C
        if part.exists() and part.stat().st_size > 0:
            kept = f"{part} keeps what was exported so far. The same command goes on there; otherwise delete it"
            print(printable(f"{kept}, and {noted.name}"), file=sys.stderr)
        if isinstance(error, OSError):
            raise InvalidRequestError(f"{path}: {error.strerror or error}") from None
        raise


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.progress")


def _write(
    source: ExportSource, out: BinaryIO, job_id: str, place: ExportPlace, tell: Callable[[int, int | None], None]
) -> int:
    cursor, events, ended = place.cursor, place.events, place.ended
    tell(events, None)
    # Whatever a killed command wrote after the recorded place is fetched again.
    out.truncate(place.bytes)
    out.seek(place.bytes)
    while not ended:
        answer = source.fetch(job_id, cursor)
        out.write(answer.lines)
        out.flush()
        os.fsync(out.fileno())
        cursor, events, ended = answer.after.cursor, answer.after.events, answer.after.ended
        tell(events, None)
    return events


def _read_note(noted: Path, name: str) -> str | None:
    held = continued_file(noted)
    if held is None:
        return None
    try:
        with held:
            note = json.load(held)
        return str(uuid.UUID(note["job"])) if note["from"] == name else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_note(noted: Path, name: str, job_id: str) -> None:
    """Replace the note in one step, so that no half of one is ever read."""
    with replacing(noted) as out:
        out.write(json.dumps({"job": job_id, "from": name}).encode())
