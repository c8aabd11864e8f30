"""LargeReadTurn: the one turn of large reads. It goes from tenant to tenant, so that none can keep the others from it.

In the order of arrival, many small requests of one tenant would make those of all others wait until they fail. So the
tenants that wait take turns, whoever has many requests, and a request that reads much lets another tenant's go first
between its portions. It keeps what it has read meanwhile, so few may do so at once.
"""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["LargeReadTurn"]

#: So many requests of one tenant wait. Each holds a thread, and what it has read.
_WAITING_EACH = 8
#: So many requests in all wait in the middle of their work: each may hold as much as an answer can.
_PAUSED = 2


class LargeReadTurn:
    """One turn, which several threads wait for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._paused = 0
        #: Who waits, by tenant, in the order in which the tenants are next.
        self._waiting: dict[str, deque[threading.Event]] = {}

    def take(self, tenant: str, *, patience_s: float) -> bool:
        """Wait for the turn; False if it did not come in time, and at once if enough requests of the tenant wait."""
        with self._lock:
            if not self._taken:
                self._taken = True
                return True
            if len(self._waiting.get(tenant, ())) >= _WAITING_EACH:
                return False
            called = threading.Event()
            self._waiting.setdefault(tenant, deque()).append(called)
        return self._called(tenant, called, patience_s)

    def share(self, tenant: str, *, patience_s: float) -> bool:
        """Let a request of another tenant go first if one waits; False if the turn, which this one had, is lost."""
        with self._lock:
            if self._paused >= _PAUSED or not self._waiting.keys() - {tenant}:
                return True
            called = threading.Event()
            self._waiting.setdefault(tenant, deque()).appendleft(called)
            self._paused += 1
            self._pass_on(tenant)
        try:
            return self._called(tenant, called, patience_s)
        finally:
            with self._lock:
                self._paused -= 1

    def give(self, tenant: str) -> None:
        """End the turn, which this tenant has."""
        with self._lock:
            self._pass_on(tenant)

    def _pass_on(self, tenant: str) -> None:
        if (mine := self._waiting.pop(tenant, None)) is not None:
            self._waiting[tenant] = mine  # after all others
        following = next(iter(self._waiting), None)
        if following is None:
            self._taken = False
            return
        called = self._waiting[following][0]
        self._leave(following, called)
        called.set()

    def _called(self, tenant: str, called: threading.Event, patience_s: float) -> bool:
        if called.wait(patience_s):
            return True
        with self._lock:
            if called.is_set():
                return True
            self._leave(tenant, called)
            return False

    def _leave(self, tenant: str, called: threading.Event) -> None:
        self._waiting[tenant].remove(called)
        if not self._waiting[tenant]:
            del self._waiting[tenant]
