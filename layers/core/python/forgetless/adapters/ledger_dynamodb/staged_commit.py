"""Writing: what fits in one transaction of DynamoDB, and staged commits for what does not.

A staged commit first makes its own item, PENDING. Then, chunk by chunk, each in a transaction, it puts on every item
what it is to become (`next`) and whose change that is (`stage`), under the same conditions as any write; an item that
is new stands there empty. One conditional write makes its own item COMMITTED, and with it all changes count at once:
readers take `next` of a committed stage, and what was before of any other. Afterwards the items are brought to their
final state and the stage goes. Whoever meets a stage can finish it; one that does not move for STALLED_S is dropped
by those whom it holds up, or by sweep.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, size_of, to_wire
from forgetless.adapters.ledger_dynamodb.failures import ContendedError
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.table import COMMITTED, DROPPED, GONE, PENDING, Table, without_stage
from forgetless.domain.errors import LedgerError

__all__ = ["Stages", "Write", "fits", "transact"]

#: DynamoDB's limits of a transaction are 100 items and 4 MB.
_MOST_ACTIONS = 100
_MOST_BYTES = 3_500_000

#: A stage whose process has done nothing for this long has died, or is as good as dead.
STALLED_S = 5.0

Action = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """An item's change: what was read (None: nothing) and what it becomes (None: it goes)."""

    key: Key
    old: Item | None
    new: Item | None

    def action(self) -> Action:
        """The change at once."""
        return _put(self.new, self._unchanged()) if self.new is not None else _delete(self.key, self._unchanged())

    def staged(self, stage: str) -> Action:
        """The change put on the item, to count once the stage is committed."""
        item = {**(self.old or self.key._asdict()), "stage": stage, "next": self.new}
        return _put(item, self._unchanged())

    def size(self) -> int:
        """Bytes that the item takes while the change is staged."""
        return size_of(self.old or {}) + size_of(self.new or {}) + 200

    def _unchanged(self) -> Action:
        if self.old is None:
            return {"ConditionExpression": "attribute_not_exists(pk)"}
        return {
            "ConditionExpression": "rev = :rev AND attribute_not_exists(stage)",
            "ExpressionAttributeValues": to_wire({":rev": self.old["rev"]}),
        }


def fits(writes: Sequence[Write]) -> bool:
    """Whether one transaction takes them all."""
    return len(writes) <= _MOST_ACTIONS and sum(write.size() for write in writes) <= _MOST_BYTES


def transact(table: Table, actions: Sequence[Action], *, token: str | None = None, once: bool = False) -> None:
    """Do all or nothing; raises ContendedError when a condition does not hold.

    With a token, DynamoDB knows a call that it has done already, for ten minutes. A single action goes without, at half
    the price, unless it must be done `once`: then also that one.
    """
    if len(actions) == 1 and not once:
        [(verb, parameters)] = actions[0].items()
        table.call(f"{verb.lower()}_item", TableName=table.client.table, **parameters)
        return
    named = [
        {verb: {"TableName": table.client.table, **parameters}}
        for action in actions
        for verb, parameters in action.items()
    ]
    table.call("transact_write_items", TransactItems=named, **({"ClientRequestToken": token} if token else {}))


