"""The store of API keys: an item for each key by its hash, and an entry of it in the list of its tenant.

The entries of revoked keys come after all others, so a list does not read them. An earlier version left them in the
order of time, and left out when a key ends; what such entries do not say, the keys themselves do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import groupby, islice
from typing import NamedTuple

from forgetless.adapters.ledger_codec import dump, from_blob, load, to_blob
from forgetless.adapters.ledger_dynamodb import item_keys, list_entries
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.table import Between, portions
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit
from forgetless.domain.cursors import from_cursor, time_place, to_cursor
from forgetless.domain.errors import TooManyKeysError
from forgetless.domain.keys import ApiKey, key_id
from forgetless.domain.limits import KEYS_AT_ONCE

__all__ = ["KeyStore"]

#: How many keys are read at once, and removed in one transaction.
_PORTION = 25
#: A page of a list ends after so many entries, whatever it has found.
_MOST_ENTRIES = 2000
#: When a key ends that does not: after every time.
_NEVER = "~"
#: When one has ended that is revoked, among those that end: before every time.
_REVOKED = "0"


class _Entry(NamedTuple):
    """An entry of a tenant's list. Those of one moment are ordered by the ids."""

    created_at: str
    id: str
    hash: str
    sk: str


class KeyStore(Store):
    """See `forgetless.ports.ledger.KeyStore`."""

    def put_key(self, key: ApiKey, *, held: ApiKey | None = None, most: int | None = None, now: str = "") -> bool:
        def put(unit: Unit) -> bool:
            place = item_keys.api_key(key.hash)
            item = unit.get(place)
            if (_load(key.hash, item) if item is not None else None) != held:
                return False
            if most is not None:
                self._admit_key(unit, key.tenant, most, now)
            if held is not None:
                _delete_entries(unit, held)
            _put(unit, key)
            return True

        return self._units.run(put, once=True)

    def key(self, hash_: str) -> ApiKey | None:
        item = self._table.one(item_keys.api_key(hash_))
        return None if item is None else _load(hash_, item)

    def keys(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[ApiKey], str | None]:
        place = time_place(cursor) if cursor is not None else None
        last = item_keys.REVOKED if place is None else f"{place[0]}#{list_entries.HIGHEST}"
        found = self._key_entries(tenant, Between(list_entries.LOWEST, last), descending=True, page=limit + 2)
        moments = (sorted(of_one, reverse=True) for _, of_one in groupby(found, key=lambda entry: entry.created_at))
        entries = (entry for moment in moments for entry in moment if place is None or entry[:2] < place)
        keys, entry = self._key_page(tenant, entries, limit, revoked=False)
        return keys, to_cursor(entry.created_at, entry.id) if entry is not None else None

    def all_keys(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[ApiKey], str | None]:
        (after,) = from_cursor(cursor, str) if cursor is not None else (list_entries.LOWEST,)
        found = self._key_entries(tenant, Between(after, list_entries.HIGHEST), page=limit + 2)
        keys, entry = self._key_page(tenant, (entry for entry in found if entry.sk != after), limit, revoked=True)
        return keys, to_cursor(entry.sk) if entry is not None else None

    def keys_by_id(self, tenant: str, ids: Collection[str]) -> dict[str, ApiKey]:
        # An id follows from the hash, which the entries say: of the keys, only these are read.
        wanted = set(ids)
        hashes = list(islice((entry.hash for entry in self._key_entries(tenant) if entry.id in wanted), len(wanted)))
        return {
            key.id: key for portion in portions(hashes, _PORTION) for key in self._keys_with(tenant, portion).values()
        }

    def remove_keys(self, tenant: str, *, limit: int) -> int:
        entries = list(islice(self._key_entries(tenant, page=limit), limit))
        for portion in portions(entries, _PORTION):
            self._units.run(partial(_remove, tenant=tenant, entries=portion))
        return len(entries)

    def expire_keys(self, *, before: str, limit: int) -> list[ApiKey]:
        # The sort key goes on after the time, so `before` must be followed by a text that sorts above everything.
        ended = self._table.queue(item_keys.ENDING_KEYS, Between(list_entries.LOWEST, before + "~"), page=limit)
        expired = [self._units.run(partial(_expire, place=place, before=before)) for place in islice(ended, limit)]
        return [key for key in expired if key is not None]

    def tenants_with_keys(self) -> list[str]:
        found: dict[str, None] = {}
        for portion in portions(self._table.scan("KEY"), _PORTION):
            for place, item in self._table.read(portion).items():
                found[_load(place.pk.removeprefix("A#"), item).tenant] = None
        return list(found)

    def _key_entries(
        self, tenant: str, sort: Between | None = None, *, descending: bool = False, page: int | None = None
    ) -> Iterator[_Entry]:
        for item in self._table.query(item_keys.api_keys(tenant), sort, descending=descending, page=page):
            hash_ = from_blob(item["hash"])
            yield _Entry(item["sk"].removeprefix(item_keys.REVOKED).partition("#")[0], key_id(hash_), hash_, item["sk"])

    def _key_page(
        self, tenant: str, entries: Iterator[_Entry], limit: int, *, revoked: bool
    ) -> tuple[list[ApiKey], _Entry | None]:
        """The first keys of these entries with about KEYS_AT_ONCE bytes, and the last entry if more follow."""
        found: list[ApiKey] = []
        size = looked = 0
        last: _Entry | None = None
        for portion in portions(entries, min(_PORTION, limit + 1)):
            if looked >= _MOST_ENTRIES:
                return found, last
            keys = self._keys_with(tenant, [entry.hash for entry in portion])
            looked += len(portion)
            for entry in portion:
                key = keys.get(entry.hash)
                if key is not None and (revoked or not key.revoked):
                    size += len(dump(key.record()))
                    if found and (len(found) == limit or size > KEYS_AT_ONCE):
                        return found, last
                    found.append(key)
                last = entry
        return found, None

    def _keys_with(self, tenant: str, hashes: Sequence[str]) -> dict[str, ApiKey]:
        """Those keys of the tenant that there are."""
        items = self._table.read(item_keys.api_key(hash_) for hash_ in hashes)
        keys = {hash_: _load(hash_, item) for hash_ in hashes if (item := items.get(item_keys.api_key(hash_)))}
        return {hash_: key for hash_, key in keys.items() if key.tenant == tenant}

    def _admit_key(self, unit: Unit, tenant: str, most: int, now: str) -> None:
        """Raise TooManyKeysError unless one more key may be stored.

        Each unit that asks changes one item of the tenant, so of two that count at once, one counts again.
        """
        gate = item_keys.key_gate(tenant)
        unit.get(gate)
        standing, unsure = 0, []
        for item in self._table.query(item_keys.api_keys(tenant), Between(list_entries.LOWEST, item_keys.REVOKED)):
            if "ends" not in item:
                unsure.append(from_blob(item["hash"]))
            elif item["ends"] > now:
                standing += 1
        if standing + len(unsure) >= most:
            for portion in portions(unsure, _PORTION):
                standing += sum(not key.refused_at(now) for key in self._keys_with(tenant, portion).values())
            if standing >= most:
                raise TooManyKeysError(most)
        unit.put(gate, {"last": unit.id})


