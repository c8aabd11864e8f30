"""Events of a whole tenant, in the order of exports."""

from __future__ import annotations

import heapq
from itertools import islice

from forgetless.adapters.ledger_codec import from_blob, from_cursor, to_cursor
from forgetless.adapters.ledger_dynamodb import item_keys, list_entries
from forgetless.adapters.ledger_dynamodb.table import Between, Table

__all__ = ["page"]


def page(table: Table, tenant: str, limit: int, cursor: str | None) -> tuple[list[str], str | None]:
    """The ids of the `limit` memories that follow the cursor, deleted ones too, and the next cursor."""
    after = list_entries.LOWEST if cursor is None else str(from_cursor(cursor, str)[0])
    partitions = [
        pk for table_ in (list_entries.LIST, list_entries.GONE) for pk in item_keys.partitions(table_, tenant, "tenant")
    ]
    streams = [table.query(pk, Between(after, list_entries.HIGHEST), page=limit + 1) for pk in partitions]
    merged = heapq.merge(*streams, key=lambda item: str(item["sk"]))
    # By sort key: a memory that is deleted meanwhile may stand in both lists.
    found = {str(item["sk"]): item for item in islice((one for one in merged if one["sk"] != after), limit + 2)}
    shown = list(found.items())[:limit]
    following = to_cursor(shown[-1][0]) if len(found) > limit else None
    return [from_blob(item["memory"]) for _, item in shown], following
