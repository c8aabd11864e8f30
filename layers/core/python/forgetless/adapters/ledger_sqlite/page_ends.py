"""The store of the ends of pages, which expire."""

from __future__ import annotations

import sqlite3

from forgetless.adapters.ledger_codec import from_blob, to_blob
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.domain.digests import unveil, veil
from forgetless.ports.request_ledger import PageEnd

__all__ = ["PageEndStore"]

#: How many expired ends each new one removes, so that the table stays small without sweep.
_CLEARED_AT_ONCE = 20
#: How many expired ends one transaction of sweep removes.
_PORTION = 1000

_PUT = """
INSERT OR REPLACE INTO page_ends (tenant, name, expires_at, after, seen, count, exact) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_READ = "SELECT after, seen, count, exact FROM page_ends WHERE tenant = ? AND name = ? AND expires_at > ?"
_CLEAR = """
DELETE FROM page_ends WHERE (tenant, name) IN (SELECT tenant, name FROM page_ends WHERE expires_at <= ? LIMIT ?)
"""


class PageEndStore(Store):
    """See `forgetless.ports.request_ledger.PageEndStore`."""

    def keep_page_end(self, tenant: str, name: str, end: PageEnd, *, now: str, expires_at: str) -> None:
        named = self._named(name)
        after = veil(self.digest_key(), from_blob(named), end.after)  # it may hold an id
        row = (to_blob(tenant), named, expires_at, after, end.seen, end.count, int(end.exact))

        def keep(db: sqlite3.Connection) -> None:
            db.execute(_PUT, row)
            db.execute(_CLEAR, (now, _CLEARED_AT_ONCE))

        self._connections.write(keep, durable=False)

    def page_end(self, tenant: str, name: str, *, now: str) -> PageEnd | None:
        named = self._named(name)
        row = self._connections.read(lambda db: db.execute(_READ, (to_blob(tenant), named, now)).fetchone())
        if row is None:
            return None
        return PageEnd(unveil(self.digest_key(), from_blob(named), row[0]), row[1], row[2], bool(row[3]))

    def expire_page_ends(self, *, now: str) -> int:
        removed = 0
        while True:
            portion = self._connections.write(lambda db: db.execute(_CLEAR, (now, _PORTION)).rowcount, durable=False)
            removed += portion
            if portion < _PORTION:
                return removed
