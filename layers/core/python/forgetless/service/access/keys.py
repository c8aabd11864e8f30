"""Keys: authenticates the key that a client presents, and creates, lists and revokes keys."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
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
from forgetless.domain.identifiers import first_unseen
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.keys import LEAST_CHARS, ApiKey, Role, key_hash, key_prefix, new_key
from forgetless.domain.limits import MAX_KEY_LIMITS_BYTES, MOST_KEYS
from forgetless.domain.quotas import QuotaName, Quotas, read_quotas
from forgetless.domain.tenants import LAST_NUMBERS
from forgetless.domain.times import later, seconds_between
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import ErasureStore
from forgetless.service.access.key_guesses import KeyGuesses
from forgetless.service.access.key_pages import KEYS_AT_ONCE, one_by_one
from forgetless.service.access.tenant_quotas import KeyLedger, copied_to_keys, held_quotas
from forgetless.service.document_change import change_document

__all__ = ["CACHE_S", "USE", "USED_RESOLUTION_S", "KeyService", "KeyStatus"]

#: How long a key is accepted without reading the ledger again. A revoked key works at most this long.
CACHE_S = 30.0
#: The most keys in the cache, so that many keys cannot fill the memory of the process.
_CACHE_SIZE = 1024
#: `last_used_at` is written at most this often, so that not every request causes a write.
USED_RESOLUTION_S = 600.0
#: The kind of the documents that hold `last_used_at`. They are apart from the keys, so a use cannot undo a revocation.
USE = "key-use"

_logger = logging.getLogger(__name__)


class _KeyLedger(KeyLedger, ErasureStore, Protocol):
    """The part of the ledger that keys need."""

    def raise_erasures(self, tenant: str, last: int) -> None:
        """See `forgetless.ports.ledger.Maintenance`."""

    def documents_by_id(self, tenant: str, kind: str, ids: Collection[str]) -> dict[str, Document]:
        """See `forgetless.ports.ledger.Maintenance`."""


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """A key and when it was last used (exact to USED_RESOLUTION_S); None if never."""

    key: ApiKey
    last_used_at: str | None


class KeyService:
    """Checks API keys, with a short-lived cache in the process, and manages them."""

    def __init__(
        self, *, ledger: _KeyLedger, clock: Clock, guesses_per_minute: int = 0, most: int | None = MOST_KEYS
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        #: How many keys of a tenant may be neither revoked nor expired for another one to be made; None: any number.
        self._most = most
        self._guesses = KeyGuesses(per_minute=guesses_per_minute, clock=clock)
        self._seen: dict[str, tuple[float, ApiKey]] = {}
        self._changes = 0
        self._lock = threading.Lock()

    def authenticate(self, presented: str | None, *, address: str = "") -> ApiKey:
        """The key that was presented; raises AuthenticationError if it is missing, unknown or revoked.

        Raises TooManyGuessesError, without a look into the ledger, if too many unknown keys came from the address.
        """
        if not presented:
            raise AuthenticationError(
                "Authentication required. Provide a Bearer token or X-API-Key header.", missing=True
            )
        return self.known(key_hash(presented), address=address)

    def known(self, hash_: str, *, address: str = "") -> ApiKey:
        """The key with this hash; raises what `authenticate` raises."""
        now = self._clock.monotonic()
        seen = self._seen.get(hash_)
        if seen is not None and now - seen[0] < CACHE_S and not self._refused(seen[1]):
            return seen[1]
        self._guesses.begin(address, hash_)
        changes = self._changes
        key = self._ledger.key(hash_)
        if key is None or self._refused(key):
            self._seen.pop(hash_, None)
            self._guesses.unknown(hash_)
            raise AuthenticationError("Invalid API key.")
        self._guesses.valid(address, hash_)
        self._remember(key, now, changes)
        self._note_use(key)
        return key

    def create(
        self,
        tenant: str,
        *,
        label: str,
        role: Role,
        limits: KeyLimits | None = None,
        expires_at: str | None = None,
        quotas: Sequence[str] = (),
    ) -> tuple[ApiKey, str]:
        """A new key of the tenant, and its secret, which is stored nowhere.

        Raises InvalidRequestError for an administrator's key with limits: it could create a key without any; for lists
        of agents or apps without users, or with too many bytes; and for a key whose time is over already. Raises
        TooManyKeysError.
        """
        users, agents, apps = (limits.users, limits.agents, limits.apps) if limits is not None else ((), (), ())
        if role is Role.ADMIN and (users or agents or apps):
            raise InvalidRequestError("user_ids: an administrator's key cannot be limited; use role write or read.")
        if not users and (agents or apps):
            name = "agent_ids" if agents else "app_ids"
            raise InvalidRequestError(f"{name}: they limit a key that is limited to users; give user_ids as well.")
        if sum(len(id_.encode("utf-8", "surrogatepass")) for id_ in (*users, *agents, *apps)) > MAX_KEY_LIMITS_BYTES:
            raise InvalidRequestError(
                f"user_ids, agent_ids, app_ids: a key is limited to ids of at most {MAX_KEY_LIMITS_BYTES:,} bytes "
                "together; give fewer, or make several keys."
            )
        if expires_at is not None and expires_at <= self._clock.now():
            raise InvalidRequestError("expires_at: this time is over; give a later one, or leave it out.")
        made = ApiKey("", tenant, role, self._clock.now(), label=label, expires_at=expires_at)
        made = replace(made, users=_unique(users), agents=_unique(agents), apps=_unique(apps))
        return self._stored(replace(made, quotas=_checked(read_quotas(quotas, field="--quota"), made.limits)))

    def rotate(self, tenant: str, key_id: str, *, overlap_s: float) -> tuple[ApiKey, str, ApiKey]:
        """A successor of the key with the same rights, its secret, and the old key, which ends after `overlap_s`.

        A key that expires gets a successor that lives as long as it was made for, also if it has been rotated before;
        then the earliest of the overlaps ends it. Raises NotFoundError for an unknown key, and InvalidRequestError for
        one that is revoked or whose time is over, also meanwhile: then the successor is revoked, and nobody gets it.
        Raises TooManyKeysError: the successor counts.
        """
        old = self._one(tenant, key_id)
        now = self._clock.now()
        if self._refused(old):
            raise InvalidRequestError("This API key is revoked or has expired; create another one instead.")
        ends = None if old.expires_at is None else later(now, seconds_between(old.created_at, old.expires_at))
        # First the successor: if this process dies in between, there is one key more, and nobody is locked out.
        key, secret = self._stored(replace(old, created_at=now, expires_at=ends, replaced_until=None))
        until = later(now, overlap_s)

        def replaced(one: ApiKey) -> ApiKey:
            if one.revoked:
                raise ConflictError("This API key was revoked while it was rotated; create another one instead.")
            return replace(one, replaced_until=min(one.replaced_until or until, until))

        try:
            return key, secret, self._changed(tenant, key_id, replaced)
        except (ConflictError, NotFoundError):
            self._changed(tenant, key.id, lambda one: one.bare)
            raise

    def _stored(self, key: ApiKey) -> tuple[ApiKey, str]:
        """The key with a new secret, which is stored nowhere."""
        self._admit(key.tenant)
        secret = new_key()
        quotas = held_quotas(self._ledger, key.tenant)
        made = replace(key, hash=key_hash(secret), prefix=key_prefix(secret), tenant_quotas=quotas)
        if not self._ledger.put_key(made, most=self._most, now=self._clock.now()):
            raise ConflictError("A key with this hash exists already.")  # the same 256 random bits twice
        self._settle_quotas(made)
        return made, secret

    def _settle_quotas(self, made: ApiKey) -> None:
        """Copy the tenant's quotas once more if they were set while the key was being stored."""
        if held_quotas(self._ledger, made.tenant) != made.tenant_quotas:
            copied_to_keys(self._ledger, made.tenant)

    def register(self, tenant: str, secret: str, *, role: Role, label: str) -> ApiKey:
        """Store a key whose secret was made elsewhere; a stored key with this tenant and role stays as it is.

        Raises InvalidRequestError for a revoked key, because starting the service again must not restore it, and for a
        new key that is so short that it could be guessed.
        """
        while True:  # until nobody changes the key between our read and our write: a revocation is never undone
            held = self._ledger.key(key_hash(secret))
            if held is not None and self._refused(held):
                raise InvalidRequestError("this key was revoked or has expired: use another one")
            if held is not None and (held.tenant, held.role, held.users) == (tenant, role, ()):
                return held
            self._admit(tenant)
            if held is None and len(secret) < LEAST_CHARS:
                raise InvalidRequestError(
                    f"this key has {len(secret)} characters, so it could be guessed: use a random one of at least "
                    f"{LEAST_CHARS}, such as `openssl rand -hex 32` makes, or let `forgetless keys create` make one"
                )
            key = ApiKey(key_hash(secret), tenant, role, self._clock.now(), label=label, prefix=key_prefix(secret))
            key = replace(key, tenant_quotas=held_quotas(self._ledger, tenant))
            if self._ledger.put_key(key, held=held):
                self._settle_quotas(key)
                return key

    def _admit(self, tenant: str) -> None:
        """Refuse a key for a tenant that is being deleted. A tenant of the same name begins with its first key.

        Raises ConflictError, and InvalidRequestError for a name that terminals would not show as it is.
        """
        if not tenant:
            raise InvalidRequestError("tenant: a key needs a tenant with a name")
        if (unseen := first_unseen(tenant)) is not None:
            code = f"U+{ord(unseen):04X}"
            raise InvalidRequestError(f"tenant: the name has the invisible character {code}; leave it out")
        state = self._ledger.erasure_state(tenant)
        if state.closed:
            raise ConflictError(
                "This tenant is being deleted: a new tenant may have its name when the deletion has ended "
                "(`forgetless tenants deletions`)."
            )
        numbers = None if state.last else self._ledger.document(*LAST_NUMBERS)
        if numbers is not None:
            self._ledger.raise_erasures(tenant, int(numbers.body["last"]))

    def page(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[KeyStatus], str | None]:
        """The tenant's keys that are not revoked, newest first, and the cursor of the next page.

        A page may be shorter than `limit` although more follow.
        """
        keys, following = self._ledger.keys(tenant, limit=limit, cursor=cursor)
        uses = self._ledger.documents_by_id(tenant, USE, [key.id for key in keys])
        used = {id_: str(document.body["last_used_at"]) for id_, document in uses.items()}
        return [KeyStatus(key, used.get(key.id)) for key in keys], following

    def each(self, tenant: str) -> Iterator[KeyStatus]:
        """The same, page by page."""
        return one_by_one(lambda cursor: self.page(tenant, limit=KEYS_AT_ONCE, cursor=cursor))

    def revoke(self, tenant: str, key_id: str) -> ApiKey:
        """Revoke a key of the tenant: in this process at once, in other processes within CACHE_S.

        Nothing stays of the key but that it is revoked, for whoever would register or restore it. Returns it as it was.
        Raises NotFoundError for an unknown key, and InvalidRequestError when it is already revoked.
        """

        seen: list[ApiKey] = []

        def revoked(key: ApiKey) -> ApiKey:
            if key.revoked:
                raise InvalidRequestError("API key is already revoked.")
            seen.append(key)
            return key.bare

        self._changed(tenant, key_id, revoked)
        with suppress(DependencyError):  # it is revoked
            self._ledger.delete_document(tenant, USE, key_id)
        return replace(seen[-1], revoked=True)

    def set_quotas(self, tenant: str, key_id: str, changes: Sequence[str]) -> ApiKey:
        """Change the quotas of a key of the tenant; in force everywhere within CACHE_S.

        Raises NotFoundError for an unknown key, and InvalidRequestError.
        """

        def limited(key: ApiKey) -> ApiKey:
            return replace(key, quotas=_checked(read_quotas(changes, field="--quota", held=key.quotas), key.limits))

        return self._changed(tenant, key_id, limited)

    def _changed(self, tenant: str, key_id: str, change: Callable[[ApiKey], ApiKey]) -> ApiKey:
        """The key after a change, which is in effect in this process at once; raises NotFoundError."""
        while True:
            held = self._one(tenant, key_id)
            changed = change(held)
            if self._ledger.put_key(changed, held=held):
                break
        with self._lock:
            self._seen.pop(held.hash, None)
            self._changes += 1
        return changed

    def _one(self, tenant: str, key_id: str) -> ApiKey:
        key = self._ledger.keys_by_id(tenant, [key_id]).get(key_id)
        if key is None:
            raise NotFoundError("API key not found.")
        return key

    def _refused(self, key: ApiKey) -> bool:
        return key.refused_at(self._clock.now() if key.ends_at is not None else "")

    def _remember(self, key: ApiKey, read_at: float, changes: int) -> None:
        """Cache the key, unless a key was changed in this process while we read it: it may have been this one."""
        with self._lock:
            if changes != self._changes:
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
            change_document(self._ledger, (key.tenant, USE, key.id), change, clock=self._clock)
        except (ConflictError, DependencyError) as error:  # not a reason to refuse a valid key
            _logger.warning("the use of a key was not recorded", extra={"key_id": key.id, "reason": error.code})


def _checked(quotas: Quotas, limits: KeyLimits | None) -> Quotas:
    """The quotas; raises InvalidRequestError for one that cannot be counted."""
    stored = any(name is QuotaName.STORED_MEMORIES for name, _ in quotas.in_force())
    if stored and limits is not None and not limits.whole_users:
        raise InvalidRequestError(
            f"--quota: {QuotaName.STORED_MEMORIES} is counted only for a key that may use every agent and app of its "
            "users: give it --agent-id '*' and --app-id '*', or set this quota for its tenant"
        )
    return quotas


def _unique(ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids))
