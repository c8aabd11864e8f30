"""ErasedLines: leaves out of a file what a log of erasures covers, before the file is imported.

The first line of an export says at which moment it was made: what was erased earlier is not in it, and what was added
again since is. If the file does not say it, everything in the log counts. A line that names a later moment for itself,
because something was erased while the export was made, is judged by that one. Memories and jobs that are covered become
empty lines, which an import skips; a job of which only some messages are covered loses those.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from forgetless.domain.erasure_log import LogLine, Moment, erased_since, markers_of
from forgetless.domain.erasures import Markers
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import is_header, moment_of, parse_line, read_record
from forgetless.domain.jobs import Job
from forgetless.domain.memory import Event, Message
from forgetless.service.transfer.mem0_import import foreign_event

__all__ = ["ErasedLines"]

#: What only the import itself judges.
_ANY_TIME, _ANY_LENGTH = "2000-01-01T00:00:00.000000+00:00", 2**31


class ErasedLines:
    """Judges the lines of one file, in their order, by a log about one tenant."""

    def __init__(self, key: bytes, log: Iterable[LogLine]) -> None:
        self._key = key
        self._log = tuple(log)
        self._since: dict[Moment | None, Markers] = {}
        #: The moment of the first line.
        self._moment: Moment | None = None
        self._ours = False
        #: How many lines were left out, or lost some of their messages.
        self.left_out = 0

    def kept(self, line: bytes) -> bytes:
        """The line without what is covered. A line that cannot be read stays as it is; the import refuses it."""
        try:
            record = parse_line(line)
            kept = self._kept(line, record) if isinstance(record, Mapping) else line
        except (InvalidRequestError, RecursionError):
            return line
        self.left_out += kept != line
        return kept

    def _kept(self, line: bytes, record: Mapping[str, Any]) -> bytes:
        if is_header(record):
            self._ours = True
            self._moment = moment_of(record)
            return line
        if not self._ours:
            event = foreign_event("", record, now=_ANY_TIME, most_chars=_ANY_LENGTH)
            return b"" if self._markers(None).cover(event.memory) else line
        markers = self._markers(moment_of(record) or self._moment)
        read = read_record("", record)
        if isinstance(read, Event):
            return b"" if markers.cover(read.memory) else line
        return self._job(line, record, *read, markers)

    def _markers(self, moment: Moment | None) -> Markers:
        """What was erased after the moment."""
        if moment not in self._since:
            self._since[moment] = markers_of(self._key, erased_since(self._log, moment))
        return self._since[moment]

    def _job(
        self, line: bytes, record: Mapping[str, Any], job: Job, messages: list[Message], markers: Markers
    ) -> bytes:
        if markers.cover(job):
            return b""
        pairs = zip(record["messages"], messages, strict=True)
        said = [one for one, message in pairs if not markers.cover(message)]
        if len(said) == len(messages):
            return line
        return json.dumps({**record, "messages": said}, separators=(",", ":")).encode()
