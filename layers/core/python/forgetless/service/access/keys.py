"""Keys: from what a client presents to the tenant it belongs to; making, listing and revoking them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from forgetless.domain.documents import Document
from forgetless.domain.errors import (
    AuthenticationError,
    ConflictError,
    DependencyError,
    InvalidRequestError,
    NotFoundError,
)
from forgetless.domain.keys import ApiKey, Role, key_hash, key_prefix, new_key
from forgetless.domain.times import seconds_between
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import KeyStore
from forgetless.ports.request_ledger import DocumentStore
from forgetless.service.document_change import change_document

__all__ = ["CACHE_S", "USED_RESOLUTION_S", "KeyService", "KeyStatus"]

#: How long a key is believed without asking the ledger again: a revoked key works this long at most.
CACHE_S = 30.0
#: Distinct keys kept in mind, so that guessing keys cannot grow the process.
_CACHE_SIZE = 1024
#: `last_used_at` is written this often at most, so that using a key is not a write for each request.
USED_RESOLUTION_S = 600.0
#: The kind of the documents that hold it, apart from the keys: a use never undoes a revocation.
_USE = "key-use"
_PAGE = 100

_logger = logging.getLogger(__name__)


class _KeyLedger(KeyStore, DocumentStore, Protocol):
    """What of the ledger keys need."""


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """A key and when it was used last (within USED_RESOLUTION_S), None for never."""

    key: ApiKey
    last_used_at: str | None


class KeyService:
    """Checks API keys, with a short cache in the process, and manages them."""

    def __init__(self, *, ledger: _KeyLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._seen: dict[str, tuple[float, ApiKey]] = {}
        self._revocations = 0
        self._lock = threading.Lock()

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
        revocations = self._revocations
        key = self._ledger.key(hash_)
        if key is None or key.revoked:
            self._seen.pop(hash_, None)
            raise AuthenticationError("Invalid API key.")
        self._remember(key, now, revocations)
        self._note_use(key)
        return key

    def create(self, tenant: str, *, label: str, role: Role, users: Sequence[str] = ()) -> tuple[ApiKey, str]:
        """A new key of the tenant, and its secret, which is not kept anywhere.

        Raises InvalidRequestError for a limited administrator: it could make itself a key without limits.
        """
        if role is Role.ADMIN and users:
            raise InvalidRequestError("user_ids: an administrator's key cannot be limited; use role write or read.")
        secret = new_key()
        key = ApiKey(
            key_hash(secret),
            tenant,
            role,
            self._clock.now(),
            label=label,
            prefix=key_prefix(secret),
            users=tuple(dict.fromkeys(users)),
        )
        if not self._ledger.put_key(key):
            raise ConflictError("A key of this hash exists already.")  # 256 random bits that came twice
        return key, secret

    def register(self, tenant: str, secret: str, *, role: Role, label: str) -> ApiKey:
        """Make a key that exists outside known, or leave it as it is when its tenant and role are these already.

        Raises InvalidRequestError for one that was revoked: starting a service again must not bring it back.
        """
        while True:  # until nobody changes it between our look and our write: a revocation is never undone
            held = self._ledger.key(key_hash(secret))
            if held is not None and held.revoked:
                raise InvalidRequestError("this key was revoked: use another one")
            if held is not None and (held.tenant, held.role, held.users) == (tenant, role, ()):
                return held
            key = ApiKey(key_hash(secret), tenant, role, self._clock.now(), label=label, prefix=key_prefix(secret))
            if self._ledger.put_key(key, held=held):
                return key

    def list(self, tenant: str) -> list[KeyStatus]:
        """The tenant's keys that are not revoked, newest first."""
        used: dict[str, str] = {}
        cursor: str | None = None
        while True:
            page, cursor = self._ledger.documents(tenant, _USE, limit=_PAGE, cursor=cursor)
            used |= {document.id: document.body["last_used_at"] for document in page}
            if cursor is None:
                break
        keys = [key for key in self._ledger.keys(tenant) if not key.revoked]
        return [KeyStatus(key, used.get(key.id)) for key in reversed(keys)]

    def revoke(self, tenant: str, key_id: str) -> ApiKey:
        """Make a key of the tenant invalid: here at once, in other processes within CACHE_S.

        Raises NotFoundError, and InvalidRequestError when it is revoked already.
        """
        while True:
            key = next((key for key in self._ledger.keys(tenant) if key.id == key_id), None)
            if key is None:
                raise NotFoundError("API key not found.")
            if key.revoked:
                raise InvalidRequestError("API key is already revoked.")
            revoked = replace(key, revoked=True)
            if self._ledger.put_key(revoked, held=key):
                break
        with self._lock:
            self._seen.pop(key.hash, None)
            self._revocations += 1
        return revoked

    def _remember(self, key: ApiKey, read_at: float, revocations: int) -> None:
        """Believe the key for a while, unless something was revoked here while we read it: perhaps it."""
        with self._lock:
            if revocations != self._revocations:
                return
            if len(self._seen) >= _CACHE_SIZE:
                self._seen.clear()
            self._seen[key.hash] = (read_at, key)

    def _note_use(self, key: ApiKey) -> None:
        def change(held: Document | None) -> dict[str, str] | None:
            now = self._clock.now()
            if held is not None and seconds_between(held.body["last_used_at"], now) < USED_RESOLUTION_S:
                return None
            return {"last_used_at": now}

        try:
            change_document(self._ledger, (key.tenant, _USE, key.id), change, clock=self._clock)
        except (ConflictError, DependencyError) as error:  # a note, and no reason to refuse a valid key
            _logger.warning("the use of a key was not noted", extra={"key_id": key.id, "reason": error.code})
