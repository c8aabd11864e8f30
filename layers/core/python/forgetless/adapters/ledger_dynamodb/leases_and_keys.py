"""The stores of leases and of API keys."""

from __future__ import annotations

from forgetless.adapters.ledger_codec import dump, from_blob, load, to_blob
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit
from forgetless.domain.keys import ApiKey

__all__ = ["KeyStore", "LeaseStore"]


class LeaseStore(Store):
    """See `forgetless.ports.request_ledger.LeaseStore`."""

    def acquire_lease(self, name: str, *, owner: str, now: str, until: str) -> bool:
        def take(unit: Unit) -> bool:
            key = item_keys.lease(name)
            held = unit.get(key)
            if held is not None and held["owner"] != to_blob(owner) and held["until"] > now:
                return False
            unit.put(key, {"owner": to_blob(owner), "until": until, **unit.expiry.of_lease(until)})
            return True

        return self._units.run(take)

    def lease_until(self, name: str) -> str | None:
        held = self._table.one(item_keys.lease(name))
        return None if held is None else str(held["until"])

    def release_lease(self, name: str, *, owner: str) -> None:
        def give_up(unit: Unit) -> None:
            held = unit.get(item_keys.lease(name))
            if held is not None and held["owner"] == to_blob(owner):
                unit.delete(item_keys.lease(name))

        self._units.run(give_up)


class KeyStore(Store):
    """See `forgetless.ports.ledger.KeyStore`."""

    def put_key(self, key: ApiKey, *, held: ApiKey | None = None) -> bool:
        def put(unit: Unit) -> bool:
            place = item_keys.api_key(key.hash)
            item = unit.get(place)
            if (_load(key.hash, item["body"]) if item is not None else None) != held:
                return False
            if held is not None:
                unit.delete(item_keys.api_key_entry(held.tenant, held.created_at, key.hash))
            unit.put(place, {"body": dump(key.record())})
            unit.put(item_keys.api_key_entry(key.tenant, key.created_at, key.hash), {"hash": to_blob(key.hash)})
            return True

        return self._units.run(put, once=True)

    def key(self, hash_: str) -> ApiKey | None:
        item = self._table.one(item_keys.api_key(hash_))
        return None if item is None else _load(hash_, item["body"])

    def keys(self, tenant: str) -> list[ApiKey]:
        hashes = [from_blob(item["hash"]) for item in self._table.query(item_keys.api_keys(tenant))]
        items = self._table.read(item_keys.api_key(hash_) for hash_ in hashes)
        found = ((hash_, items.get(item_keys.api_key(hash_))) for hash_ in hashes)
        return [_load(hash_, item["body"]) for hash_, item in found if item is not None]


def _load(hash_: str, body: bytes) -> ApiKey:
    return ApiKey.from_record(hash_, load(body))
