"""Bodies of requests that a process holds: bounded together, and for each tenant, from their first byte to the answer.

A client may send its body slowly, and a request may wait for its turn. Without a bound, a few hundred of them fill the
memory that all tenants share.
"""

from __future__ import annotations

from collections import Counter

from starlette.exceptions import HTTPException

__all__ = ["HELD_BODIES", "HeldBodies"]

_RETRY_AFTER_S = 1


class HeldBodies:
    """How many bytes of bodies each tenant has here; what comes without a key counts as one tenant."""

    def __init__(self, *, most: int = 256 * 1024 * 1024) -> None:
        """`most` bytes in all; one tenant may have three quarters of them, so that others find room."""
        self._most = most
        self._each = most - most // 4
        self._held: Counter[str] = Counter()
        self._all = 0

    def take(self, tenant: str, size: int) -> None:
        """Count bytes that have arrived; raises HTTPException (503) if they are too many."""
        self._held[tenant] += size
        self._all += size
        if self._held[tenant] > self._each or self._all > self._most:
            # While FastAPI reads a body, it turns every error except HTTPException into a 400.
            raise HTTPException(
                503,
                "Too many large requests are in progress; send fewer at once, or smaller ones, and try again.",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
            )

    def give(self, tenant: str, size: int) -> None:
        """Count bytes no more, because their request has been answered."""
        self._all -= size
        self._held[tenant] -= size
        if not self._held[tenant]:
            del self._held[tenant]


#: Those of this process.
HELD_BODIES = HeldBodies()
