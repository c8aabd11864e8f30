"""OAuth grants: what an MCP host may do in the name of a key, until the key or the grant ends.

A grant is one small record with an end, so that nothing has to be tidied up: the number of the refresh token that
counts. Access tokens are stored nowhere. A refresh token can be used once; whoever uses an old one ends the grant,
because one of the two who have it has stolen it (OAuth 2.1, section 4.3.1).
"""

from __future__ import annotations

import hmac
from typing import Protocol

from forgetless.domain.digests import seal, unseal
from forgetless.domain.keys import ApiKey
from forgetless.domain.times import later, seconds_between
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import ErasureStore, IdempotencyRecord, IdempotencyStore

__all__ = ["GRANT_S", "REPEAT_S", "OAuthGrants", "is_grant", "is_revoked"]

#: A grant that is not used for so long ends: 30 days.
GRANT_S = 30 * 86_400.0
#: A client that lost the answer, or has several processes, may repeat a refresh for so long.
REPEAT_S = 60.0

_REVOKED = "revoked"
_HALF = 32


class _Ledger(IdempotencyStore, ErasureStore, Protocol):
    """The part of the ledger that grants need."""


class OAuthGrants:
    """The grants of all keys. A grant's record stands among the requests that may be done once, under its tenant."""

    def __init__(self, *, ledger: _Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def signing_key(self) -> bytes:
        """32 bytes that sign the tokens of this ledger; nobody can compute them from what leaves it."""
        return hmac.digest(self._ledger.digest_key(), b"oauth", "sha256")

    def sealed(self, key: ApiKey) -> str:
        """The key's hash as a token may carry it: only this ledger can read it."""
        secret = self.signing_key()
        return seal(secret, key.hash[:_HALF]) + seal(secret, key.hash[_HALF:])

    def key_hash(self, sealed: str) -> str:
        """The hash of the key that `sealed` was given."""
        secret = self.signing_key()
        return unseal(secret, sealed[:_HALF]) + unseal(secret, sealed[_HALF:])

    def begin(self, key: ApiKey, grant: str) -> bool:
        """Begin a grant; False if it began before: then its code was used twice, and it ends."""
        if self._put(key, grant, self._record(1)) is None:
            return True
        self.revoke(key, grant)
        return False

    def advance(self, key: ApiKey, grant: str, number: int) -> int | None:
        """The number of the next refresh token, once for each number; None if the grant is over, or ends hereby."""
        mine = self._record(number + 1)
        standing = self._put(key, grant, mine)
        if standing is not None and _number(standing) == number:
            standing = self._put(key, grant, mine, over=standing) or mine
        # None: it had ended, or the ledger is an older copy.
        if standing is not None and _number(standing) == number + 1 and self._age_s(standing) <= REPEAT_S:
            return number + 1
        self.revoke(key, grant)
        return None

    def revoke(self, key: ApiKey, grant: str) -> None:
        """End the grant. An access token that was given out works until its hour is over."""
        mine = _stored(_REVOKED, self._clock.now())
        standing = self._put(key, grant, mine)
        while standing is not None and standing.fingerprint != _REVOKED:
            standing = self._put(key, grant, mine, over=standing)

    def _record(self, number: int) -> IdempotencyRecord:
        now = self._clock.now()
        return _stored(f"{number} {now}", now)

    def _put(
        self, key: ApiKey, grant: str, record: IdempotencyRecord, *, over: IdempotencyRecord | None = None
    ) -> IdempotencyRecord | None:
        """Store the record and return None, or return the one that stands."""
        now = self._clock.now()
        ends = later(now, GRANT_S)
        return self._ledger.begin_request(key.tenant, _name(grant), record, now=now, expires_at=ends, over=over)

    def _age_s(self, record: IdempotencyRecord) -> float:
        return seconds_between(record.fingerprint.partition(" ")[2], self._clock.now())


def is_grant(state: str) -> bool:
    """Whether the state of a request's record is one of a grant: clients' requests have a digest without spaces."""
    return state == _REVOKED or (" " in state and state.partition(" ")[0].isdecimal())


def is_revoked(state: str) -> bool:
    """Whether a grant with this state was revoked."""
    return state == _REVOKED


def _stored(state: str, now: str) -> IdempotencyRecord:
    # A record with a status gives way only to who has read it.
    return IdempotencyRecord(state, lease_until=now, status=200)


def _name(grant: str) -> str:
    # The names of clients' requests begin with a method of HTTP.
    return f"oauth {grant}"


def _number(record: IdempotencyRecord) -> int | None:
    number = record.fingerprint.partition(" ")[0]
    return int(number) if number.isdecimal() else None
