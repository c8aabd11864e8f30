"""The erasure of raw messages in a unit of work: the messages, and the context that memories have of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from forgetless.adapters.ledger_codec import from_blob
from forgetless.adapters.ledger_dynamodb import append, item_keys, jobs, message_items
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.unit_of_work import Unit, Units
from forgetless.domain.memory import Memory, MessageRef

__all__ = ["drop", "drop_unseen", "erase", "expire", "needed"]


def needed(tenant: str, refs: Sequence[MessageRef]) -> list[Key]:
    """The keys that `erase` reads first."""
    jobs_of = dict.fromkeys(item_keys.job(tenant, ref.job_id) for ref in refs)
    return [*(item_keys.message(tenant, ref) for ref in refs), *jobs_of]


def erase(unit: Unit, tenant: str, refs: Sequence[MessageRef], at: str) -> int:
    """Remove messages, also from the context of memories; returns the number of those that existed."""
    unit.load(needed(tenant, refs))
    erased = message_items.remove(unit, [item_keys.message(tenant, ref) for ref in refs])
    for job_id in {ref.job_id for ref in refs}:
        _forget_orphan(unit, tenant, job_id)
    _drop_carried(unit, tenant, refs, at)
    return erased


def expire(unit: Unit, wanted: Sequence[Key], again: str) -> int:
    """Remove messages that are over; returns their number.

    What an add still has to read stays, however old its client says it is, until the time `again` is over.
    """
    unit.load(wanted)
    items = {key: item for key in wanted if (item := unit.get(key)) is not None}
    jobs_of = {key: _job_of(item) for key, item in items.items()}
    unit.load(dict.fromkeys(item_keys.job(*job) for job in jobs_of.values()))
    over = []
    for key, job in jobs_of.items():
        if jobs.is_open(unit, *job):
            message_items.wait(unit, key, again)
        else:
            over.append(key)
    removed = message_items.remove(unit, over)
    for tenant, job_id in dict.fromkeys(jobs_of[key] for key in over):
        _forget_orphan(unit, tenant, job_id)
    return removed


def _job_of(message: Item) -> tuple[str, str]:
    return message_items.scope_of(message).tenant, message_items.ref_of(message).job_id


def _forget_orphan(unit: Unit, tenant: str, job_id: str) -> None:
    if not unit.query(item_keys.job(tenant, job_id).pk, item_keys.MESSAGES):
        jobs.forget_request(unit, tenant, job_id)


def _drop_carried(unit: Unit, tenant: str, refs: Sequence[MessageRef], at: str) -> None:
    """Remove the messages from the context of the memories that have them."""
    carriers: set[str] = set()
    for job_id in {ref.job_id for ref in refs}:
        places = {f"{ref.position:08d}" for ref in refs if ref.job_id == job_id}
        # The notes of expired messages remain, because their words are still in the index.
        for item in unit.query(item_keys.job(tenant, job_id).pk, item_keys.CARRIERS):
            if item["sk"].split("#")[1] in places:
                carriers.add(from_blob(item["memory"]))
    unit.load(item_keys.head(tenant, memory_id) for memory_id in carriers)
    for memory_id in carriers:
        drop(unit, item_keys.head(tenant, memory_id), refs, at)


def drop(unit: Unit, key: Key, refs: Iterable[MessageRef], at: str) -> None:
    """Remove the messages from the context of the memory with this head."""
    head = unit.get(key)
    if head is not None:
        memory: Memory = append.memory_of(unit, head)
        if set(refs) & set(memory.context):
            append.drop_context(unit, memory, refs, at)


def drop_unseen(units: Units, tenant: str, refs: Sequence[MessageRef], at: str) -> None:
    """Remove erased messages from the context of memories that were appended while they were erased.

    `erase` may not have seen these. A later append does not find the messages any more.
    """
    units.run(partial(_drop_carried, tenant=tenant, refs=refs, at=at))
