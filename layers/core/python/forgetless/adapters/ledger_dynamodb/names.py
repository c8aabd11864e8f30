"""The store of names of speakers: one item for each owner."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice

from forgetless.adapters.ledger_codec import dump_names, load_names
from forgetless.adapters.ledger_dynamodb import erasures, item_keys, list_entries, message_pages, scope_entries
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit
from forgetless.domain.cursors import from_cursor, to_cursor
from forgetless.domain.erasures import Target, marked_ids
from forgetless.domain.known_names import KnownName, NameOwner, NameRecord, NoteworthyName, Spoken, noted, owner_keys
from forgetless.domain.scope import Scope

__all__ = ["NameStore"]


class NameStore(Store):
    """See `forgetless.ports.request_ledger.NameStore`."""

    def known_names(self, tenant: str, owners: Sequence[NameOwner]) -> dict[NameOwner, NameRecord]:
        if not self._table.has_digest_key():
            return {}  # nothing has been written yet
        keys = {owner: item_keys.names(tenant, owner.key(self.digest_key())) for owner in owners}
        items = self._table.read(keys.values())
        return {owner: NameRecord(load_names(items[key]["names"])) for owner, key in keys.items() if key in items}

    def note_names(self, scope: Scope, names: Sequence[NoteworthyName], *, erasures_before: int) -> None:
        self._units.run(partial(_note, said=Spoken(scope, erasures_before), names=names))

    def erase_names(
        self, tenant: str, target: Target, *, before: int, limit: int, cursor: str | None = None
    ) -> str | None:
        list_entries.check_names(target.ids)
        last = (0, list_entries.LOWEST) if cursor is None else tuple(from_cursor(cursor, int, str))
        place = (int(last[0]), str(last[1]), list_entries.LOWEST)
        listed = message_pages.scopes(self._table, tenant, target.ids, place)
        found = list(islice((one for one in listed if one[0][:2] != last), limit))
        keys = dict.fromkeys(key for _, entry in found for key in owner_keys(entry["ids"]))
        for key in keys:
            named = item_keys.names(tenant, key)
            self._units.run(partial(_erase, tenant=tenant, key=named, target=target, before=before))
        return to_cursor(*found[-1][0][:2]) if len(found) == limit else None


def _note(unit: Unit, said: Spoken, names: Sequence[NoteworthyName]) -> None:
    tenant, digest_key = said.scope.tenant, unit.digest_key()
    owners = [item_keys.names(tenant, owner.key(digest_key)) for owner in NameOwner.all_of(said.scope)]
    listed = scope_entries.entries(digest_key, said.scope)
    unit.load([item_keys.erasures(tenant), *owners, *listed])
    judge = erasures.judge(unit, tenant)
    if judge.closed or judge.refuses(said):
        return
    ids = marked_ids(erasures.marker_key(unit, tenant), said.scope.ids())
    for owner in owners:
        held = [one for one in _held(unit, owner) if not judge.hides_scope(one.ids, one.erasures_before)]
        change = noted(held, names, ids, said.erasures_before)
        if change.put:
            replaced = {(one.digest, tuple(one.ids.items())) for one in change.put}
            kept = [
                one
                for one in held
                if one.digest not in change.left_out and (one.digest, tuple(one.ids.items())) not in replaced
            ]
            unit.put(owner, {"names": dump_names([*kept, *change.put])})
            # An erasure finds the record by the scopes in these lists.
            for key, entry in listed.items():
                unit.put(key, entry)


def _erase(unit: Unit, tenant: str, key: Key, target: Target, before: int) -> None:
    unit.load([item_keys.erasures(tenant), key])
    held = _held(unit, key)
    marker_key = erasures.state_of(unit.get(item_keys.erasures(tenant))).key
    ids = {name: value and marked_ids(marker_key, {name: value})[name] for name, value in target.ids.items()}
    kept = [
        one
        for one in held
        if one.erasures_before >= before
        or any(one.ids.get(name, "") != value for name, value in ids.items())
        or not all(name in one.ids for name in target.names)
    ]
    if held and not kept:
        unit.delete(key)
    elif len(kept) < len(held):
        unit.put(key, {"names": dump_names(kept)})


def _held(unit: Unit, key: Key) -> tuple[KnownName, ...]:
    item = unit.get(key)
    return () if item is None else load_names(item["names"])
