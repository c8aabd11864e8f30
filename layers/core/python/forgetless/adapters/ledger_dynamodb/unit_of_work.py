"""Units of work: read items, change them in memory, and write all or nothing if they are unchanged since.

Every item has the id of the unit that wrote it (`rev`), and a write is conditional on the `rev` that was read. A unit
that fits into one DynamoDB transaction is one; a larger unit is a staged commit (see staged_commit). A unit that
conflicts with another is repeated from the start, after a pause with jitter.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from forgetless.adapters.ledger_codec import digest_of_name, from_blob
from forgetless.adapters.ledger_dynamodb import item_keys, staged_commit
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.expiry import EXPIRES_AT
from forgetless.adapters.ledger_dynamodb.failures import ContendedError, LockedError
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.staged_commit import Write
from forgetless.adapters.ledger_dynamodb.table import Between, Table, joined, key_of, part_keys
from forgetless.adapters.ledger_dynamodb.turn_queues import TurnQueues
from forgetless.domain.errors import LedgerError

__all__ = ["Store", "Unit", "Units", "body_bytes"]

T = TypeVar("T")

#: Bodies up to this size are in their item, which must stay below 400 KB even with a staged new version in it.
INLINE_BYTES = 100_000
#: Longer bodies are split into numbered items of this many bytes.
PART_BYTES = 300_000

#: How many items are checked to find out whether a unit was written, when that is uncertain.
_LOOKED_AT = 25


class Unit:
    """One try of a unit of work: the items that it has read, and those that it will write."""

    def __init__(self, table: Table) -> None:
        self.id = uuid.uuid4().hex
        #: The number of the counter that this unit uses for each entity.
        self.shard = random.randrange(item_keys.TOTAL_SHARDS)
        #: The same for its tenant.
        self.tenant_shard = random.randrange(item_keys.TENANT_TOTAL_SHARDS)
        self.expiry = table.expiry
        #: Actions without conditions that are done with the writes, if there are any writes.
        self.along: list[staged_commit.Action] = []
        self._table = table
        self._seen: dict[Key, Item | None] = {}
        self._new: dict[Key, Item | None] = {}
        self._bodies = 0

    def digest_key(self) -> bytes:
        """The key of the ledger's digests."""
        return self._table.digest_key()

    def load(self, wanted: Iterable[Key]) -> None:
        """Read in one batch the items that `get` will need."""
        missing = [key for key in dict.fromkeys(wanted) if key not in self._seen]
        found = self._table.raw(missing) if missing else {}
        for key in missing:
            self._see(key, found.get(key))

    def get(self, key: Key) -> Item | None:
        """The item with the changes that this unit has made so far."""
        if key in self._new:
            return self._new[key]
        self.load([key])
        return self._seen[key]

    def query(self, pk: str, sort: str | Between | None = None) -> list[Item]:
        """The items of a partition. Items that another writer adds meanwhile cause no conflict."""
        wanted = []
        for item in self._table.raw_query(pk, sort):
            key = key_of(item)
            if key not in self._seen:
                self._see(key, item)
            wanted.append(self.get(key))
        return [item for item in wanted if item is not None]

    def put(self, key: Key, item: Item) -> None:
        """Write the item; the attributes of the key are added."""
        self.load([key])
        self._new[key] = {**item, **key._asdict()}

    def put_new(self, key: Key, item: Item) -> None:
        """`put` for an item that cannot exist yet, so that it need not be read first."""
        self._seen.setdefault(key, None)
        self._new[key] = {**item, **key._asdict()}

    def delete(self, key: Key) -> None:
        """Remove the item and the parts of its body."""
        self.drop_body(self.get(key))
        self._new[key] = None

    def body(self, item: Item) -> bytes:
        """The item's body."""
        wanted = part_keys(item)
        self.load(wanted)
        parts = {key: part for key in wanted if (part := self.get(key)) is not None}
        if len(parts) < len(wanted):
            raise ContendedError("the item was replaced while we read it")
        return joined(item, parts)

    def with_body(self, key: Key, item: Item, body: bytes) -> Item:
        """The item with this body, which is split into parts when it is long; `drop_body` removes the old parts."""
        item = {name: value for name, value in item.items() if name not in {"body", "body_id", "parts"}}
        if len(body) <= INLINE_BYTES:
            return {**item, "body": body}
        body_id = f"{self.id}.{self._bodies}"
        self._bodies += 1
        parts = range(0, len(body), PART_BYTES)
        ends = {EXPIRES_AT: item[EXPIRES_AT]} if EXPIRES_AT in item else {}
        for number, start in enumerate(parts):
            part = item_keys.part_of_body(key.pk, body_id, number)
            self._seen[part] = None  # the id is new
            self._new[part] = {**part._asdict(), **ends, "body": body[start : start + PART_BYTES]}
        return {**item, "body_id": body_id, "parts": len(parts)}

    def drop_body(self, item: Item | None) -> None:
        """Remove the parts of an item's body."""
        if item is not None:
            self.load(part_keys(item))
            self._new.update(dict.fromkeys(part_keys(item)))

    def writes(self) -> list[Write]:
        """The writes of this unit, without those that change nothing."""
        found = []
        for key, new in self._new.items():
            old = self._seen[key]
            if new is not None:
                if old is not None and {**old, "rev": ""} == {**new, "rev": ""}:
                    continue
                new = {**new, "rev": self.id}  # noqa: PLW2901
            if old is not None or new is not None:
                found.append(Write(key, old, new))
        return found

    def _see(self, key: Key, item: Item | None) -> None:
        if item is not None and "stage" in item:
            raise LockedError(item["stage"])
        self._seen[key] = item


