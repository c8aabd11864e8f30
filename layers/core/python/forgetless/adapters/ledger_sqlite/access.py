"""Who may use a ledger: its keys, log-ins and documents such as webhooks, read from one file and put into another."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from forgetless.adapters.ledger_codec import from_blob
from forgetless.adapters.ledger_sqlite.backup import copy_out, read_only
from forgetless.adapters.ledger_sqlite.documents import of_kinds, put_in_their_place
from forgetless.adapters.ledger_sqlite.erasures import incarnation_of
from forgetless.adapters.ledger_sqlite.key_rows import all_keys, put_key
from forgetless.adapters.ledger_sqlite.ledger import SqliteLedger
from forgetless.adapters.ledger_sqlite.schema import SCHEMA_VERSION, is_usable, version_of
from forgetless.domain.documents import Document
from forgetless.domain.errors import ForgetlessError
from forgetless.domain.keys import ApiKey

__all__ = ["Access", "LogIn", "put_access", "read_access"]

#: The tables that are read, whose pages are checked first: a damaged one may lack rows without an error.
_READ = ("keys", "documents", "requests")
#: Records of requests with a status and without an answer: those of log-ins are among them.
_RECORDS = """
SELECT tenant, name, fingerprint, lease_until, expires_at, status FROM requests
WHERE status IS NOT NULL AND text_id IS NULL
"""


@dataclass(frozen=True, slots=True)
class LogIn:
    """The record of a log-in: the state, and the row as it is stored."""

    state: str
    row: tuple[object, ...]

    @property
    def place(self) -> tuple[object, ...]:
        """Its tenant and name: a file has one record with them."""
        return self.row[:2]


@dataclass(frozen=True, slots=True)
class Access:
    """What a file says, and the ledger's incarnation. `log_ins` are the records of log-ins."""

    incarnation: str
    documents: tuple[Document, ...]
    keys: tuple[ApiKey, ...]
    log_ins: tuple[LogIn, ...]


def read_access(
    place: Path, *, kinds: Collection[str], is_log_in: Callable[[str], bool], workplace: Path
) -> Access | None:
    """Read it without writing to the file. None, if it is no ledger that we can use, or one of these tables is damaged.

    `is_log_in` tells from the state of a request's record whether it is a log-in's. A ledger of an earlier version is
    copied into the folder `workplace`, and brought to this version there.
    """
    try:
        with closing(read_only(place)) as raw:
            if not is_usable(raw):
                return None
            older = version_of(raw) < SCHEMA_VERSION
        if older:
            place = _brought_to_this_version(place, workplace / "replaced.db")
        with closing(read_only(place)) as raw:
            if not all(_is_whole(raw, one) for one in _READ):
                return None
            return Access(
                incarnation_of(raw),
                tuple(of_kinds(raw, kinds)),
                tuple(all_keys(raw)),
                tuple(LogIn(state, row) for row in raw.execute(_RECORDS) if is_log_in(state := from_blob(row[2]))),
            )
    except (ForgetlessError, sqlite3.Error, ValueError, TypeError, LookupError, AttributeError):
        # A key of a later version, or one whose row is damaged.
        return None


def put_access(staged: Path, access: Access, *, kinds: Collection[str]) -> None:
    """Let a file of this version have these keys and these documents of the kinds, and no others of them.

    Its log-ins stay, but for those whose records are given.
    """
    with closing(sqlite3.connect(staged, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        raw.execute("DELETE FROM keys")
        for key in access.keys:
            put_key(raw, key)
        put_in_their_place(raw, kinds, [one for one in access.documents if one.kind in kinds])
        raw.executemany(
            "INSERT OR REPLACE INTO requests (tenant, name, fingerprint, lease_until, expires_at, status)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [one.row for one in access.log_ins],
        )
        raw.execute("COMMIT")


def _brought_to_this_version(place: Path, copy: Path) -> Path:
    copy_out(place, copy, lambda *_: None)
    with closing(SqliteLedger(copy)) as ledger:
        ledger.migrate()
    return copy


def _is_whole(raw: sqlite3.Connection, table: str) -> bool:
    return raw.execute(f"PRAGMA integrity_check({table})").fetchall() == [("ok",)]
