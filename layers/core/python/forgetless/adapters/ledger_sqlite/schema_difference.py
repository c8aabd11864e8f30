"""Where a file's schema differs from ours: a constraint or a trigger in a backup would undo the service's own writes.

SQLite makes everything from the texts in `sqlite_master`: columns, types, defaults, constraints, collations, conflict
clauses and indexes. So the texts must be those that our migrations leave in a ledger of the file's version.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import takewhile

from forgetless.adapters.ledger_sqlite.schema import (
    APPLICATION,
    LEAST_VERSION,
    SCHEMA_VERSION,
    make_empty,
    version_of,
)

__all__ = ["schema_difference"]

#: What SQLite takes for a space, and nothing else: after another character, a name goes on. No text of ours has spaces
#: in quotes.
_SPACES = re.compile("[ \t\n\f\r]+")
#: ANALYZE makes these tables. They change how SQLite looks for rows, and not which it finds.
_STATISTICS = frozenset(
    {
        ("table", "sqlite_stat1", "sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"),
        ("table", "sqlite_stat4", "sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"),
    }
)
#: How many characters of a text that differs are told.
_TOLD = 60

#: Kind, name, table and text.
_Object = tuple[str, str, str, str]


def schema_difference(raw: sqlite3.Connection) -> str | None:
    """The first difference from a ledger of the file's version, in words that follow "the file"; or None.

    The version must be one that we know: 1 to SCHEMA_VERSION.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as ours:
        make_empty(ours, version_of(raw))
        differences = (*_of_header(raw, ours), *_of_objects(_objects(raw) - _STATISTICS, _objects(ours)))
    return next((_printable(one) for one in differences), None)


def _of_header(raw: sqlite3.Connection, ours: sqlite3.Connection) -> Iterator[str]:
    version, (application,) = version_of(raw), raw.execute("PRAGMA application_id").fetchone()
    # Earlier versions had none, or the least version of their time. The migration sets it.
    known = {0, *range(APPLICATION + 1, APPLICATION + version + 1)}
    if application not in ({APPLICATION + LEAST_VERSION} if version == SCHEMA_VERSION else known):
        yield f"has the application id {application}, which no ledger of schema {version} has"
    (encoding,), (our_encoding,) = (one.execute("PRAGMA encoding").fetchone() for one in (raw, ours))
    if encoding != our_encoding:
        yield f"has the encoding {encoding}, and a ledger has {our_encoding}"


def _of_objects(found: set[_Object], ours: set[_Object]) -> Iterator[str]:
    texts = {(kind, name): text for kind, name, _, text in ours}
    # Indexes last: an index of SQLite's own follows from the text of its table.
    for kind, name, _, text in sorted(found - ours, key=lambda one: (one[0] == "index", one)):
        if (expected := texts.get((kind, name))) is None:
            yield f"has the {kind} {name}, which no ledger has"
        else:
            excerpt = _where_it_differs(text, expected)
            yield f'has another definition of the {kind} {name} than a ledger, at "{excerpt}"'
    present = {one[:2] for one in found}
    for kind, name, *_ in sorted(ours):
        if (kind, name) not in present:
            yield f"lacks the {kind} {name}, which every ledger has"


def _objects(raw: sqlite3.Connection) -> set[_Object]:
    rows = raw.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return {(str(kind), str(name), str(table), _SPACES.sub(" ", str(sql))) for kind, name, table, sql in rows}


def _where_it_differs(text: str, expected: str) -> str:
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, expected, strict=False)))
    begin = max(0, same - _TOLD // 2)
    return text[begin : begin + _TOLD]


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)
