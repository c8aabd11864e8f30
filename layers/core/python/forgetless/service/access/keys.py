"""Keys: authenticates the key that a client presents, and creates, lists and revokes keys."""

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

#: How long a key is accepted without reading the ledger again. A revoked key works at most this long.
CACHE_S = 30.0
#: The most keys in the cache, so that many keys cannot fill the memory of the process.
_CACHE_SIZE = 1024
#: `last_used_at` is written at most this often, so that not every request causes a write.
USED_RESOLUTION_S = 600.0
#: The kind of the documents that hold `last_used_at`. They are apart from the keys, so a use cannot undo a revocation.
_USE = "key-use"
_PAGE = 100

_logger = logging.getLogger(__name__)


class _KeyLedger(KeyStore, DocumentStore, Protocol):
    """The part of the ledger that keys need."""


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """A key and when it was last used (exact to USED_RESOLUTION_S); None if never."""

    key: ApiKey
    last_used_at: str | None


class KeyService:
    """Checks API keys, with a short-lived cache in the process, and manages them."""

    def __init__(self, *, ledger: _KeyLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._seen: dict[str, tuple[float, ApiKey]] = {}
        self._revocations = 0
        self._lock = threading.Lock()

    def authenticate(self, presented: str | None) -> ApiKey:
        """The key that was presented; raises AuthenticationError if it is missing, unknown or revoked."""
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
        """A new key of the tenant, and its secret, which is stored nowhere.

        Raises InvalidRequestError for an administrator's key with `users`: it could create a key without limits.
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
            raise ConflictError("A key with this hash exists already.")  # the same 256 random bits twice
        return key, secret

    def register(self, tenant: str, secret: str, *, role: Role, label: str) -> ApiKey:
        """Store a key whose secret was made elsewhere; a stored key with this tenant and role stays as it is.

        Raises InvalidRequestError for a revoked key: starting the service again must not restore it.
        """
        while True:  # until nobody changes the key between our read and our write: a revocation is never undone
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
        """Revoke a key of the tenant: in this process at once, in other processes within CACHE_S.

        Raises NotFoundError for an unknown key, and InvalidRequestError when it is already revoked.
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
        """Cache the key, unless a key was revoked in this process while we read it: it may have been this one."""
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
        except (ConflictError, DependencyError) as error:  # not a reason to refuse a valid key
            _logger.warning("the use of a key was not recorded", extra={"key_id": key.id, "reason": error.code})
