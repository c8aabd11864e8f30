"""Keys: from what a client presents to the tenant it belongs to."""

from __future__ import annotations

from forgetless.domain.errors import AuthenticationError
from forgetless.domain.keys import ApiKey, key_hash
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import KeyStore

__all__ = ["KeyService"]

#: How long a key is believed without asking the ledger again: a revoked key works this long at most.
CACHE_S = 30.0
#: Distinct keys kept in mind, so that guessing keys cannot grow the process.
_CACHE_SIZE = 1024


class KeyService:
    """Checks API keys, with a short cache in the process."""

    def __init__(self, *, ledger: KeyStore, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._seen: dict[str, tuple[float, ApiKey]] = {}

    def authenticate(self, presented: str | None) -> ApiKey:
        """The key that was presented; raises AuthenticationError when there is none or it is not known."""
        if not presented:
            raise AuthenticationError(
                "Authentication required. Provide a Bearer token or X-API-Key header.", missing=True
            )
        hash_ = key_hash(presented)
        now = self._clock.monotonic()
        seen = self._seen.get(hash_)
        if seen is not None and now - seen[0] < CACHE_S:
            return seen[1]
        key = self._ledger.key(hash_)
        if key is None or key.revoked:
            self._seen.pop(hash_, None)
            raise AuthenticationError("Invalid API key.")
        if len(self._seen) >= _CACHE_SIZE:
            self._seen.clear()
        self._seen[hash_] = (now, key)
        return key