class Stages:
    """Staged commits: our own, and those of others that are in the way."""

    def __init__(self, table: Table) -> None:
        self._table = table
        #: Others' stages that we wait for: their beat when we first saw it, and when that was.
        self._watched: dict[str, tuple[int, float]] = {}

    def commit(self, stage: str, writes: Sequence[Write]) -> None:
        """Write everything or nothing; raises ContendedError when another was first."""
        beat = 0
        self._advance(stage, beat, [], state=PENDING)
        try:
            for beat, chunk in enumerate(_chunks(writes), start=1):
                record = item_keys.stage_chunk(stage, beat)
                noted = _put({**record._asdict(), "keys": [list(write.key) for write in chunk]}, {})
                self._advance(stage, beat, [noted, *(write.staged(stage) for write in chunk)], state=PENDING)
            self._advance(stage, beat + 1, [], state=COMMITTED)
        except (ContendedError, LedgerError):
            # An answer that was lost may hide that it is committed.
            if self._drop(stage) != COMMITTED:
                raise
        with contextlib.suppress(LedgerError):  # it counts already; who meets it finishes it, or sweep
            self._settle(stage, COMMITTED)

    def settle(self, stage: str) -> bool:
        """Finish, roll back or, when it does not move any more, drop a stage; False while its process works on it."""
        own = item_keys.stage(stage)
        item = self._table.raw([own]).get(own)
        if item is not None and item["state"] == PENDING:
            beat, since = self._watched.get(stage, (None, 0.0))
            if beat != item["beat"]:
                self._watched[stage] = (item["beat"], time.monotonic())
                return False
            if time.monotonic() - since < STALLED_S:
                return False
            self._drop(stage)
        elif item is not None:
            self._settle(stage, item["state"])
        self._watched.pop(stage, None)
        return True

    def tidy(self) -> int:
        """Settle every stage that a dead process left; returns how many. Waits for those that may still move."""
        left = {key.pk.removeprefix("X#") for key in self._table.queue(item_keys.STAGES)}
        count = len(left)
        give_up = time.monotonic() + STALLED_S + 1
        while left := {stage for stage in left if not self.settle(stage)}:
            if time.monotonic() >= give_up:
                break
            time.sleep(0.2)
        return count - len(left)

    def _advance(self, stage: str, beat: int, actions: Sequence[Action], *, state: str) -> None:
        """Do `actions` and move the stage's own item on, if nobody has dropped it."""
        own = {
            **item_keys.stage(stage)._asdict(),
            "gsi1pk": item_keys.STAGES,
            "gsi1sk": stage,
            "state": state,
            "beat": beat,
        }
        condition: Action = {"ConditionExpression": "attribute_not_exists(pk)"}
        if beat:
            condition = {
                "ConditionExpression": "#state = :pending AND beat = :beat",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": to_wire({":pending": PENDING, ":beat": beat - 1}),
            }
        transact(self._table, [_put(own, condition), *actions])

    def _drop(self, stage: str) -> str:
        """Drop a stage that is not committed; returns what it has come to."""
        own = item_keys.stage(stage)
        while True:
            item = self._table.raw([own]).get(own)
            if item is None:
                return GONE
            if item["state"] != PENDING:
                break
            condition = {
                "ConditionExpression": "#state = :pending AND beat = :beat",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": to_wire({":pending": PENDING, ":beat": item["beat"]}),
            }
            with contextlib.suppress(ContendedError):
                transact(self._table, [_put({**item, "state": DROPPED}, condition)])
        self._settle(stage, item["state"])
        return str(item["state"])

    def _settle(self, stage: str, state: str) -> None:
        """Bring all its items to their final state and remove it; harmless when another does the same."""
        records = list(self._table.raw_query(item_keys.stage(stage).pk, item_keys.CHUNKS))
        for record in records:
            wanted = [Key(*key) for key in record["keys"]]
            while staged := [item for item in self._table.raw(wanted).values() if item.get("stage") == stage]:
                with contextlib.suppress(ContendedError):  # another has helped: see what is left
                    transact(self._table, [_final(item, state) for item in staged])
                    break
        # Its own item goes last. Where another transaction touches it, its process is still about: sweep comes again.
        with contextlib.suppress(ContendedError):
            for record in [*records, item_keys.stage(stage)._asdict()]:
                key = {"pk": record["pk"], "sk": record["sk"]}
                self._table.call("delete_item", TableName=self._table.client.table, Key=to_wire(key))


def _final(item: Item, state: str) -> Action:
    item_then = item["next"] if state == COMMITTED else without_stage(item)
    condition = {
        "ConditionExpression": "stage = :stage",
        "ExpressionAttributeValues": to_wire({":stage": item["stage"]}),
    }
    return _put(item_then, condition) if item_then is not None else _delete(Key(item["pk"], item["sk"]), condition)


def _put(item: Item, condition: Action) -> Action:
    return {"Put": {"Item": to_wire(item), **condition}}


def _delete(key: Key, condition: Action) -> Action:
    return {"Delete": {"Key": to_wire(key._asdict()), **condition}}


def _chunks(writes: Sequence[Write]) -> Iterator[list[Write]]:
    """What goes in one transaction with the stage's own item and the note of what the chunk holds."""
    chunk: list[Write] = []
    size = 0
    for write in writes:
        if chunk and (len(chunk) == _MOST_ACTIONS - 2 or size + write.size() > _MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(write)
        size += write.size()
    if chunk:
        yield chunk
