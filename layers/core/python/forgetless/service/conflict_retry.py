"""Retries after a conflict: how long a writer that lost a race reads again and tries again before it gives up."""

from __future__ import annotations

from forgetless.domain.backoff import Backoff, Tries
from forgetless.ports.clock import Clock

__all__ = ["ConflictRetry"]

#: How long one write goes on trying. With pauses like these, a hundred writers of one memory all succeed.
_PATIENCE_S = 8.0
_BACKOFF = Backoff(first_s=0.002, longest_s=0.1)


class ConflictRetry(Tries):
    """The tries of one write. When no try is left, the writer answers with a conflict."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(_BACKOFF, patience_s=_PATIENCE_S, clock=clock)
