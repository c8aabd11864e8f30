"""Version 3 to 4: a note at each memory for every memory that it superseded, so that the links can be followed back.

It reads every memory once and writes the same notes each time, so it may be interrupted and run again.
"""

from __future__ import annotations

from forgetless.adapters.ledger_codec import to_blob
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import to_wire
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.adapters.ledger_dynamodb.migration_scan import memories_in

__all__ = ["note_superseded"]


def note_superseded(client: Client) -> None:
    """Write the notes."""
    for memory in memories_in(client, item_keys.SUPERSEDED):
        assert memory.superseded_by is not None
        key = item_keys.superseded(memory.scope.tenant, memory.superseded_by, memory.id)
        item = {**key._asdict(), "memory": to_blob(memory.id), "rev": "migration"}
        client.call("put_item", TableName=client.table, Item=to_wire(item))
