"""Rate limits: how many requests a key may make per minute, by a token bucket in this process.

The bucket is not in the ledger, because a write for each request would cost more than the limit saves. So every
execution environment counts for itself, and a key gets at most (rate × environments); see docs/keys.md.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from forgetless.domain.errors import RateLimitedError
from forgetless.ports.clock import Clock
from forgetless.ports.metrics import THROTTLES

__all__ = ["Rate", "RateLimiter"]

_MINUTE_S = 60.0
#: If there are so many buckets, full ones are removed: a full bucket holds no information.
_MOST_BUCKETS = 4096


@dataclass(frozen=True, slots=True)
class Rate:
    """The bucket of a key: it holds `limit` requests, `remaining` are left, and it is full again in `reset_s` s."""

    limit: int
    remaining: int
    reset_s: int


class RateLimiter:
    """A bucket for each name, which holds the requests of a minute and refills evenly. It is thread-safe."""

    def __init__(self, *, per_minute: int, clock: Clock) -> None:
        self._limit = per_minute
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, name: str) -> Rate:
        """Count one request; raises RateLimitedError when the bucket is empty, and then counts nothing."""
        with self._lock:
            now = self._clock.monotonic()
            tokens = self._tokens(name, now)
            if tokens < 1:
                THROTTLES.count(limit="requests")
                wait = math.ceil((1 - tokens) * _MINUTE_S / self._limit)
                raise RateLimitedError(limit=self._limit, reset_s=self._until_full(tokens), retry_after=wait)
            if len(self._buckets) >= _MOST_BUCKETS and name not in self._buckets:
                self._forget_full(now)
            self._buckets[name] = (tokens - 1, now)
            return Rate(self._limit, int(tokens - 1), self._until_full(tokens - 1))

    def _tokens(self, name: str, now: float) -> float:
        tokens, at = self._buckets.get(name, (float(self._limit), now))
        return min(float(self._limit), tokens + (now - at) * self._limit / _MINUTE_S)

    def _until_full(self, tokens: float) -> int:
        return math.ceil((self._limit - tokens) * _MINUTE_S / self._limit)

    def _forget_full(self, now: float) -> None:
        self._buckets = {name: held for name, held in self._buckets.items() if self._tokens(name, now) < self._limit}
