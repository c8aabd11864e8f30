"""Raw messages as items, and what is written and removed together with them in a unit of work."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.adapters.ledger_codec import dump_message, from_blob, load_message, to_blob
from forgetless.adapters.ledger_dynamodb import item_keys, scope_entries
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.unit_of_work import Unit
from forgetless.domain.memory import Message, MessageRef
from forgetless.domain.scope import SCOPE_IDS, Scope

__all__ = ["insert", "load", "needed", "ref_of", "remove", "scope_of", "wait"]


def insert(unit: Unit, messages: Sequence[Message]) -> None:
    """Add those messages that do not exist yet."""
    wanted = [item_keys.message(message.scope.tenant, message.ref) for message in messages]
    unit.load(needed(unit, messages))
    for scope in dict.fromkeys(message.scope for message in messages):
        for key, entry in scope_entries.entries(unit.digest_key(), scope).items():
            unit.put(key, entry)
    for key, message in zip(wanted, messages, strict=True):
        if unit.get(key) is None:
            item = {
                "created": message.created_at,
                "gsi1pk": item_keys.queue_of(item_keys.EXPIRY_QUEUES, message.ref.job_id),
                "gsi1sk": _queued(message.created_at, message.ref),
                **_ref_item(message.ref),
                **_scope_item(message.scope),
            }
            unit.put(key, unit.with_body(key, item, dump_message(message)))
            unit.put_new(_spoken(message), _ref_item(message.ref))


def needed(unit: Unit, messages: Sequence[Message]) -> list[Key]:
    """The keys that `insert` reads."""
    scopes = dict.fromkeys(message.scope for message in messages)
    wanted = [item_keys.message(message.scope.tenant, message.ref) for message in messages]
    return [*wanted, *(key for scope in scopes for key in scope_entries.entries(unit.digest_key(), scope))]


def wait(unit: Unit, key: Key, since: str) -> None:
    """Have the message's turn to expire come as if it had been created at `since`."""
    if (item := unit.get(key)) is not None:
        unit.put(key, {**item, "gsi1sk": _queued(since, ref_of(item))})


def _queued(at: str, ref: MessageRef) -> str:
    return f"{at}#{ref.position:08d}"


def remove(unit: Unit, wanted: Sequence[Key]) -> int:
    """Remove messages; returns the number of those that existed."""
    unit.load(wanted)
    removed = 0
    for key in wanted:
        item = unit.get(key)
        if item is not None:
            unit.delete(key)
            unit.delete(item_keys.said(scope_of(item), ref_of(item), item["created"]))
            removed += 1
    return removed


def _spoken(message: Message) -> Key:
    return item_keys.said(message.scope, message.ref, message.created_at)


def _scope_item(scope: Scope) -> Item:
    ids = (scope.tenant, *(getattr(scope, name) for name in SCOPE_IDS))
    return {"scope": [to_blob(id_) for id_ in ids]}


def scope_of(item: Item) -> Scope:
    """The exact scope in an item."""
    return Scope(*(from_blob(id_) for id_ in item["scope"]))


def _ref_item(ref: MessageRef) -> Item:
    return {"job": to_blob(ref.job_id), "position": ref.position}


def ref_of(item: Item) -> MessageRef:
    """The reference to a message in an item."""
    return MessageRef(from_blob(item["job"]), item["position"])


def load(item: Item, body: bytes) -> Message:
    """The message in an item."""
    scope = scope_of(item)
    ids = (to_blob(value) if value else None for value in (scope.user_id, scope.agent_id, scope.app_id, scope.run_id))
    return load_message(scope.tenant, (item["job"], item["position"], item["created"], *ids, body))
