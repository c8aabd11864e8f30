"""MomentReader: what the ledger knew of memories at a moment, from their events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.moments import Moment, begun, is_known, known, true_at
from forgetless.ports.request_ledger import RequestLedger

__all__ = ["MomentReader"]


class MomentReader:
    """Reads only the histories that a moment needs: those of memories that were changed after it."""

    def __init__(self, ledger: RequestLedger) -> None:
        self._ledger = ledger

    def then(self, present: Iterable[Memory], moment: Moment) -> dict[str, Memory]:
        """By id, those of these memories that were known at the moment, as they were known."""
        found = {memory.id: self._known(memory, moment) for memory in present if not memory.deleted}
        return {id_: memory for id_, memory in found.items() if memory is not None}

    def true(self, then: Sequence[Memory], moment: Moment, *, superseded: bool = False) -> list[Memory]:
        """Those of these memories, as they were known, that were true at the moment.

        With `superseded`, all whose time had begun by then.
        """
        if superseded:
            return [memory for memory in then if begun(memory, moment)]
        ends = self.ends(then) if moment.as_of else {}
        return [memory for memory in then if true_at(memory, moment, ends.get(memory.id))]

    def ends(self, memories: Sequence[Memory]) -> dict[str, str]:
        """By id, when each superseded memory of one tenant stopped being true.

        That is when its successor begins or, if the successor no longer exists, when the memory was superseded.
        """
        successors = sorted({memory.superseded_by for memory in memories if memory.superseded_by})
        found = self._ledger.read(memories[0].scope.tenant, successors) if successors else {}
        return {
            memory.id: found[memory.superseded_by].created_at if memory.superseded_by in found else memory.updated_at
            for memory in memories
            if memory.superseded_by
        }

    def history(self, memory: Memory) -> Sequence[Event]:
        """The events of a memory, given as it is now."""
        if memory.version == 1:
            return [Event(EventKind.ADD, memory)]
        return self._ledger.history(memory.scope.tenant, memory.id)

    def _known(self, memory: Memory, moment: Moment) -> Memory | None:
        return memory if is_known(memory, moment) else known(self.history(memory), moment)
