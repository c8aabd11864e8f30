"""The store of leases."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from forgetless.adapters.ledger_codec import digest_of_name, from_blob, to_blob
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, to_wire
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.staged_commit import Action
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit
from forgetless.domain.slots import Slots

__all__ = ["LeaseStore", "first_slot", "take_slot"]


class LeaseStore(Store):
    """See `forgetless.ports.request_ledger.LeaseStore`.

    A lease is one item that no staged commit changes. Its conditions say all that a reader would look for, and hold
    again when a call is repeated whose answer was lost, so it is written without being read.
    """

    def acquire_lease(self, name: str, *, owner: str, now: str, until: str) -> bool:
        unit = uuid.uuid4().hex
        lease: Item = {"owner": to_blob(owner), "until": until, **self._table.expiry.of_lease(until)}
        put: Action = {
            "Item": to_wire({**item_keys.lease(self._named(name))._asdict(), **lease, "rev": unit}),
            "ConditionExpression": "attribute_not_exists(pk) OR #owner = :owner OR #until <= :now",
            "ExpressionAttributeNames": {"#owner": "owner", "#until": "until"},
            "ExpressionAttributeValues": to_wire({":owner": lease["owner"], ":now": now}),
        }
        return self._units.unread([{"Put": put}], unit)

    def lease_until(self, name: str) -> str | None:
        held = self._table.one(item_keys.lease(self._named(name)))
        return None if held is None else str(held["until"])

    def release_lease(self, *names: str, owner: str) -> None:
        together = [self._deletion(name, owner, "attribute_not_exists(pk) OR #owner = :owner") for name in names]
        if len(names) > 1 and self._units.unread(together, uuid.uuid4().hex):
            return
        # Somebody else has one of them by now.
        for name in names:
            self._units.unread([self._deletion(name, owner, "#owner = :owner")], uuid.uuid4().hex)

    def take_slot(self, slots: Slots) -> str | None:
        return self._units.run(lambda unit: take_slot(unit, slots))

    def _deletion(self, name: str, owner: str, condition: str) -> Action:
        return {
            "Delete": {
                "Key": to_wire(item_keys.lease(self._named(name))._asdict()),
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {"#owner": "owner"},
                "ExpressionAttributeValues": to_wire({":owner": to_blob(owner)}),
            }
        }


def first_slot(unit: Unit, slots: Slots) -> Key:
    """The item that `take_slot` needs, unless that slot is taken."""
    return _slot(unit, slots.first)


def take_slot(unit: Unit, slots: Slots) -> str | None:
    """Take a slot in the write of the unit. All slots are read only if the first one is taken."""
    names = [slots.first]
    if (chosen := slots.chosen(names, _held(unit, names))) is None:
        names = slots.names
        chosen = slots.chosen(names, _held(unit, names))
    if chosen is not None:
        lease: Item = {"owner": to_blob(slots.owner), "until": slots.until, **unit.expiry.of_lease(slots.until)}
        unit.put(_slot(unit, chosen), lease)
    return chosen


def _held(unit: Unit, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Owner and end of those of these slots that are in the ledger."""
    places = {name: _slot(unit, name) for name in names}
    unit.load(places.values())
    items = {name: unit.get(place) for name, place in places.items()}
    return {name: (from_blob(item["owner"]), item["until"]) for name, item in items.items() if item is not None}


def _slot(unit: Unit, name: str) -> Key:
    return item_keys.lease(from_blob(digest_of_name(unit.digest_key(), name)))
