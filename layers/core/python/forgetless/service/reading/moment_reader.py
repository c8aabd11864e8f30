"""MomentReader: what the ledger knew of memories at a moment.

A memory may have thousands of versions, so the one that was known is found among them by halving: each later version is
known from a later time (`Memory.next_version`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment, begun, first_known, is_known, known, true_at
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.read_portions import history_in_portions

__all__ = ["MomentReader", "most_read"]


class MomentReader:
    """Reads of each memory at most as many versions as `most_read` says, and none if its current one was known."""

    def __init__(self, ledger: RequestLedger) -> None:
        self._ledger = ledger

    def then(
        self, present: Iterable[Memory], moment: Moment, likely: Mapping[str, int] | None = None
    ) -> dict[str, Memory]:
        """By id, those of these memories of one tenant that were known at the moment, as they were known.

        `likely` says of some which version that probably is, which saves reads.
        """
        found: dict[str, Memory] = {}
        halvings: list[_Halving] = []
        for memory in present:
            if memory.deleted:
                continue
            if is_known(memory, moment):
                found[memory.id] = memory
            elif first_known(memory) <= (moment.known_at or ""):
                halvings.append(_Halving(memory, (likely or {}).get(memory.id)))
        while halvings:
            wanted = [halving.wanted for halving in halvings]
            versions = self._ledger.versions(halvings[0].current.scope.tenant, wanted)
            for halving, key in zip(halvings, wanted, strict=True):
                if key not in versions:
                    # Somebody changes or deletes the memory just now.
                    halving.settle(self._from_history(halving.current, moment))
                else:
                    halving.narrow(versions[key], is_known=is_known(versions[key], moment))
            found |= {one.current.id: one.found for one in halvings if one.ended and one.found is not None}
            halvings = [halving for halving in halvings if not halving.ended]
        return found

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

    def _from_history(self, memory: Memory, moment: Moment) -> Memory | None:
        found: Memory | None = None
        for portion in history_in_portions(self._ledger, memory.scope.tenant, memory.id):
            if portion[-1].memory.deleted:
                return None
            found = known(portion, moment) or found
        return found


class _Halving:
    """The search for the version of a memory that was known; the first was known then, the current one was not."""

    def __init__(self, current: Memory, likely: int | None) -> None:
        self.current = current
        self.found: Memory | None = None
        self._low, self._high = 1, current.version
        self._is_guess = likely is not None and 1 <= likely < current.version
        self._next = likely if likely is not None and self._is_guess else self._middle

    @property
    def _middle(self) -> int:
        return (self._low + self._high) // 2

    @property
    def wanted(self) -> tuple[str, int]:
        """The version to read next."""
        return self.current.id, self._next

    @property
    def ended(self) -> bool:
        """Whether `found` is what was known; None if nothing was."""
        return self._high - self._low <= 1 and (self.found is not None or self._low == self._high)

    def narrow(self, version: Memory, *, is_known: bool) -> None:
        """Take what was read for `wanted` into account."""
        if is_known:
            self._low, self.found = version.version, version
        else:
            self._high = version.version
        # What follows a good guess was probably not known.
        self._next = self._low + 1 if self._is_guess and is_known else self._middle
        self._is_guess = False

    def settle(self, found: Memory | None) -> None:
        """End with what was found elsewhere."""
        self._high, self.found = self._low, found


def most_read(memory: Memory, moment: Moment) -> int:
    """How many versions of a memory, given as it is now, `then` reads at most without a guess, this one included."""
    if is_known(memory, moment) or first_known(memory) > (moment.known_at or ""):
        return 1
    return 1 + memory.version.bit_length()
