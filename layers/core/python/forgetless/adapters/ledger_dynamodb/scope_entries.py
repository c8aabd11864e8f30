"""The lists of exact scopes that have, or once had, messages: what an erasure must visit.

Entries are never removed, because every add would have to check them in its transaction. So they hold no id: a list is
named by a keyed digest of its id, an entry has keyed digests of the ids, and its sort key is the sealed digest of the
exact scope, from which the key of the ledger leads to the scope's messages.
"""

from __future__ import annotations

from collections.abc import Mapping

from forgetless.adapters.ledger_dynamodb import item_keys, list_entries
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.domain.digests import seal, unseal
from forgetless.domain.known_names import scope_digests
from forgetless.domain.scope import Scope

__all__ = ["SCOPES", "entries", "has_all", "partitions", "spoken"]

#: The prefix of the partitions.
SCOPES = "Z"


def entries(key: bytes, scope: Scope) -> dict[Key, Item]:
    """The entries of a scope: one in the tenant's list, and one in that of each of its ids."""
    digests = scope_digests(key, scope.tenant, scope.ids())
    words = {"tenant": "", **{name.removesuffix("_id"): digest for name, digest in digests.items()}}
    sealed = seal(key, scope.key())
    return {
        item_keys.listed(SCOPES, scope.tenant, kind, word, sealed): {"ids": digests} for kind, word in words.items()
    }


def partitions(key: bytes, tenant: str, ids: Mapping[str, str]) -> list[str]:
    """The list with the fewest entries that has all scopes with these ids."""
    kind, word = list_entries.narrowest(ids)
    digest = scope_digests(key, tenant, {f"{kind}_id": word}).popitem()[1] if word else ""
    return item_keys.partitions(SCOPES, tenant, kind, digest)


def has_all(key: bytes, tenant: str, entry: Item, ids: Mapping[str, str]) -> bool:
    """Whether the entry's scope has all ids; an empty id means that it must not have one of this name."""
    digests = scope_digests(key, tenant, ids)
    return all(entry["ids"].get(name) == digests.get(name) for name in ids)


def spoken(key: bytes, entry: Item) -> str:
    """The partition with the messages of the entry's scope."""
    return item_keys.spoken_in(unseal(key, str(entry["sk"])))
