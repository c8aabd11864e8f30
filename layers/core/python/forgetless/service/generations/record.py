"""GenerationRecord: which generation of the index serves, read as a copy that is at most 30 s old."""

from __future__ import annotations

import threading
from collections.abc import Callable

from forgetless.domain.documents import Document
from forgetless.domain.errors import LedgerError
from forgetless.domain.generations import COPY_S, Generation, Generations
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore
from forgetless.service.document_change import change_document

__all__ = ["GenerationRecord"]

#: It belongs to no tenant, so nobody lists, exports or resets it.
_PLACE = ("", "generations", "record")


class GenerationRecord:
    """The record of one ledger. A ledger without one has a single generation: the one that `first` names."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock, first: Callable[[], Generation]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._first = first
        self._lock = threading.Lock()
        self._copy: Generations | None = None
        self._stored = False
        self._read_at = float("-inf")

    def known(self) -> Generations:
        """The record as it was at most 30 s ago. While the ledger cannot be read, an older copy counts."""
        copy, fresh = self._copy, self._clock.monotonic() - self._read_at < COPY_S
        if copy is not None and fresh:
            return copy
        with self._lock:
            if self._copy is not None and self._clock.monotonic() - self._read_at < COPY_S:
                return self._copy
            try:
                return self._kept(self._ledger.document(*_PLACE))
            except LedgerError:
                if self._copy is None:
                    raise
                return self._copy

    def now(self) -> Generations:
        """The record as it is."""
        with self._lock:
            return self._kept(self._ledger.document(*_PLACE))

    def change(self, change: Callable[[Generations], Generations | None]) -> Generations:
        """The record after the change, which is one conditional write; None leaves it as it is.

        `change` may be called several times. Raises what it raises, and ConflictError when others keep being first.
        """

        def changed(held: Document | None) -> dict[str, object] | None:
            after = change(self._of(held))
            return None if after is None else after.body()

        with self._lock:
            return self._kept(change_document(self._ledger, _PLACE, changed, clock=self._clock))

    def keep(self) -> None:
        """Write the record if there was none yet, so that no process has to find out which one serves."""
        with self._lock:
            if not self._stored:
                self._ledger.put_document(Document(*_PLACE, self._of(None).body(), self._clock.now()))

    def _kept(self, held: Document | None) -> Generations:
        """Keep the copy. It is as old as the beginning of this call at most, but a call is short."""
        self._copy, self._stored, self._read_at = self._of(held), held is not None, self._clock.monotonic()
        return self._copy

    def _of(self, held: Document | None) -> Generations:
        if held is not None:
            return Generations.of(held.body)
        return Generations(self._first() if self._copy is None else self._copy.serving)