class Units:
    """Runs units of work on a table."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.stages = staged_commit.Stages(table)
        #: Whether a unit has failed since the last check that writes succeed.
        self.in_doubt = False

    def run(self, work: Callable[[Unit], T], *, once: bool = False) -> T:
        """Write the changes of `work` and return its result. `work` may run more than once and has no other effects.

        If the answer to the write of a single item is lost and others change the item at once, the write counts as
        not done, and `work` runs again. `once` prevents this for work that would then report that another was first.
        """
        try:
            return self._run(work, once=once)
        except LedgerError:
            self.in_doubt = True
            raise

    def unread(self, actions: Sequence[staged_commit.Action], unit: str) -> bool:
        """Do conditional actions of the unit `unit` without reading first; False if a condition does not hold.

        After a lost answer it may be False although the actions are done.
        """
        try:
            self.table.claim()
            staged_commit.transact(self.table, actions, token=unit)
        except ContendedError:
            return False
        except LedgerError:
            self.in_doubt = True
            raise
        return True

    def _run(self, work: Callable[[Unit], T], *, once: bool) -> T:
        tries = self.table.client.tries()
        while True:
            unit = Unit(self.table)
            try:
                result = work(unit)
                if self._write(unit, once=once):
                    return result
            except LockedError as locked:
                self.stages.settle(locked.stage)
            except ContendedError:
                pass
            if not tries.again():
                raise LedgerError(f"other writers keep changing the same items in {self.table.client.table}; try again")

    def _write(self, unit: Unit, *, once: bool) -> bool:
        writes = unit.writes()
        if not writes:
            return True
        self.table.claim()
        try:
            if staged_commit.fits(writes, beside=len(unit.along)):
                actions = [*(write.action() for write in writes), *unit.along]
                staged_commit.transact(self.table, actions, token=unit.id, once=once)
            else:
                self.stages.commit(unit.id, writes, along=unit.along)
        except ContendedError:
            # Either another writer was first, or the first try was written and its answer was lost.
            return self._landed(unit, writes)
        return True

    def _landed(self, unit: Unit, writes: list[Write]) -> bool:
        # Others may have changed some of the items since.
        written = [write.key for write in writes if write.new is not None][:_LOOKED_AT]
        return any(item["rev"] == unit.id for item in self.table.read(written).values())


class Store:
    """What the stores of this package share: the table, its units of work, and its queues that are read in turn."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._table = units.table
        self._turns = TurnQueues(units.table)

    def digest_key(self) -> bytes:
        """See `forgetless.ports.request_ledger.ErasureStore`."""
        return self._table.digest_key()

    def _named(self, name: str) -> str:
        """The digest under which something with this name is stored."""
        return from_blob(digest_of_name(self._table.digest_key(), name))


def body_bytes(item: Item) -> int:
    """How many bytes the body of an item has, or somewhat more; its parts are not read."""
    return int(item["parts"]) * PART_BYTES if "body_id" in item else len(item.get("body", b""))
