"""API keys: what a key may do, for whom, and until when. A key is 256 random bits, of which only a hash is stored."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from forgetless.domain.key_limits import ANY, KeyLimits
from forgetless.domain.quotas import NO_QUOTAS, Quotas

__all__ = ["LEAST_CHARS", "PREFIX_CHARS", "ApiKey", "Role", "key_hash", "key_id", "key_prefix", "new_key"]

#: Marks a key as ours in logs and secret scanners.
_PREFIX = "fgl_"
#: How many characters of a key are shown, so that people can recognise it.
PREFIX_CHARS = 12
#: The least length of a key that was made elsewhere: an unsalted hash protects only what nobody can guess. Keys that
#: are shorter may be registered already; nothing is shown of them.
LEAST_CHARS = 32
_NAMESPACE = uuid.UUID("6d1c8d0c-5d0e-5b8f-9a52-6f4c1a3e7b90")


class Role(StrEnum):
    """What a key may do. Each role may also do everything that the roles before it may do."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def allows(self, needed: Role) -> bool:
        """Whether this role is sufficient where `needed` is required."""
        return _RANK[self] >= _RANK[needed]


_RANK = {role: rank for rank, role in enumerate(Role)}


@lru_cache(maxsize=1024)
def key_id(hash_: str) -> str:
    """The id of the key with this hash. A request asks for it several times."""
    return str(uuid.uuid5(_NAMESPACE, hash_))


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What the ledger stores about a key."""

    hash: str
    tenant: str
    role: Role
    created_at: str
    label: str = ""
    revoked: bool = False
    #: Its first characters, so that people can recognise it; "" when they are unknown.
    prefix: str = ""
    #: The user ids that it is limited to; empty means all users of the tenant.
    users: tuple[str, ...] = ()
    #: If it is limited: the agents and apps that it may use for its users; `*` stands for all.
    agents: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    #: The end of the time for which it was made; None: it was made for good.
    expires_at: str | None = None
    #: The end of the overlap with its successor, if a rotation replaced it.
    replaced_until: str | None = None
    #: Its own quotas, and a copy of those of its tenant, so that a request reads both with the key.
    quotas: Quotas = NO_QUOTAS
    tenant_quotas: Quotas = NO_QUOTAS

    @property
    def id(self) -> str:
        """The id by which it is listed and revoked; it reveals nothing about the key."""
        return key_id(self.hash)

    @property
    def limits(self) -> KeyLimits | None:
        """What it may reach; None if it may reach all data of the tenant."""
        return KeyLimits(self.users, self.agents, self.apps) if self.users else None

    @property
    def ends_at(self) -> str | None:
        """From this time on it is refused; None: never."""
        return min((end for end in (self.expires_at, self.replaced_until) if end is not None), default=None)

    def refused_at(self, now: str) -> bool:
        """Whether it is revoked, its time is over, or it has limits that this version does not know how to keep."""
        return self.revoked or self._unknown_limits or (self.ends_at is not None and self.ends_at <= now)

    @property
    def _unknown_limits(self) -> bool:
        # Without users, a key has no limits here. Agents alone, which a later version may store, must not mean all.
        return not self.users and bool(self.agents or self.apps)

    @property
    def bare(self) -> ApiKey:
        """What is kept of a key for good when it is revoked: only that it is, so that nothing makes it valid again."""
        return ApiKey(self.hash, self.tenant, self.role, self.created_at, revoked=True)

    @property
    def admin(self) -> bool:
        """Whether it has the role ADMIN, which may act on all data of the tenant at once."""
        return self.role is Role.ADMIN

    def record(self) -> dict[str, Any]:
        """Everything except the hash as plain JSON, for storage.

        The newest fields are only there if they say something, so that an earlier version reads keys that it can obey.
        """
        lists = {"agents": list(self.agents), "apps": list(self.apps)}
        lists = lists if self.users or self.agents or self.apps else {}
        ends = {"expires_at": self.expires_at, "replaced_until": self.replaced_until}
        ending = {name: end for name, end in ends.items() if end is not None}
        return {
            "tenant": self.tenant,
            "role": str(self.role),
            "created_at": self.created_at,
            "label": self.label,
            "revoked": self.revoked,
            "prefix": self.prefix,
            "users": list(self.users),
            **lists,
            **ending,
        }

    def quota_record(self) -> dict[str, dict[str, int | None]]:
        """The quotas as the ledger stores them, apart from `record`, which earlier versions must be able to read."""
        both = {"key": self.quotas.record(), "tenant": self.tenant_quotas.record()}
        return {whose: limits for whose, limits in both.items() if limits}

    def with_quotas(self, record: Mapping[str, Mapping[str, int | None]]) -> ApiKey:
        """The key with the quotas that `quota_record()` described."""
        if not record:
            return self
        own, of_tenant = (Quotas.of(record.get(whose, {})) for whose in ("key", "tenant"))
        return replace(self, quotas=own, tenant_quotas=of_tenant)

    @classmethod
    def from_record(cls, hash_: str, record: Mapping[str, Any]) -> ApiKey:
        """The key that `record()` described."""
        fields = dict(record)
        users = tuple(fields.pop("users", ()))
        # Keys of earlier versions were limited to users alone: they may go on with all agents and apps.
        earlier = (ANY,) if users else ()
        agents, apps = (tuple(fields.pop(name, earlier)) for name in ("agents", "apps"))
        return cls(hash_, role=Role(fields.pop("role")), users=users, agents=agents, apps=apps, **fields)


def new_key() -> str:
    """A new random key."""
    return _PREFIX + secrets.token_urlsafe(32)


def key_hash(key: str) -> str:
    """SHA-256 hex of a key; a random 256-bit key needs no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def key_prefix(key: str) -> str:
    """The part of a key that may be shown; "" for a short key."""
    return key[:PREFIX_CHARS] if len(key) >= LEAST_CHARS else ""
