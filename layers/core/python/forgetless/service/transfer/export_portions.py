"""Portions of an export with a bounded number of bytes: the lines of one job or memory that are too long are divided.

The portions together are the export, byte for byte. A line may end in a later portion than the one in which it begins.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict, dataclass

from forgetless.domain.errors import ConflictError, InvalidRequestError
from forgetless.service.transfer.event_export import EventExport, ExportPortion

__all__ = ["bounded_portion", "full_portion"]

#: The jobs or memories that are read at once: few, because one may have many long messages.
_STEP = 20
#: If they are too long together, so many times fewer are read.
_FEWER = 4
_PART = "part."


@dataclass(frozen=True, slots=True)
class _Part:
    """Where the next portion of divided lines begins, and what was sent of them so far."""

    #: The job or memory whose lines are divided.
    phase: str
    id: str
    sent: int
    digest: str
    #: The cursor after these lines.
    following: str | None


def bounded_portion(exports: EventExport, tenant: str, *, cursor: str | None, most_bytes: int) -> ExportPortion:
    """The portion at `cursor` (None: the first), which has at most `most_bytes`.

    Raises InvalidRequestError for a cursor that no export gave, and ConflictError if the rest of divided lines no
    longer fits the part that was sent, because their texts were erased or changed meanwhile.
    """
    if cursor is not None and cursor.startswith(_PART):
        return _continued(exports, tenant, _read(cursor), most_bytes)
    limit = _STEP
    while True:
        portion = exports.portion(tenant, cursor=cursor, limit=limit)
        if len(portion.lines) <= most_bytes:
            return portion
        if limit == 1 and portion.only is not None:
            lines = portion.lines
            record = exports.record(tenant, *portion.only) or b""
            head = lines[: len(lines) - len(record)] if lines.endswith(record) else b""
            return _cut(head, record, _Part(*portion.only, 0, _digest(b""), portion.cursor), most_bytes)
        limit = max(1, limit // _FEWER)


def full_portion(
    exports: EventExport, tenant: str, *, cursor: str | None, most_bytes: int, enough: int
) -> ExportPortion:
    """Portions from `cursor` on as one, until they have `enough` bytes. Each of them has at most `most_bytes`.

    Raises what `bounded_portion` raises.
    """
    parts: list[bytes] = []
    size = events = 0
    while True:
        portion = bounded_portion(exports, tenant, cursor=cursor, most_bytes=most_bytes)
        parts.append(portion.lines)
        size += len(portion.lines)
        events += portion.events
        cursor = portion.cursor
        if cursor is None or size >= enough:
            return ExportPortion(b"".join(parts), events, cursor)


def _continued(exports: EventExport, tenant: str, part: _Part, most_bytes: int) -> ExportPortion:
    record = exports.record(tenant, part.phase, part.id)
    if record is None or len(record) < part.sent or _digest(record[: part.sent]) != part.digest:
        raise ConflictError(
            "cursor: what this export was sending has been changed or erased meanwhile; leave the cursor out to start "
            "again, and drop what you have"
        )
    return _cut(b"", record, part, most_bytes)


def _cut(head: bytes, record: bytes, part: _Part, most_bytes: int) -> ExportPortion:
    end = min(len(record), part.sent + max(1, most_bytes - len(head)))
    if end < len(record):
        whole_lines = record.rfind(b"\n", part.sent, end) + 1
        end = whole_lines or _character_start(record, end)
    sent = head + record[part.sent : end]
    if end == len(record):
        return ExportPortion(sent, record.count(b"\n"), part.following)
    following = _Part(part.phase, part.id, end, _digest(record[:end]), part.following)
    return ExportPortion(sent, 0, _PART + urlsafe_b64encode(json.dumps(asdict(following)).encode()).decode())


def _character_start(text: bytes, place: int) -> int:
    """The start of the character that `place` is in: no portion may end within a character of UTF-8."""
    while text[place] & 0xC0 == 0x80:
        place -= 1
    return place


def _digest(sent: bytes) -> str:
    return hashlib.sha256(sent).hexdigest()[:16]


def _read(cursor: str) -> _Part:
    try:
        part = _Part(**json.loads(urlsafe_b64decode(cursor.removeprefix(_PART))))
        texts = (part.phase, part.id, part.digest, part.following or "")
        if isinstance(part.sent, int) and part.sent >= 0 and all(isinstance(text, str) for text in texts):
            return part
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidRequestError("cursor: it does not come from an export; leave it out to start at the beginning")
