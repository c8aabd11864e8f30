"""Reads of many or long memories in portions of stored bytes, so that no request holds more than one portion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from forgetless.domain.memory import Event, Memory
from forgetless.ports.request_ledger import RequestLedger

__all__ = ["history_in_portions", "known_by_reading", "memories_in_portions", "version_of"]

#: How many stored bytes are read at once. As Python objects, they may be 25 times as many, and a reader may hold three
#: portions: the first, the last and the next.
_PORTION_BYTES = 512 * 1024


def memories_in_portions(
    ledger: RequestLedger, tenant: str, ids: Sequence[str]
) -> Iterator[tuple[Sequence[str], dict[str, Memory]]]:
    """Some of the ids after each other, with the memories that the tenant has of them; read when they are asked for."""
    left = list(dict.fromkeys(ids))
    while left:
        found, looked = ledger.read_some(tenant, left, most=_PORTION_BYTES)
        yield left[:looked], found
        left = left[looked:]


def known_by_reading(ledger: RequestLedger, tenant: str, ids: Sequence[str]) -> dict[str, bool]:
    """`known_ids` for a ledger that must read a memory to know whether it shows it."""
    known: dict[str, bool] = {}
    for _, found in memories_in_portions(ledger, tenant, ids):
        known |= {id_: memory.deleted for id_, memory in found.items()}
    return known


def history_in_portions(
    ledger: RequestLedger, tenant: str, memory_id: str, *, first: int = 1
) -> Iterator[Sequence[Event]]:
    """The events of a memory from the version `first` on; a portion is read when it is asked for."""
    more = True
    while more:
        found, more = ledger.history_portion(tenant, memory_id, first, most=_PORTION_BYTES)
        if found:
            first = found[-1].memory.version + 1
            yield found


def version_of(ledger: RequestLedger, memory: Memory, event_id: str) -> Memory | None:
    """The version of the memory that this event made; None if there is none."""
    for portion in history_in_portions(ledger, memory.scope.tenant, memory.id):
        for event in portion:
            if event.memory.event_id == event_id:
                return event.memory
    return None
