"""The tables of the file, as migrations from one schema version to the next.

Every text from a client is a BLOB (see ledger_codec.py), so that lone surrogates and NUL are preserved and bytes sort
like code points. Times are fixed-width ASCII. Absent scope ids are NULL, so that the partial indexes contain only those
that are present. Clients' texts are only in `texts` (see blobs.py); a memory shares the body of its last event.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from forgetless.adapters.ledger_codec import digest_of_name, from_blob, load_job
from forgetless.adapters.ledger_sqlite.key_rows import key_column
from forgetless.domain.errors import LedgerError

__all__ = [
    "APPLICATION",
    "LEAST_VERSION",
    "SCHEMA_VERSION",
    "is_usable",
    "least_of",
    "make_empty",
    "migrate",
    "version_of",
]

_FIRST = """
CREATE TABLE texts (text_id INTEGER PRIMARY KEY, body BLOB NOT NULL);

CREATE TABLE memories (
    tenant BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL,
    state INTEGER NOT NULL,
    created_at TEXT NOT NULL, position INTEGER NOT NULL, updated_at TEXT NOT NULL,
    user_id BLOB, agent_id BLOB, app_id BLOB, run_id BLOB,
    scope_key TEXT NOT NULL, hash TEXT NOT NULL, extracted INTEGER NOT NULL,
    pending_since TEXT, context_size INTEGER NOT NULL,
    text_id INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX memories_by_tenant ON memories (tenant, created_at, position, id, state) WHERE state < 2;
CREATE INDEX memories_by_user ON memories (tenant, user_id, created_at, position, id, state, updated_at)
    WHERE user_id IS NOT NULL AND state < 2;
CREATE INDEX memories_by_agent ON memories (tenant, agent_id, created_at, position, id, state, updated_at)
    WHERE agent_id IS NOT NULL AND state < 2;
CREATE INDEX memories_by_app ON memories (tenant, app_id, created_at, position, id, state, updated_at)
    WHERE app_id IS NOT NULL AND state < 2;
CREATE INDEX memories_by_run ON memories (tenant, run_id, created_at, position, id, state, updated_at)
    WHERE run_id IS NOT NULL AND state < 2;
CREATE INDEX memories_by_text ON memories (scope_key, hash) WHERE extracted = 1 AND state = 0;
CREATE INDEX memories_pending ON memories (pending_since) WHERE pending_since IS NOT NULL;

CREATE TABLE events (
    tenant BLOB NOT NULL, memory_id BLOB NOT NULL, version INTEGER NOT NULL,
    kind TEXT NOT NULL, job_id BLOB NOT NULL,
    text_id INTEGER NOT NULL,
    PRIMARY KEY (tenant, memory_id, version)
) WITHOUT ROWID;

CREATE TABLE contexts (
    tenant BLOB NOT NULL, job_id BLOB NOT NULL, position INTEGER NOT NULL, memory_id BLOB NOT NULL,
    PRIMARY KEY (tenant, job_id, position, memory_id)
) WITHOUT ROWID;

CREATE TABLE messages (
    tenant BLOB NOT NULL, job_id BLOB NOT NULL, position INTEGER NOT NULL,
    created_at TEXT NOT NULL, scope_key TEXT NOT NULL,
    user_id BLOB, agent_id BLOB, app_id BLOB, run_id BLOB,
    text_id INTEGER NOT NULL,
    PRIMARY KEY (tenant, job_id, position)
) WITHOUT ROWID;
CREATE INDEX messages_by_scope ON messages (scope_key, created_at);
CREATE INDEX messages_by_time ON messages (created_at);
CREATE INDEX messages_by_user ON messages (tenant, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX messages_by_agent ON messages (tenant, agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX messages_by_app ON messages (tenant, app_id) WHERE app_id IS NOT NULL;
CREATE INDEX messages_by_run ON messages (tenant, run_id) WHERE run_id IS NOT NULL;

CREATE TABLE jobs (
    tenant BLOB NOT NULL, id BLOB NOT NULL,
    state TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    lease_owner BLOB, lease_until TEXT,
    text_id INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX jobs_by_time ON jobs (tenant, created_at, id);
CREATE INDEX jobs_open ON jobs (created_at, id) WHERE state IN ('PENDING', 'RUNNING');

CREATE TABLE leases (name BLOB PRIMARY KEY, owner BLOB NOT NULL, until TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE keys (hash BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE requests (
    tenant BLOB NOT NULL, name BLOB NOT NULL,
    fingerprint BLOB NOT NULL, lease_until TEXT NOT NULL, expires_at TEXT NOT NULL,
    status INTEGER, text_id INTEGER,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
CREATE INDEX requests_by_expiry ON requests (expires_at);

CREATE TABLE answered (
    tenant BLOB NOT NULL, memory_id BLOB NOT NULL, name BLOB NOT NULL,
    PRIMARY KEY (tenant, memory_id, name)
) WITHOUT ROWID;
CREATE INDEX answered_by_name ON answered (tenant, name);
"""

_DOCUMENTS = """
CREATE TABLE documents (
    tenant BLOB NOT NULL, kind TEXT NOT NULL, id BLOB NOT NULL,
    created_at TEXT NOT NULL, version INTEGER NOT NULL, due_at TEXT,
    text_id INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, id)
) WITHOUT ROWID;
CREATE INDEX documents_by_time ON documents (tenant, kind, created_at, id);
CREATE INDEX documents_due ON documents (kind, due_at) WHERE due_at IS NOT NULL;
"""

#: Deleted memories in the order of exports. The other memories already have an index by tenant.
_DELETED = """
CREATE INDEX memories_deleted ON memories (tenant, created_at, position, id) WHERE state = 2
"""

#: Pending memories in the order in which they are read: of all tenants, and of one.
_PENDING_IN_ORDER = """
DROP INDEX memories_pending;
CREATE INDEX memories_pending ON memories (pending_since, created_at, position, id) WHERE pending_since IS NOT NULL;
CREATE INDEX memories_pending_by_tenant ON memories (tenant, pending_since, created_at, position, id)
    WHERE pending_since IS NOT NULL
"""

#: Jobs that have ended in the order in which retention removes them.
_ENDED_JOBS = """
CREATE INDEX jobs_ended ON jobs (state, updated_at) WHERE state IN ('SUCCEEDED', 'FAILED')
"""

#: What upkeep has begun and must finish (see compaction.py).
_UPKEEP = """
CREATE TABLE upkeep (name TEXT PRIMARY KEY) WITHOUT ROWID
"""

#: How often the index refused a memory since it was written, and since when and why it is set aside.
_SET_ASIDE = """
ALTER TABLE memories ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE memories ADD COLUMN aside_since TEXT;
ALTER TABLE memories ADD COLUMN aside_reason TEXT;
CREATE INDEX memories_set_aside ON memories (tenant, aside_since, id) WHERE aside_since IS NOT NULL
"""

#: Stored exports end after 30 days; those of earlier versions had no end.
_EXPORTS_END = """
UPDATE documents SET due_at = strftime('%Y-%m-%dT%H:%M:%S.000000+00:00', created_at, '+30 days')
WHERE kind = 'export' AND due_at IS NULL
"""

#: The number of each tenant's last erasure, and the erasures: markers of digests, and the ids in clear until the end.
_ERASURES = """
CREATE TABLE erasure_states (
    tenant BLOB PRIMARY KEY,
    last INTEGER NOT NULL, hiding INTEGER NOT NULL, first INTEGER NOT NULL, key BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE erasures (
    tenant BLOB NOT NULL, number INTEGER NOT NULL,
    begun_at TEXT NOT NULL, expires_at TEXT, marker BLOB NOT NULL, targets BLOB,
    PRIMARY KEY (tenant, number)
) WITHOUT ROWID;
CREATE INDEX erasures_open ON erasures (begun_at) WHERE targets IS NOT NULL
"""

#: Kept totals of each tenant (with the kind `tenant`) and of each user, agent, app and run, for the live memories.
#: The column `expires` says whether a memory has an expiration date.
_TOTALS = """
ALTER TABLE memories ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;
UPDATE memories SET expires = 1 WHERE state < 2 AND json_extract(
    (SELECT CAST(body AS TEXT) FROM texts WHERE texts.text_id = memories.text_id), '$.expiration_date') IS NOT NULL;
CREATE TABLE totals (
    tenant BLOB NOT NULL, kind TEXT NOT NULL, id BLOB NOT NULL,
    live INTEGER NOT NULL, expiring INTEGER NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, stale INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, id)
) WITHOUT ROWID;
INSERT INTO totals SELECT tenant, 'tenant', x'', count(*), sum(expires), min(created_at), max(updated_at), 0
    FROM memories WHERE state = 0 GROUP BY tenant;
INSERT INTO totals SELECT tenant, 'user', user_id, count(*), sum(expires), min(created_at), max(updated_at), 0
    FROM memories WHERE state = 0 AND user_id IS NOT NULL GROUP BY tenant, user_id;
INSERT INTO totals SELECT tenant, 'agent', agent_id, count(*), sum(expires), min(created_at), max(updated_at), 0
    FROM memories WHERE state = 0 AND agent_id IS NOT NULL GROUP BY tenant, agent_id;
INSERT INTO totals SELECT tenant, 'app', app_id, count(*), sum(expires), min(created_at), max(updated_at), 0
    FROM memories WHERE state = 0 AND app_id IS NOT NULL GROUP BY tenant, app_id;
INSERT INTO totals SELECT tenant, 'run', run_id, count(*), sum(expires), min(created_at), max(updated_at), 0
    FROM memories WHERE state = 0 AND run_id IS NOT NULL GROUP BY tenant, run_id
"""

#: Where pages of lists ended, for the request of the next page.
_PAGE_ENDS = """
CREATE TABLE page_ends (
    tenant BLOB NOT NULL, name BLOB NOT NULL, expires_at TEXT NOT NULL,
    after TEXT NOT NULL, seen INTEGER NOT NULL, count INTEGER NOT NULL, exact INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
CREATE INDEX page_ends_by_expiry ON page_ends (expires_at)
"""

#: By which memory each superseded one was superseded, so that the links can be followed back.
_SUPERSEDED_BY = """
ALTER TABLE memories ADD COLUMN superseded_by BLOB;
UPDATE memories SET superseded_by = CAST(json_extract(
    (SELECT CAST(body AS TEXT) FROM texts WHERE texts.text_id = memories.text_id), '$.superseded_by') AS BLOB)
    WHERE state = 1;
CREATE INDEX memories_superseded ON memories (tenant, superseded_by, id) WHERE superseded_by IS NOT NULL
"""

#: The random id of each erasure (none in those of earlier versions), and the name of this ledger until a restore. It
#: has none if an earlier version made it.
_INCARNATION = """
ALTER TABLE erasures ADD COLUMN id TEXT NOT NULL DEFAULT '';
CREATE TABLE incarnations (name TEXT PRIMARY KEY) WITHOUT ROWID
"""
_NAME = "INSERT INTO incarnations (name) VALUES (lower(hex(randomblob(16))))"

#: What is due of each tenant, so that tenants can be served in turn.
_DUE_BY_TENANT = """
CREATE INDEX documents_due_by_tenant ON documents (kind, tenant, due_at, id) WHERE due_at IS NOT NULL
"""

#: The key of digests, and everything that was deleted without its ids: tombstones, jobs whose messages are erased, and
#: the names of requests, leases and page ends, which may hold ids. Earlier versions left feedback of deleted memories.
_NOBODYS = """
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO secrets (name, value) VALUES ('digests', randomblob(32));
UPDATE texts SET body = CAST(json_remove(json_set(CAST(body AS TEXT), '$.scope', json('["","","",""]')), '$.actor_id')
    AS BLOB) WHERE text_id IN (SELECT events.text_id FROM memories CROSS JOIN events
    ON events.tenant = memories.tenant AND events.memory_id = memories.id WHERE memories.state = 2);
UPDATE texts SET body = x'' WHERE text_id IN (SELECT documents.text_id FROM documents CROSS JOIN memories
    ON memories.tenant = documents.tenant AND memories.id = documents.id
    WHERE documents.kind = 'feedback' AND memories.state = 2);
DELETE FROM documents WHERE kind = 'feedback' AND (tenant, id) IN (SELECT tenant, id FROM memories WHERE state = 2);
UPDATE memories SET user_id = NULL, agent_id = NULL, app_id = NULL, run_id = NULL, scope_key = '' WHERE state = 2;
UPDATE jobs SET body = CAST(json_set(CAST(body AS TEXT), '$.scope', json('["","","",""]')) AS BLOB)
    WHERE state IN ('SUCCEEDED', 'FAILED') AND (json_extract(CAST(body AS TEXT), '$.erased')
    OR (SELECT length(body) FROM texts WHERE texts.text_id = jobs.text_id) = 0);
UPDATE texts SET body = CAST(json_remove(CAST(body AS TEXT), '$.request.ids', '$.request.names', '$.request.users',
    '$.request.agents', '$.request.apps') AS BLOB)
    WHERE text_id IN (SELECT text_id FROM documents WHERE kind = 'bulk-job')
    AND json_extract(CAST(body AS TEXT), '$.kind') = 'delete'
    AND json_extract(CAST(body AS TEXT), '$.state') IN ('SUCCEEDED', 'FAILED');
UPDATE texts SET body = CAST(json_set(CAST(body AS TEXT), '$.summary[1]', json('{}')) AS BLOB)
    WHERE text_id IN (SELECT text_id FROM documents WHERE kind = 'webhook_delivery')
    AND json_extract(CAST(body AS TEXT), '$.state') <> 'pending'
    AND json_type(CAST(body AS TEXT), '$.summary') = 'array';
UPDATE requests SET name = digest_of_name(name, (SELECT value FROM secrets WHERE name = 'digests'));
UPDATE answered SET name = digest_of_name(name, (SELECT value FROM secrets WHERE name = 'digests'));
DELETE FROM page_ends;
UPDATE leases SET name = digest_of_name(name, (SELECT value FROM secrets WHERE name = 'digests'))
    WHERE name NOT IN ('compaction', 'write trial');
INSERT OR IGNORE INTO upkeep (name) VALUES ('vacuum')
"""

#: Whether a tenant is being deleted, and which erasure began that.
_CLOSED = """
ALTER TABLE erasure_states ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE erasures ADD COLUMN closes INTEGER NOT NULL DEFAULT 0
"""

#: What keys and tenants have used (see usage.py), and the quotas beside each key's record.
_USAGE = """
CREATE TABLE usage (
    tenant BLOB NOT NULL, month TEXT NOT NULL, key_id BLOB NOT NULL, day TEXT NOT NULL, kind TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (tenant, month, key_id, day, kind)
) WITHOUT ROWID;
CREATE INDEX usage_by_month ON usage (month);
CREATE TABLE usage_minutes (
    tenant BLOB NOT NULL, key_id BLOB NOT NULL, minute TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (tenant, key_id, minute)
) WITHOUT ROWID;
CREATE INDEX usage_minutes_by_time ON usage_minutes (minute);
ALTER TABLE keys ADD COLUMN quotas BLOB
"""

#: The names of speakers, as digests (see names.py). The ids are digests, too, and empty if the scope has none.
_NAMES = """
CREATE TABLE names (
    tenant BLOB NOT NULL, owner TEXT NOT NULL, name TEXT NOT NULL,
    user_id TEXT NOT NULL, agent_id TEXT NOT NULL, app_id TEXT NOT NULL, run_id TEXT NOT NULL,
    erasures_before INTEGER NOT NULL, given INTEGER NOT NULL, uses TEXT NOT NULL,
    PRIMARY KEY (tenant, owner, name, user_id, agent_id, app_id, run_id)
) WITHOUT ROWID;
CREATE INDEX names_by_user ON names (tenant, user_id) WHERE user_id <> '';
CREATE INDEX names_by_agent ON names (tenant, agent_id) WHERE agent_id <> '';
CREATE INDEX names_by_app ON names (tenant, app_id) WHERE app_id <> '';
CREATE INDEX names_by_run ON names (tenant, run_id) WHERE run_id <> ''
"""

#: What the other generation of the index lacks (see Maintenance.mark_behind), in the order of pending memories.
_BEHIND = """
ALTER TABLE memories ADD COLUMN behind_since TEXT;
CREATE INDEX memories_behind ON memories (tenant, behind_since, created_at, position, id)
    WHERE behind_since IS NOT NULL AND pending_since IS NULL AND aside_since IS NULL
"""

#: Open jobs by the lane of their speaker, so that one with many hides nobody else. A version before this leaves it 0.
_LANES_OF_JOBS = """
ALTER TABLE jobs ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET lane = lane_of_job(tenant, body) WHERE state IN ('PENDING', 'RUNNING');
CREATE INDEX jobs_open_by_lane ON jobs (tenant, lane, created_at, id, state, updated_at, lease_until)
    WHERE state IN ('PENDING', 'RUNNING')
"""

#: Whose each key is, its id, and what is asked about the keys of a tenant. A version before this leaves the columns
#: empty (see key_rows.py).
_KEYS_OF_TENANTS = """
ALTER TABLE keys ADD COLUMN tenant BLOB;
ALTER TABLE keys ADD COLUMN id TEXT;
ALTER TABLE keys ADD COLUMN created_at TEXT;
ALTER TABLE keys ADD COLUMN revoked INTEGER;
ALTER TABLE keys ADD COLUMN ends_at TEXT;
ALTER TABLE keys ADD COLUMN bare INTEGER;
UPDATE keys SET tenant = key_column(0, hash, body, quotas), id = key_column(1, hash, body, quotas),
    created_at = key_column(2, hash, body, quotas), revoked = key_column(3, hash, body, quotas),
    ends_at = key_column(4, hash, body, quotas), bare = key_column(5, hash, body, quotas);
CREATE INDEX keys_by_time ON keys (tenant, revoked, created_at, id);
CREATE INDEX keys_by_id ON keys (tenant, id);
CREATE INDEX keys_by_end ON keys (tenant, ends_at);
CREATE INDEX keys_ended ON keys (ends_at) WHERE bare = 0
"""

#: The script at index n migrates a file from version n to n + 1. Never change a released script; add a new one.
_MIGRATIONS = (
    _FIRST,
    _DOCUMENTS,
    _DELETED,
    _PENDING_IN_ORDER,
    _ENDED_JOBS,
    _SET_ASIDE,
    _UPKEEP,
    _EXPORTS_END,
    _ERASURES,
    _TOTALS,
    _PAGE_ENDS,
    _SUPERSEDED_BY,
    _INCARNATION,
    _DUE_BY_TENANT,
    _NOBODYS,
    _CLOSED,
    _USAGE,
    _NAMES,
    _BEHIND,
    _LANES_OF_JOBS,
    _KEYS_OF_TENANTS,
)

SCHEMA_VERSION = len(_MIGRATIONS)

#: The least version whose Forgetless may use a file of ours, so that an upgrade can be taken back. It rises only with a
#: step that takes away what the version before still needs (docs/upgrades.md). SQLite's application id carries it,
#: after the letters FGL.
LEAST_VERSION = 16
APPLICATION = 0x46474C00


def migrate(connection: sqlite3.Connection) -> None:
    """Migrate the file to SCHEMA_VERSION in one transaction; leaves that of a newer Forgetless as it is.

    Raises LedgerError when we cannot use what a newer one wrote.
    """
    version = version_of(connection)
    if version == 0:
        _refuse_a_foreign_file(connection)
    if version < SCHEMA_VERSION:
        connection.execute("BEGIN IMMEDIATE")
        version = version_of(connection)  # another process may have been first
        _run(connection, _MIGRATIONS[version:])
        if version == 0:
            connection.execute(_NAME)
        if version < SCHEMA_VERSION:
            connection.execute(f"PRAGMA application_id = {APPLICATION + LEAST_VERSION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    if not is_usable(connection):
        raise LedgerError(
            f"the ledger has schema {version}, which needs a Forgetless of schema {least_of(connection)} or later, and "
            f"this one has {SCHEMA_VERSION}: install the newer Forgetless again, restore the copy from before the "
            "upgrade, or start afresh with `make reset-data`"
        )


def make_empty(connection: sqlite3.Connection, version: int) -> None:
    """Make the tables of this version in an empty database."""
    _run(connection, _MIGRATIONS[:version])


def _run(connection: sqlite3.Connection, scripts: Iterable[str]) -> None:
    connection.create_function("digest_of_name", 2, _digest_of_name, deterministic=True)
    connection.create_function("lane_of_job", 2, _lane_of_job, deterministic=True)
    connection.create_function("key_column", 4, key_column, deterministic=True)
    for script in scripts:
        for statement in script.split(";"):
            connection.execute(statement)


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of the file; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def least_of(connection: sqlite3.Connection) -> int:
    """The least schema version of a Forgetless that may use the file. Earlier versions did not say: then its own."""
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    return application - APPLICATION if application > APPLICATION else version_of(connection)


def is_usable(connection: sqlite3.Connection) -> bool:
    """Whether we can use the file, after a migration if it is older."""
    return version_of(connection) <= SCHEMA_VERSION or least_of(connection) <= SCHEMA_VERSION


def _digest_of_name(name: bytes, key: bytes) -> bytes:
    return digest_of_name(key, name.decode("utf-8", "surrogatepass"))


def _lane_of_job(tenant: bytes, body: bytes) -> int:
    return load_job(from_blob(tenant), body, b"").lane


def _refuse_a_foreign_file(connection: sqlite3.Connection) -> None:
    """Raise LedgerError unless a file without our schema is empty, so that we never write to another program's file."""
    tables = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    # Another process may be creating our tables at this moment.
    if tables and "memories" not in tables:
        raise LedgerError(
            "the ledger's file belongs to another program: name another file with FORGETLESS_LEDGER_PATH, or move it"
        )
