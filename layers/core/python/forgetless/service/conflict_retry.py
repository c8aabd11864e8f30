"""Retries of writes that lose a race: how long a writer reads again and tries again before it gives up."""

from __future__ import annotations

from forgetless.domain.backoff import Backoff, Tries
from forgetless.ports.clock import Clock

__all__ = ["ConflictRetry"]

#: How long one write goes on trying; with waits like these, a hundred writers of one memory all get through.
_PATIENCE_S = 8.0
_BACKOFF = Backoff(first_s=0.002, longest_s=0.1)


class ConflictRetry(Tries):
    """The tries of one write; when they have ended, the writer answers with a conflict."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(_BACKOFF, patience_s=_PATIENCE_S, clock=clock)
