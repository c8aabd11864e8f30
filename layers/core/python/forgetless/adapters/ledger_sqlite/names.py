"""The store of names of speakers: a row for each name, owner and exact scope."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from forgetless.adapters.ledger_codec import to_blob
from forgetless.adapters.ledger_sqlite import erasures
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.adapters.ledger_sqlite.scope_sql import narrowest
from forgetless.domain.erasures import Target, marked_ids
from forgetless.domain.known_names import KnownName, NameOwner, NameRecord, NoteworthyName, Spoken, noted
from forgetless.domain.scope import SCOPE_IDS, Scope

__all__ = ["NameStore"]

_READ = """
SELECT name, user_id, agent_id, app_id, run_id, erasures_before, given, uses FROM names
WHERE tenant = ? AND owner = ? ORDER BY name, user_id, agent_id, app_id, run_id
"""
_PUT = """
INSERT OR REPLACE INTO names
    (tenant, owner, name, user_id, agent_id, app_id, run_id, erasures_before, given, uses)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_LEAVE_OUT = "DELETE FROM names WHERE tenant = ? AND owner = ? AND name = ?"
_KEY = "owner, name, user_id, agent_id, app_id, run_id"


class NameStore(Store):
    """See `forgetless.ports.request_ledger.NameStore`."""

    def known_names(self, tenant: str, owners: Sequence[NameOwner]) -> dict[NameOwner, NameRecord]:
        keys = {owner: owner.key(self.digest_key()) for owner in owners}
        found = self._connections.read(lambda db: {owner: _record(db, tenant, key) for owner, key in keys.items()})
        return {owner: NameRecord(entries) for owner, entries in found.items() if entries}

    def note_names(self, scope: Scope, names: Sequence[NoteworthyName], *, erasures_before: int) -> None:
        owners = [owner.key(self.digest_key()) for owner in NameOwner.all_of(scope)]
        said = Spoken(scope, erasures_before)
        self._connections.write(lambda db: _note(db, said, owners, names), durable=False)

    def erase_names(
        self, tenant: str, target: Target, *, before: int, limit: int, cursor: str | None = None
    ) -> str | None:
        del cursor  # what is removed is not found again
        removed = self._connections.write(lambda db: _erase(db, tenant, target, before, limit), durable=True)
        if removed:
            self._connections.note_erased()
        return "" if removed == limit else None


def _record(db: sqlite3.Connection, tenant: str, owner: str) -> tuple[KnownName, ...]:
    return tuple(
        KnownName(name, _present(ids), before, bool(given), tuple(uses.split()))
        for name, *ids, before, given, uses in db.execute(_READ, (to_blob(tenant), owner)).fetchall()
    )


def _present(digests: Sequence[str]) -> dict[str, str]:
    return {name: digest for name, digest in zip(SCOPE_IDS, digests, strict=True) if digest}


def _note(db: sqlite3.Connection, said: Spoken, owners: Sequence[str], names: Sequence[NoteworthyName]) -> None:
    tenant = said.scope.tenant
    judge = erasures.judge(db, tenant)
    if judge.closed or judge.refuses(said):
        return
    ids = marked_ids(erasures.marker_key(db, tenant), said.scope.ids())
    for owner in owners:
        entries = _record(db, tenant, owner)
        held = [entry for entry in entries if not judge.hides_scope(entry.ids, entry.erasures_before)]
        change = noted(held, names, ids, said.erasures_before)
        db.executemany(_LEAVE_OUT, [(to_blob(tenant), owner, name) for name in change.left_out])
        db.executemany(_PUT, [_row(tenant, owner, entry) for entry in change.put])


def _row(tenant: str, owner: str, entry: KnownName) -> tuple[object, ...]:
    ids = (entry.ids.get(name, "") for name in SCOPE_IDS)
    return (to_blob(tenant), owner, entry.digest, *ids, entry.erasures_before, entry.given, " ".join(entry.uses))


def _erase(db: sqlite3.Connection, tenant: str, target: Target, before: int, limit: int) -> int:
    key = erasures.state_of(db, tenant).key
    where, params = _matching(target, marked_ids(key, {name: value for name, value in target.ids.items() if value}))
    kind = narrowest(target.ids)
    index = "" if kind == "tenant" else f"INDEXED BY names_by_{kind} "
    chosen = f"SELECT {_KEY} FROM names {index}WHERE tenant = ?1 AND erasures_before < ?2{where} LIMIT ?3"  # noqa: S608 - our own names
    statement = f"DELETE FROM names WHERE tenant = ?1 AND ({_KEY}) IN ({chosen})"  # noqa: S608 - our own names
    return db.execute(statement, (to_blob(tenant), before, limit, *params)).rowcount


def _matching(target: Target, digests: Mapping[str, str]) -> tuple[str, list[str]]:
    """The conditions of a target, with their parameters from the fourth on."""
    absent = [name for name, value in target.ids.items() if not value]
    conditions = [f" AND {name} = ?{number}" for number, name in enumerate(digests, 4)]
    conditions += [f" AND {name} <> ''" for name in (*digests, *target.names)]
    conditions += [f" AND {name} = ''" for name in absent]
    return "".join(conditions), list(digests.values())
