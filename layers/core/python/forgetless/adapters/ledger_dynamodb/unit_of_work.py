"""Units of work: read items, change them in memory, write all or nothing if nobody else has changed them since.

Every item carries the id of the unit that wrote it (`rev`), and a write asks for the one that was read. What one
transaction of DynamoDB holds goes in one; what is larger is staged (see staged_commit). A unit that meets another's is
done again from the start, after a pause with jitter.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable
from typing import TypeVar

from forgetless.adapters.ledger_dynamodb import item_keys, staged_commit
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.failures import ContendedError, LockedError
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.staged_commit import Write
from forgetless.adapters.ledger_dynamodb.table import Between, Table, joined, key_of, part_keys
from forgetless.domain.errors import LedgerError

__all__ = ["Store", "Unit", "Units"]

T = TypeVar("T")

#: Bodies up to here stay in their item: with a staged successor beside it, it must stay below 400 KB.
INLINE_BYTES = 100_000
#: Longer ones stand in numbered items of this many bytes.
PART_BYTES = 300_000

#: Items among which a unit's own writes are looked for when it is not certain that it was written.
_LOOKED_AT = 25


class Unit:
    """One try of a unit of work: what it has read, and what it will write."""

    def __init__(self, table: Table) -> None:
        self.id = uuid.uuid4().hex
        #: Which of an entity's counters this unit uses.
        self.shard = random.randrange(item_keys.TOTAL_SHARDS)
        self._table = table
        self._seen: dict[Key, Item | None] = {}
        self._new: dict[Key, Item | None] = {}
        self._bodies = 0

    def load(self, wanted: Iterable[Key]) -> None:
        """Read items at once that `get` will be asked for."""
        missing = [key for key in dict.fromkeys(wanted) if key not in self._seen]
        found = self._table.raw(missing) if missing else {}
        for key in missing:
            self._see(key, found.get(key))

    def get(self, key: Key) -> Item | None:
        """The item as this unit leaves it so far."""
        if key in self._new:
            return self._new[key]
        self.load([key])
        return self._seen[key]

    def query(self, pk: str, sort: str | Between | None = None) -> list[Item]:
        """Items of a partition; those that another writer adds meanwhile are not noticed."""
        wanted = []
        for item in self._table.raw_query(pk, sort):
            key = key_of(item)
            if key not in self._seen:
                self._see(key, item)
            wanted.append(self.get(key))
        return [item for item in wanted if item is not None]

    def put(self, key: Key, item: Item) -> None:
        """Write the item, with the key's attributes added."""
        self.load([key])
        self._new[key] = {**item, **key._asdict()}

    def put_new(self, key: Key, item: Item) -> None:
        """`put` of an item that cannot be there yet: it need not be read before."""
        self._seen.setdefault(key, None)
        self._new[key] = {**item, **key._asdict()}

    def delete(self, key: Key) -> None:
        """Remove the item, and its body's parts."""
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
        """The item with this body, in items of its own when it is long; see to the old body's with `drop_body`."""
        item = {name: value for name, value in item.items() if name not in {"body", "body_id", "parts"}}
        if len(body) <= INLINE_BYTES:
            return {**item, "body": body}
        body_id = f"{self.id}.{self._bodies}"
        self._bodies += 1
        parts = range(0, len(body), PART_BYTES)
        for number, start in enumerate(parts):
            part = item_keys.part_of_body(key.pk, body_id, number)
            self._seen[part] = None  # nobody else has this id
            self._new[part] = {**part._asdict(), "body": body[start : start + PART_BYTES]}
        return {**item, "body_id": body_id, "parts": len(parts)}

    def drop_body(self, item: Item | None) -> None:
        """Remove the parts of an item's body."""
        if item is not None:
            self.load(part_keys(item))
            self._new.update(dict.fromkeys(part_keys(item)))

    def writes(self) -> list[Write]:
        """What is to be written, changes that change nothing left out."""
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
        #: Whether a unit has failed since somebody looked whether writes succeed.
        self.in_doubt = False

    def run(self, work: Callable[[Unit], T], *, once: bool = False) -> T:
        """What `work` gave once its changes are written; it may run more than once and must change nothing else.

        A single item that was written, but whose answer was lost and which others have changed at once, is taken for
        one that was not written: `work` decides anew. `once` is for work that would then say that another was first.
        """
        try:
            return self._run(work, once=once)
        except LedgerError:
            self.in_doubt = True
            raise

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
                raise LedgerError(f"others keep changing what this call writes to {self.table.client.table}; try again")

    def _write(self, unit: Unit, *, once: bool) -> bool:
        writes = unit.writes()
        if not writes:
            return True
        self.table.claim()
        try:
            if staged_commit.fits(writes):
                staged_commit.transact(self.table, [write.action() for write in writes], token=unit.id, once=once)
            else:
                self.stages.commit(unit.id, writes)
        except ContendedError:
            # Or it was written, and the answer to the first try was lost.
            return self._landed(unit, writes)
        return True

    def _landed(self, unit: Unit, writes: list[Write]) -> bool:
        # Others may have changed some of them since.
        written = [write.key for write in writes if write.new is not None][:_LOOKED_AT]
        return any(item["rev"] == unit.id for item in self.table.read(written).values())


class Store:
    """What the stores of this package share: the table and its units of work."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._table = units.table
