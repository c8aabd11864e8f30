"""API keys: random 256 bits, of which only the hash is stored."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

__all__ = ["ApiKey", "key_hash", "new_key"]

#: Marks a key as ours in logs and secret scanners.
_PREFIX = "fgl_"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What the ledger knows of a key: whom it belongs to and what it may do."""

    hash: str
    tenant: str
    admin: bool
    created_at: str
    label: str = ""
    revoked: bool = False


def new_key() -> str:
    """A fresh key."""
    return _PREFIX + secrets.token_urlsafe(32)


def key_hash(key: str) -> str:
    """SHA-256 hex of a key; a random 256-bit key needs no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
