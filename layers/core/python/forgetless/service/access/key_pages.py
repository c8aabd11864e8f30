"""All keys of a tenant one after the other, read page by page, so that many of them need no more memory than few."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from forgetless.domain.keys import ApiKey
from forgetless.ports.ledger import KeyStore

__all__ = ["KEYS_AT_ONCE", "every_key", "one_by_one", "unrevoked_keys"]

T = TypeVar("T")

#: The keys of a page.
KEYS_AT_ONCE = 200


def one_by_one(page: Callable[[str | None], tuple[Sequence[T], str | None]]) -> Iterator[T]:
    """What the pages hold; `page` gives the one at a cursor, and the cursor of the next one."""
    cursor: str | None = None
    while True:
        found, cursor = page(cursor)
        yield from found
        if cursor is None:
            return


def unrevoked_keys(ledger: KeyStore, tenant: str) -> Iterator[ApiKey]:
    """The keys of the tenant that are not revoked, newest first."""
    return one_by_one(lambda cursor: ledger.keys(tenant, limit=KEYS_AT_ONCE, cursor=cursor))


def every_key(ledger: KeyStore, tenant: str) -> Iterator[ApiKey]:
    """The same with revoked keys, in any order; one that is changed meanwhile may come twice."""
    return one_by_one(lambda cursor: ledger.all_keys(tenant, limit=KEYS_AT_ONCE, cursor=cursor))
