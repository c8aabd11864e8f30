"""HeldBodies: how many bytes of complete bodies are held until their requests are answered.

Nobody has to show a key to the gateway, and a request may wait 30 seconds until an environment is free.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

#: Of all bodies together. The event that is made of a body takes about as much again.
MOST_BYTES = 128 * 1024 * 1024
#: Bodies up to this size find room when larger ones have taken three quarters of it.
SMALL_BYTES = 64 * 1024


class TooManyBodiesError(Exception):
    """There is no room for a body."""


class HeldBodies:
    """Counts the bodies of requests in progress; used from the event loop's thread only."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._held = 0

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count a body while the context lasts.

        Raises:
            TooManyBodiesError: the bodies of the requests in progress are too large together.
        """
        most = self._most if size <= SMALL_BYTES else self._most - self._most // 4
        if self._held + size > most:
            raise TooManyBodiesError
        self._held += size
        try:
            yield
        finally:
            self._held -= size
