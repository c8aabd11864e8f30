"""The one table that holds clients' words, kept so that an erased word leaves no copy in the file.

secure_delete zeroes what is freed, but not the copies that SQLite leaves in the unused part of a page when it moves
rows between pages. So rows are only ever added at the end and made shorter where they stand: neither moves a row.
An erased body leaves an empty row; pages beyond its first are used again, the rest comes back with a VACUUM.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

__all__ = ["add", "blank", "shorten"]


def add(db: sqlite3.Connection, body: bytes) -> int:
    """Store a body; returns its text_id."""
    text_id = db.execute("INSERT INTO texts (body) VALUES (?)", (body,)).lastrowid
    assert text_id is not None
    return text_id


def shorten(db: sqlite3.Connection, text_id: int, body: bytes) -> None:
    """Put a body that is not longer in the place of another."""
    db.execute("UPDATE texts SET body = ? WHERE text_id = ?", (body, text_id))


def blank(db: sqlite3.Connection, text_ids: Iterable[int | None]) -> None:
    """Erase bodies for good; None stands for no body."""
    db.executemany("UPDATE texts SET body = x'' WHERE text_id = ?", [(text_id,) for text_id in text_ids])
