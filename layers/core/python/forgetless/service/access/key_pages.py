"""All keys of a tenant one after the other, read in portions, so that many of them need no more memory than few."""

from __future__ import annotations

from collections.abc import Iterator

from forgetless.domain.keys import ApiKey
from forgetless.ports.ledger import KeyStore

__all__ = ["every_key", "unrevoked_keys"]

_PAGE = 200


def unrevoked_keys(ledger: KeyStore, tenant: str) -> Iterator[ApiKey]:
    """The keys of the tenant that are not revoked, newest first."""
    cursor: str | None = None
    while True:
        found, cursor = ledger.keys(tenant, limit=_PAGE, cursor=cursor)
        yield from found
        if cursor is None:
            return


def every_key(ledger: KeyStore, tenant: str) -> Iterator[ApiKey]:
    """The same with revoked keys, in any order; one that is changed meanwhile may come twice."""
    cursor: str | None = None
    while True:
        found, cursor = ledger.all_keys(tenant, limit=_PAGE, cursor=cursor)
        yield from found
        if cursor is None:
            return
