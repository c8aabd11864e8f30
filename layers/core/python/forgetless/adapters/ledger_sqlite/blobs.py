"""The only table with clients' texts. It is written so that an erased text leaves no copy in the file.

secure_delete overwrites freed content with zeros, but not the copies that SQLite leaves in the unused part of a page
when it moves rows between pages. So rows are only appended at the end and shortened in place, which moves no row. An
erased body leaves an empty row: its pages after the first are reused, and compaction.py removes the rest. The body of a
record that changes often has room to grow, so that its changes do not leave one empty row each.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

__all__ = ["add", "blank", "few", "replace", "shorten"]

#: The size of a body that may be replaced is a multiple of this many bytes. JSON may end in blanks.
_ROOM = 128


def add(db: sqlite3.Connection, body: bytes) -> int:
    """Store a body; returns its text_id."""
    text_id = db.execute("INSERT INTO texts (body) VALUES (?)", (body,)).lastrowid
    assert text_id is not None
    return text_id


def shorten(db: sqlite3.Connection, text_id: int, body: bytes) -> None:
    """Replace a body with one that is not longer."""
    db.execute("UPDATE texts SET body = ? WHERE text_id = ?", (body, text_id))


def blank(db: sqlite3.Connection, text_ids: Iterable[int | None]) -> None:
    """Erase bodies for good; None means no body and is ignored."""
    db.executemany("UPDATE texts SET body = x'' WHERE text_id = ?", [(text_id,) for text_id in text_ids])


def few(db: sqlite3.Connection, text_ids: Sequence[int | None], *, most: int) -> int:
    """How many of these bodies, in their order, have `most` bytes together: at least one, if there is any."""
    bytes_ = 0
    for place, text_id in enumerate(text_ids):
        row = db.execute("SELECT length(body) FROM texts WHERE text_id = ?", (text_id,)).fetchone()
        bytes_ += 0 if row is None else row[0]
        if bytes_ > most:
            return max(1, place)
    return len(text_ids)


def replace(db: sqlite3.Connection, text_id: int | None, body: bytes) -> int:
    """Store a body of JSON, if possible in the place of an earlier one, which is erased; returns its text_id."""
    held = db.execute("SELECT length(body) FROM texts WHERE text_id = ?", (text_id,)).fetchone()
    if held is not None and text_id is not None and len(body) <= held[0]:
        shorten(db, text_id, body.ljust(held[0]))
        return text_id
    blank(db, [text_id])
    return add(db, body.ljust(-(-len(body) // _ROOM) * _ROOM))
