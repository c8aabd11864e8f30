"""Pages of all messages of a scope, in a fixed order: the exact scopes one after the other, each by time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from forgetless.adapters.ledger_dynamodb import list_entries, scope_entries
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.table import Between, Table
from forgetless.domain.cursors import from_cursor, to_cursor

__all__ = ["Place", "page", "scopes"]

#: How many scopes are visited for one page. Scopes stay listed when their messages are gone.
_SCOPES_LOOKED_AT = 500

#: The number of the partition, the sort key of the exact scope in it, and that of the last message.
Place = tuple[int, str, str]


def page(
    table: Table, tenant: str, ids: Mapping[str, str], limit: int, cursor: str | None
) -> tuple[list[tuple[Place, Item]], str | None]:
    """The entries of the next `limit` messages whose scope has all ids, with their places, and the next cursor."""
    place = (0, list_entries.LOWEST, list_entries.LOWEST)
    if cursor is not None:
        part, scope, said = from_cursor(cursor, int, str, str)
        place = (part, scope, said)
    found: list[tuple[Place, Item]] = []
    looked_at = 0
    for here, item in scopes(table, tenant, ids, place):
        limits = Between(here[2], list_entries.HIGHEST)
        for entry in table.query(scope_entries.spoken(table.digest_key(), item), limits, page=limit + 2):
            if entry["sk"] == here[2]:
                continue
            if len(found) == limit:
                return found, to_cursor(*place)
            place = (here[0], here[1], str(entry["sk"]))
            found.append((place, entry))
        looked_at += 1
        if looked_at >= _SCOPES_LOOKED_AT:
            return found, to_cursor(here[0], here[1], list_entries.HIGHEST)
    return found, None


def scopes(table: Table, tenant: str, ids: Mapping[str, str], place: Place) -> Iterator[tuple[Place, Item]]:
    """The scopes from `place` on that have all ids, each with the place where its messages begin."""
    key = table.digest_key()
    for part, pk in enumerate(scope_entries.partitions(key, tenant, ids)):
        if part < place[0]:
            continue
        first = place[1] if part == place[0] else list_entries.LOWEST
        for item in table.query(pk, Between(first, list_entries.HIGHEST)):
            sk = str(item["sk"])
            if scope_entries.has_all(key, tenant, item, ids):
                said = place[2] if (part, sk) == place[:2] else list_entries.LOWEST
                yield (part, sk, said), item
