"""Ledgers as earlier versions of Forgetless wrote them, built from the scripts and the statements of that time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from forgetless.adapters.ledger_codec import dump_memory, scope_columns, to_blob
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.adapters.ledger_sqlite.schema import _MIGRATIONS
from forgetless.domain.memory import Memory

__all__ = [
    "as_dynamodb_of_version_1",
    "as_dynamodb_of_version_2",
    "as_dynamodb_queued_by_age",
    "sqlite_of_schema",
    "sqlite_of_schema_3",
]

_MEMORY = """
INSERT INTO memories (tenant, id, version, state, created_at, position, updated_at, user_id, agent_id, app_id, run_id,
                      scope_key, hash, extracted, pending_since, context_size, text_id)
VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, 0, ?)
"""
_EVENT = "INSERT INTO events (tenant, memory_id, version, kind, job_id, text_id) VALUES (?, ?, 1, 'ADD', ?, ?)"


def sqlite_of_schema_3(path: Path, memories: Sequence[Memory], *, pending: Iterable[Memory] = ()) -> None:
    """A file of schema 3 with these memories, of which some are pending since their creation."""
    sqlite_of_schema(3, path, memories, pending=pending)


def sqlite_of_schema(
    number: int,
    path: Path,
    memories: Sequence[Memory],
    *,
    pending: Iterable[Memory] = (),
    deleted: Iterable[Memory] = (),
) -> None:
    """A file of a schema from 3 to 9 with these memories: superseded ones count as such, and some were deleted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting, gone = {memory.id for memory in pending}, {memory.id for memory in deleted}
    with closing(sqlite3.connect(path)) as db:
        for script in _MIGRATIONS[:number]:
            db.executescript(script)
        db.execute(f"PRAGMA user_version = {number}")
        for memory in memories:
            text_id = db.execute("INSERT INTO texts (body) VALUES (?)", (dump_memory(memory),)).lastrowid
            key, scope = (to_blob(memory.scope.tenant), to_blob(memory.id)), memory.scope
            since = memory.updated_at if memory.id in waiting else None
            order = (memory.created_at, memory.position, memory.updated_at)
            text = (scope.key(), memory.hash, since, text_id)
            state = 2 if memory.id in gone else int(memory.superseded_by is not None)
            db.execute(_MEMORY, (*key, state, *order, *scope_columns(scope), *text))
            db.execute(_EVENT, (*key, to_blob(memory.job_id), text_id))
        db.commit()


def as_dynamodb_of_version_2(client: Client) -> None:
    """Give the table the form of version 2: no totals of tenants, and no numbers of expiring memories."""
    for item in client.call("scan", TableName=client.table)["Items"]:
        if item["pk"]["S"].startswith("T#"):
            client.call("delete_item", TableName=client.table, Key={"pk": item["pk"], "sk": item["sk"]})
        elif item["pk"]["S"].startswith("N#"):
            item.pop("expiring")
            client.call("put_item", TableName=client.table, Item=item)
    client.call("put_item", TableName=client.table, Item=to_wire({**item_keys.SCHEMA._asdict(), "version": 2}))


def as_dynamodb_of_version_1(client: Client, *, staged: Memory | None = None) -> None:
    """Give the table the form of version 1: pending memories are queued by time alone.

    The head of `staged` gets the form that a process leaves which dies after it committed a staged change.
    """
    for item in map(from_wire, client.call("scan", TableName=client.table)["Items"]):
        if str(item.get("gsi1pk", "")).startswith(item_keys.PENDING):
            old = _queued_by_time(item)
            if staged is not None and item["pk"] == item_keys.head(staged.scope.tenant, staged.id).pk:
                old = {"pk": item["pk"], "sk": item["sk"], "stage": "s", "next": old}
            client.call("put_item", TableName=client.table, Item=to_wire(old))
    items: list[Item] = [{**item_keys.SCHEMA._asdict(), "version": 1}]
    if staged is not None:
        key = item_keys.head(staged.scope.tenant, staged.id)
        stage, chunk = item_keys.stage("s"), item_keys.stage_chunk("s", 1)
        queue = {"gsi1pk": item_keys.STAGES, "gsi1sk": "s"}
        items.append({**stage._asdict(), **queue, "state": "COMMITTED", "beat": 2})
        items.append({**chunk._asdict(), "keys": [list(key)]})
    for item in items:
        client.call("put_item", TableName=client.table, Item=to_wire(item))


def as_dynamodb_queued_by_age(client: Client) -> None:
    """Give what is due or open in the table the sort keys of before queues were read in turn: by time alone."""
    for item in map(from_wire, client.call("scan", TableName=client.table)["Items"]):
        if str(item.get("gsi1sk", "")).startswith(item_keys.IN_TURN):
            _, _, time, order = item["gsi1sk"].split("#")
            old = {**item, "gsi1sk": f"{time}#{item_keys.part('acme')}#{order}"}
            client.call("put_item", TableName=client.table, Item=to_wire(old))


def _queued_by_time(item: Item) -> Item:
    queue = item["gsi1pk"].removeprefix(item_keys.PENDING)
    return {**item, "gsi1pk": f"P#{queue}", "gsi1sk": item["gsi1sk"].partition("#")[2]}
