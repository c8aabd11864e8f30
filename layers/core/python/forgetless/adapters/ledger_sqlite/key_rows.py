"""The rows of API keys: the key that a row holds, and the columns by which a tenant's keys are found and counted.

The record in `body` is what counts. A version before schema 21 writes rows without the other columns: `fill` adds them.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import Any

from forgetless.adapters.ledger_codec import dump, from_blob, load, to_blob
from forgetless.domain.keys import ApiKey, Role, key_id

__all__ = ["COLUMNS", "all_keys", "fill", "key_column", "load_key", "put_key"]

_logger = logging.getLogger(__name__)

#: tenant, id, when it was made, whether it is revoked, when it ends (NEVER: it does not; REVOKED: it has), and whether
#: its record says no more than that it is revoked.
COLUMNS = ("tenant", "id", "created_at", "revoked", "ends_at", "bare")
#: They sort after and before every time.
_NEVER, _REVOKED = "~", ""
#: A text, as names of tenants are blobs.
_NOBODY = ""

_PUT = f"INSERT OR REPLACE INTO keys (hash, body, quotas, {', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own names
_FILL = f"UPDATE keys SET {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE hash = ?"  # noqa: S608 - our own names
#: How many rows without columns are filled at once.
_AT_ONCE = 100


def load_key(hash_: str, body: bytes, quotas: bytes | None) -> ApiKey:
    """The key of a row."""
    record = load(body)
    if isinstance(record, list):  # the form of the first version
        tenant, admin, created_at, label, revoked = record
        return ApiKey(hash_, tenant, Role.ADMIN if admin else Role.WRITE, created_at, label, revoked)
    return ApiKey.from_record(hash_, record).with_quotas(load(quotas) if quotas else {})


def all_keys(db: sqlite3.Connection) -> list[ApiKey]:
    """The keys of all tenants. Only a restore reads them."""
    rows = db.execute("SELECT hash, body, quotas FROM keys").fetchall()
    return [load_key(from_blob(hash_), body, quotas) for hash_, body, quotas in rows]


def put_key(db: sqlite3.Connection, key: ApiKey) -> None:
    """Store the key in the transaction of the caller, whatever stands in its place."""
    quotas, record = key.quota_record(), key.record()
    row = (to_blob(key.hash), dump(record), dump(quotas) if quotas else None)
    db.execute(_PUT, (*row, *_columns(key.hash, record, has_quotas=bool(quotas))))


def fill(db: sqlite3.Connection) -> None:
    """Fill the columns of rows that a version before schema 21 has written, in the transaction of the caller."""
    query = "SELECT hash, body, quotas FROM keys WHERE tenant IS NULL LIMIT ?"
    while rows := db.execute(query, (_AT_ONCE,)).fetchall():
        db.executemany(
            _FILL,
            [(*_columns_of(hash_, body, quotas), hash_) for hash_, body, quotas in rows],
        )


def key_column(place: int, hash_: bytes, body: bytes, quotas: bytes | None) -> Any:
    """The value of a column, for the migration."""
    return _columns_of(hash_, body, quotas)[place]


def _columns_of(hash_: bytes, body: bytes, quotas: bytes | None) -> tuple[bytes | str, str, str, int, str, int]:
    """The columns of a row. One that cannot be read is nobody's: it must not stop the keys of all tenants."""
    try:
        return _columns(from_blob(hash_), load(body), has_quotas=bool(quotas))
    except (AttributeError, LookupError, TypeError, ValueError):
        _logger.warning("a row of the table keys cannot be read: it is nobody's", extra={"id": hash_.hex()[:8]})
        return _NOBODY, key_id(from_blob(hash_)), "", 1, _REVOKED, 1


def _columns(hash_: str, record: Any, *, has_quotas: bool) -> tuple[bytes, str, str, int, str, int]:
    """The values of COLUMNS. The record may be of a later version, whose other fields do not matter here."""
    if isinstance(record, list):
        tenant, _, created_at, label, revoked = record
        record = {"tenant": tenant, "created_at": created_at, "label": label, "revoked": revoked}
    ends = [record[name] for name in ("expires_at", "replaced_until") if record.get(name) is not None]
    revoked = bool(record.get("revoked"))
    told = ("label", "prefix", "users", "agents", "apps")
    bare = revoked and not (ends or has_quotas or any(record.get(name) for name in told))
    ends_at = _REVOKED if revoked else min(ends, default=_NEVER)
    return to_blob(record["tenant"]), key_id(hash_), record["created_at"], int(revoked), ends_at, int(bare)
