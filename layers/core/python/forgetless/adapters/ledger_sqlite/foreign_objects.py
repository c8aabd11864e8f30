"""What a file has that no ledger has: a trigger in a backup would run with the service's own writes."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from forgetless.adapters.ledger_sqlite.schema import SCHEMA_VERSION, make_empty, version_of

__all__ = ["foreign_object"]

#: A trigger or a view never belonged to a ledger.
_KINDS = frozenset({"table", "index"})
#: SQLite's own tables and indexes begin with this.
_OWN = "sqlite_"

_Object = tuple[str, str, str]


def foreign_object(raw: sqlite3.Connection) -> str | None:
    """A trigger, view, table, index or column that the schema of the file's version does not have, in words; or None.

    Of a schema that is newer than ours, only triggers and views are known to be foreign.
    """
    version, found = version_of(raw), _objects(raw)
    if version > SCHEMA_VERSION:
        return next((f"the {kind} {name}" for kind, name, _ in sorted(found) if kind not in _KINDS), None)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as ours:
        make_empty(ours, version)
        if extra := sorted(found - _objects(ours)):
            kind, name, _ = extra[0]
            return f"the {kind} {name}"
        tables = sorted(name for kind, name, _ in found if kind == "table")
        extra_columns = (one for table in tables for one in _columns(raw, table) - _columns(ours, table))
        return next((f"the column {table}.{name}" for table, name, _ in extra_columns), None)


def _objects(raw: sqlite3.Connection) -> set[_Object]:
    rows = raw.execute("SELECT type, name, tbl_name FROM sqlite_master")
    objects = ((str(kind), str(name), str(table)) for kind, name, table in rows)
    return {one for one in objects if one[0] not in _KINDS or not one[1].startswith(_OWN)}


def _columns(raw: sqlite3.Connection, table: str) -> set[tuple[str, str, int]]:
    """Table and name of each column, and whether and how it is hidden or computed."""
    rows = raw.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (table,))
    return {(table, str(name), int(hidden)) for name, hidden in rows}
