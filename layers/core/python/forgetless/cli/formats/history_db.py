"""mem0's history.db: the SQLite file in which mem0 notes how the text of each memory has changed.

The file is only read. An index that the lookups need is made in a temporary database of SQLite's own. What would be
computed while it is read is refused: a view in the table's place can have rows without end, from a file of 4 KB.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from forgetless.cli.formats.notes import Notes
from forgetless.cli.formats.streams import head_of
from forgetless.domain.errors import InvalidRequestError

__all__ = ["HistoryDb", "is_sqlite"]

_MAGIC = b"SQLite format 3\0"
#: The columns of a row, as far as the file has them: earlier versions of mem0 had no actor and role.
_NAMES = ("event", "old_memory", "new_memory", "created_at", "updated_at", "actor_id", "role")
_NEEDED = frozenset({"memory_id", "event", "new_memory"})
#: The most changes of one memory that are taken, the newest ones.
MOST_ROWS = 500
#: The most bytes of a value, as of a line in a file that is imported.
_MOST_BYTES = 4 * 1024 * 1024


def is_sqlite(head: bytes) -> bool:
    """Whether a file begins as SQLite's files do."""
    return head.startswith(_MAGIC)


class HistoryDb:
    """The histories of one file; raises InvalidRequestError if it is none of mem0's."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InvalidRequestError("there is no such file")
        with path.open("rb") as file:
            #: A digest of its beginning, which contains SQLite's counter of changes.
            self.digest = hashlib.sha256(head_of(file)).hexdigest()
        self._db = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)
        self._db.text_factory = _text
        try:
            self._prepare()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite quotes names of the file, which may be no UTF-8
            self._db.close()
            raise InvalidRequestError(f"SQLite cannot read it: {error}") from None
        except InvalidRequestError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
        self._db.execute("PRAGMA trusted_schema = OFF")
        columns = {str(name): int(hidden) for _, name, *_, hidden in self._db.execute("PRAGMA table_xinfo(history)")}
        if not columns.keys() >= _NEEDED:
            raise InvalidRequestError(_other(self._db))
        # A virtual table has no page of its own.
        stored = "SELECT 1 FROM sqlite_master WHERE name = 'history' AND type = 'table' AND rootpage > 0"
        if any(columns.values()) or self._db.execute(stored).fetchone() is None:
            raise InvalidRequestError("its `history` is no stored table: a view, or with columns that are computed")
        self._names = [name for name in _NAMES if name in columns]
        self._db.execute("CREATE TEMP TABLE places AS SELECT memory_id, rowid AS place FROM main.history")
        self._db.execute("CREATE INDEX temp.places_of ON places (memory_id, place)")

    def rows(self, memory_id: str) -> list[dict[str, Any]]:
        """What happened to the memory, the oldest first."""
        found = self._read(
            f"SELECT {', '.join(f'h.{name}' for name in self._names)} FROM temp.places p "  # noqa: S608 - fixed names
            "JOIN main.history h ON h.rowid = p.place WHERE p.memory_id = ? ORDER BY p.place DESC LIMIT ?",
            (memory_id, MOST_ROWS),
        )
        return [dict(zip(self._names, map(_shown, row), strict=True)) for row in reversed(found)]

    def _read(self, query: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, params).fetchall()
        except sqlite3.Error as error:
            raise InvalidRequestError(f"SQLite cannot read it: {error}") from None

    def added_to(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """The record with its history, if that says more than the record does."""
        rows = self.rows(str(record.get("id")))
        payload = record.get("payload")
        fields = payload if isinstance(payload, Mapping) else record
        if len(rows) > 1 or (rows and not fields.get("created_at")):
            return {**record, "history": rows}
        return record

    def records(self, notes: Notes) -> Iterator[dict[str, Any]]:
        """The memories that the file itself knows, as items of mem0's lists. It does not know whose they are."""
        ids = self._db.execute(
            "SELECT memory_id FROM temp.places WHERE memory_id IS NOT NULL GROUP BY memory_id ORDER BY min(place)"
        )
        for (memory_id,) in ids:
            if isinstance(memory_id, bytes):  # SQLite finds no text by its bytes, and the import refuses it in any case
                yield {"id": _shown(memory_id), "memory": ""}
                continue
            rows = self.rows(memory_id)
            if not rows:  # the file changes while it is read
                continue
            last = rows[-1]
            if last["event"] == "DELETE" or last["new_memory"] is None:
                notes.count("left out, because mem0 has deleted them")
                continue
            listed = {"id": memory_id, "memory": last["new_memory"], "history": rows}
            kept = ("created_at", "updated_at", "actor_id", "role")
            yield {**listed, **{name: last[name] for name in kept if last.get(name) is not None}}

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _text(stored: bytes) -> str | bytes:
    """A text as SQLite stored it; bytes when it is not UTF-8."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def _shown(value: Any) -> Any:
    """The value as JSON can hold it. Bytes become an object: the import then names the field and refuses the memory."""
    return {"bytes": len(value)} if isinstance(value, bytes) else value


def _other(db: sqlite3.Connection) -> str:
    """What to say about a file of SQLite that has no such table."""
    tables = {str(row[0]) for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    expected = "expected mem0's history.db, with the table `history`"
    if "points" in tables:
        return f"{expected}; this is Qdrant's local storage: write its points as JSON lines (docs/migrate-from-mem0.md)"
    if {"memories", "apps"} <= tables:
        return f"{expected}; this is OpenMemory's database: import the zip of POST /api/v1/backup/export instead"
    return f"{expected}; this one has: {', '.join(sorted(tables)[:10])}"
