"""BehindLedger: the ledger as it looks from the other generation, where pending is what that generation lacks."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.domain.memory import Event, Memory, Message, MessageRef
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger, Refusal

__all__ = ["BehindLedger"]

#: How long a memory rests that the other generation refused, so that it holds up no others.
_REST_S = 3600.0


class BehindLedger:
    """What a Reindexer needs of a ledger (`IndexedLedger`, `RefusalLedger`)."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def read(self, tenant: str, ids: Sequence[str]) -> dict[str, Memory]:
        return self._ledger.read(tenant, ids)

    def history(self, tenant: str, memory_id: str) -> list[Event]:
        return self._ledger.history(tenant, memory_id)

    def superseded_ids(self, tenant: str, memory_id: str, *, limit: int) -> list[str]:
        return self._ledger.superseded_ids(tenant, memory_id, limit=limit)

    def read_messages(
        self, tenant: str, refs: Sequence[MessageRef], *, most_chars: int | None = None
    ) -> dict[MessageRef, Message]:
        return self._ledger.read_messages(tenant, refs, most_chars=most_chars)

    def erase_messages(self, tenant: str, refs: Sequence[MessageRef], *, at: str) -> int:
        return self._ledger.erase_messages(tenant, refs, at=at)

    def mark_indexed(
        self, memories: Sequence[Memory], *, by_writer: bool = False, behind: bool = False
    ) -> list[Memory]:
        del by_writer, behind
        return self._ledger.mark_caught_up(memories)

    def note_refusals(self, refusals: Sequence[Refusal], *, at: str, most: int) -> int:
        """Let them rest. None is set aside, so a refused memory blocks the switch until somebody forces it."""
        del most
        self._ledger.mark_behind([refusal.memory for refusal in refusals], at=later(at, _REST_S))
        return 0