def _put(unit: Unit, key: ApiKey) -> None:
    quotas = key.quota_record()
    item: Item = {"body": dump(key.record())} | ({"quotas": dump(quotas)} if quotas else {})
    ends_at = _REVOKED if key.revoked else key.ends_at
    if ends_at is not None and key != key.bare:
        item |= {"gsi1pk": item_keys.ENDING_KEYS, "gsi1sk": f"{ends_at}#{item_keys.part(key.hash)}"}
    unit.put(item_keys.api_key(key.hash), item)
    entry: Item = {"hash": to_blob(key.hash), "ends": key.ends_at or _NEVER}
    unit.put(item_keys.api_key_entry(key.tenant, key.created_at, key.hash, revoked=key.revoked), entry)


def _delete_entries(unit: Unit, key: ApiKey) -> None:
    """Remove the key's entry, wherever this version or an earlier one has put it."""
    places = [item_keys.api_key_entry(key.tenant, key.created_at, key.hash, revoked=one) for one in (False, True)]
    unit.load(places)
    for place in places:
        unit.delete(place)


def _expire(unit: Unit, place: item_keys.Key, before: str) -> ApiKey | None:
    """What is left of the key there, if it has ended and says more than that; the index may be out of date."""
    item = unit.get(place)
    try:
        key = None if item is None else _load(place.pk.removeprefix("A#"), item)
    except (AttributeError, LookupError, TypeError, ValueError):
        return None  # it is damaged, and must hold up no others
    if key is None or key == key.bare or not (key.revoked or (key.ends_at or _NEVER) <= before):
        return None
    _delete_entries(unit, key)
    _put(unit, key.bare)
    return key.bare


def _remove(unit: Unit, tenant: str, entries: Sequence[_Entry]) -> None:
    keys = {item_keys.api_key(entry.hash): entry.hash for entry in entries}
    places = [item_keys.Key(item_keys.api_keys(tenant), entry.sk) for entry in entries]
    unit.load([*keys, *places])
    for key, hash_ in keys.items():
        item = unit.get(key)
        if item is not None and _load(hash_, item).tenant == tenant:
            unit.delete(key)
    for place in places:
        unit.delete(place)


def _load(hash_: str, item: Item) -> ApiKey:
    key = ApiKey.from_record(hash_, load(item["body"]))
    return key.with_quotas(load(item["quotas"])) if "quotas" in item else key
