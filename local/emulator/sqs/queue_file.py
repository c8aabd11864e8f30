"""The file of queues: its schema, and how it is opened; a damaged file is set aside and a new one is begun."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from local.damaged_files import UnusableFileError, fault_of, files_of, set_aside
from local.private_files import close_files, private_folder

_SCHEMA = """
CREATE TABLE IF NOT EXISTS queues (
    name TEXT PRIMARY KEY, attributes TEXT NOT NULL, created_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, message_id TEXT NOT NULL,
    body TEXT NOT NULL, attributes TEXT NOT NULL, message_group TEXT, deduplication TEXT,
    sent_at REAL NOT NULL, visible_at REAL NOT NULL, receive_count INTEGER NOT NULL DEFAULT 0,
    first_received_at REAL, receipt TEXT
);
CREATE INDEX IF NOT EXISTS messages_by_time ON messages (queue, visible_at);
CREATE INDEX IF NOT EXISTS messages_by_order ON messages (queue, sequence);
CREATE TABLE IF NOT EXISTS deduplication (
    queue TEXT NOT NULL, id TEXT NOT NULL, message_id TEXT NOT NULL, sequence INTEGER NOT NULL,
    expires_at REAL NOT NULL, PRIMARY KEY (queue, id)
) WITHOUT ROWID;
"""
#: The version of this schema; a file of another version is refused.
SCHEMA_VERSION = 1
#: The table and columns by which the file is recognised.
_TABLES = {"queues": {"name", "attributes"}, "messages": {"queue", "body", "receipt"}}


class StateError(Exception):
    """The state folder cannot be used; the text says why and what to do."""


def open_file(path: Path) -> tuple[sqlite3.Connection, str]:
    """Return the open file, and one line that says what was set aside (empty when nothing was).

    Raises:
        StateError: the file or its folder cannot be used.
    """
    note = _prepare(path)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA secure_delete = ON")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version not in {0, SCHEMA_VERSION}:
        db.close()
        raise StateError(f"{path} has schema {version}, this emulator needs {SCHEMA_VERSION}: move it away")
    db.executescript(_SCHEMA)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return db, note


def _prepare(path: Path) -> str:
    """Set a damaged file aside; return one line that says so, or an empty one."""
    try:
        private_folder(path.parent, ours=(path.name,))
        close_files(files_of(path))
        fault = fault_of(path, tables=_TABLES)
        if fault is None:
            return ""
        return f"the queue file {path.name} was damaged ({fault}); it lies in {set_aside(path)} now"
    except UnusableFileError as error:
        raise StateError(str(error)) from error
    except OSError as error:
        where = error.filename or path
        raise StateError(f"{where} cannot be used: {error.strerror}; choose another folder: --state DIR") from error
