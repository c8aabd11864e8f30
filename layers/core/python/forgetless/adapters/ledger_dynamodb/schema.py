"""The structure of the table, its schema version, and the migrations between versions."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import Any

from forgetless.adapters.ledger_dynamodb.attribute_values import Item, from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.adapters.ledger_dynamodb.failures import ContendedError
from forgetless.adapters.ledger_dynamodb.ids_migration import forget_ids
from forgetless.adapters.ledger_dynamodb.item_keys import INDEX, SCHEMA
from forgetless.adapters.ledger_dynamodb.migrations import queue_pending_by_tenant
from forgetless.adapters.ledger_dynamodb.superseded_migration import note_superseded
from forgetless.adapters.ledger_dynamodb.totals_migration import keep_totals
from forgetless.domain.errors import LedgerError
from forgetless.ports.schema_plan import SchemaPlan

__all__ = [
    "DEFINITION",
    "MIGRATIONS",
    "check",
    "claim",
    "create",
    "digest_key_of",
    "incarnation_of",
    "migrate",
    "plan",
    "read",
    "set_incarnation",
    "version_of",
]

Migration = Callable[[Client], None]

#: The definition of the table. template.yaml has the same, and a test compares them.
DEFINITION: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "gsi1pk", "gsi1sk")
    ],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": INDEX,
            "KeySchema": [
                {"AttributeName": "gsi1pk", "KeyType": "HASH"},
                {"AttributeName": "gsi1sk", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}

#: The function at index n migrates a table from version n + 1 to n + 2 while nothing else writes. It may be
#: interrupted and run again. Never change a released function; add a new one.
MIGRATIONS: tuple[Migration, ...] = (queue_pending_by_tenant, keep_totals, note_superseded, forget_ids)

#: The least version whose Forgetless may use a table of ours, so that functions of both run beside each other during a
#: deployment, and it can be taken back. It rises only with a step that takes away what the version before still needs.
LEAST_VERSION = 5

#: The items that a step reads and changes in a second, for an estimate: each step reads the table once, one item after
#: the other is written, and a write takes a few milliseconds.
_ITEMS_PER_S = 200.0


def create(client: Client, definition: dict[str, Any] = DEFINITION) -> None:
    """Create a table where no template does (tests, one machine); harmless when it exists."""
    tables = client.call("list_tables").get("TableNames", [])
    if client.table not in tables:
        client.call("create_table", TableName=client.table, **definition)


def version_of(client: Client) -> int | None:
    """The version of the table; None while nothing has been written."""
    return _version(read(client))


def digest_key_of(item: Item) -> bytes:
    """The key of the ledger's digests; empty in a table that has not been migrated yet."""
    return bytes(item.get("digest_key", b""))


def incarnation_of(client: Client) -> str:
    """The name of the ledger, which its first write gives it; empty if an earlier version made the table."""
    return str(read(client).get("incarnation", ""))


def set_incarnation(client: Client, name: str) -> None:
    """Give the ledger another name; a new table gets our version with it."""
    claim(client)
    client.call(
        "update_item",
        TableName=client.table,
        Key=to_wire(SCHEMA._asdict()),
        UpdateExpression="SET incarnation = :name",
        ExpressionAttributeValues=to_wire({":name": name}),
    )


def check(client: Client, migrations: tuple[Migration, ...] = MIGRATIONS, *, item: Item | None = None) -> int | None:
    """The version of the table; raises LedgerError unless it is ours, or a later one that we may use, or none yet.

    `item` is what `read` gave, if it was read before.
    """
    item = read(client) if item is None else item
    ours, held = len(migrations) + 1, _version(item)
    if held is None or held == ours or (held > ours and least_of(item) <= ours):
        return held
    way = (
        "run `python -m forgetless.cli migrate` while no functions run"
        if held < ours
        else "deploy the newer Forgetless again"
    )
    raise LedgerError(f"the ledger's table {client.table} has schema {held}, but this Forgetless needs {ours}: {way}")


def claim(client: Client, migrations: tuple[Migration, ...] = MIGRATIONS) -> int | None:
    """Write our version into a table that has none; returns the version that it then has."""
    made = {"incarnation": secrets.token_hex(16), "digest_key": secrets.token_bytes(32)}
    item = {**SCHEMA._asdict(), "version": len(migrations) + 1, "least": LEAST_VERSION, **made}
    try:
        client.call(
            "put_item", TableName=client.table, Item=to_wire(item), ConditionExpression="attribute_not_exists(pk)"
        )
    except ContendedError:
        return check(client, migrations)
    return len(migrations) + 1


def migrate(client: Client, migrations: tuple[Migration, ...] = MIGRATIONS) -> int:
    """Migrate the table to our version step by step; returns the number of steps. Only for administrators."""
    ours = len(migrations) + 1
    held = version_of(client)
    if held is None:
        claim(client, migrations)
        return 0
    if held > ours:
        check(client, migrations)
        return 0
    steps = ours - held
    while held < ours:
        migrations[held - 1](client)
        with contextlib.suppress(ContendedError):  # done already: another was faster, or an answer was lost
            client.call(
                "put_item",
                TableName=client.table,
                Item=to_wire({**read(client), "version": held + 1, "least": LEAST_VERSION}),
                ConditionExpression="version = :held",
                ExpressionAttributeValues=to_wire({":held": held}),
            )
        held = version_of(client) or held
    return steps


def plan(client: Client) -> SchemaPlan:
    """What `migrate` would do. DynamoDB counts the items every six hours."""
    item = read(client)
    ours, held = len(MIGRATIONS) + 1, _version(item) or 0
    rows = int(client.call("describe_table", TableName=client.table)["Table"]["ItemCount"])
    steps = max(0, ours - held) if held else 0
    seconds = steps * rows / _ITEMS_PER_S if steps else None
    least = least_of(item) if held > ours else LEAST_VERSION
    return SchemaPlan(f"dynamodb {client.table}", held, ours, least, rows, seconds=seconds)


def least_of(item: Item) -> int:
    """The least version of a Forgetless that may use the table. Earlier versions did not say: then its own."""
    return int(item["least"] if "least" in item else item["version"])


def _version(item: Item) -> int | None:
    return int(item["version"]) if item else None


def read(client: Client) -> Item:
    """The item that says of what version the table is; empty while nothing has been written."""
    answer = client.call("get_item", TableName=client.table, Key=to_wire(SCHEMA._asdict()), ConsistentRead=True)
    return from_wire(answer["Item"]) if "Item" in answer else {}
