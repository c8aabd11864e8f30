"""API keys: what a key may do, and for which users. A key is 256 random bits, of which only a hash is stored."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["PREFIX_CHARS", "ApiKey", "Role", "key_hash", "key_prefix", "new_key"]

#: Marks a key as ours in logs and secret scanners.
_PREFIX = "fgl_"
#: How many characters of a key are shown, so that people can recognise it.
PREFIX_CHARS = 12
#: Nothing is shown of a shorter key, which a person has chosen: the rest of it could be guessed.
_LEAST_CHARS = 32
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

    @property
    def id(self) -> str:
        """The id by which it is listed and revoked; it reveals nothing about the key."""
        return str(uuid.uuid5(_NAMESPACE, self.hash))

    @property
    def admin(self) -> bool:
        """Whether it has the role ADMIN, which may act on all data of the tenant at once."""
        return self.role is Role.ADMIN

    def record(self) -> dict[str, Any]:
        """Everything except the hash as plain JSON, for storage."""
        return {
            "tenant": self.tenant,
            "role": str(self.role),
            "created_at": self.created_at,
            "label": self.label,
            "revoked": self.revoked,
            "prefix": self.prefix,
            "users": list(self.users),
        }

    @classmethod
    def from_record(cls, hash_: str, record: Mapping[str, Any]) -> ApiKey:
        """The key that `record()` described."""
        fields = dict(record)
        return cls(hash_, role=Role(fields.pop("role")), users=tuple(fields.pop("users", ())), **fields)


def new_key() -> str:
    """A new random key."""
    return _PREFIX + secrets.token_urlsafe(32)


def key_hash(key: str) -> str:
    """SHA-256 hex of a key; a random 256-bit key needs no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def key_prefix(key: str) -> str:
    """The part of a key that may be shown; "" for a short key."""
    return key[:PREFIX_CHARS] if len(key) >= _LEAST_CHARS else ""
