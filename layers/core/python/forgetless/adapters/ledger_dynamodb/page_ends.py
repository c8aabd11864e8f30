"""The store of the ends of pages: single items that DynamoDB removes by itself (TTL)."""

from __future__ import annotations

import uuid
from datetime import datetime

from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, to_wire
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store
from forgetless.domain.digests import unveil, veil
from forgetless.ports.request_ledger import PageEnd

__all__ = ["PageEndStore"]


class PageEndStore(Store):
    """See `forgetless.ports.request_ledger.PageEndStore`."""

    def keep_page_end(self, tenant: str, name: str, end: PageEnd, *, now: str, expires_at: str) -> None:
        del now
        named = self._named(name)
        item: Item = {
            # It may hold an id, and DynamoDB removes it only within days.
            "after": veil(self.digest_key(), named, end.after),
            "seen": end.seen,
            "count": end.count,
            "exact": end.exact,
            "expires": expires_at,
            # DynamoDB's own expiry needs seconds.
            "expires_at": int(datetime.fromisoformat(expires_at).timestamp()),
        }
        unit = uuid.uuid4().hex
        # It replaces whatever is there, so nothing has to be read first.
        key = item_keys.page_end(tenant, named)
        self._units.unread([{"Put": {"Item": to_wire({**key._asdict(), **item, "rev": unit})}}], unit)

    def page_end(self, tenant: str, name: str, *, now: str) -> PageEnd | None:
        named = self._named(name)
        item = self._table.one(item_keys.page_end(tenant, named))
        # DynamoDB removes expired items only within days; for us they do not exist any more.
        if item is None or item["expires"] <= now:
            return None
        after = unveil(self.digest_key(), named, item["after"])
        return PageEnd(after, item["seen"], item["count"], item["exact"])

    def expire_page_ends(self, *, now: str) -> int:
        del now
        return 0  # DynamoDB does it
