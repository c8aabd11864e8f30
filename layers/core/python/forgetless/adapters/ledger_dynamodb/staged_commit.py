"""Writes: one DynamoDB transaction for changes that fit into it, and a staged commit for larger ones.

A staged commit first writes its own item with the state PENDING. Then it works chunk by chunk, each in a transaction:
it stores in every item the future content (`next`) and the id of the stage (`stage`), on the same conditions as any
write. An item that is new is otherwise empty. One conditional write makes its own item COMMITTED, and with it all
changes count at once: readers use `next` if the stage is committed, and the content before otherwise. Afterwards the
items get their final content and the stage is removed. Every process that finds a stage can finish it. A stage that
makes no progress for STALLED_S is dropped by the processes that wait for it, or by sweep.
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

__all__ = ["Action", "Stages", "Write", "fits", "transact"]

#: DynamoDB's limits of a transaction are 100 items and 4 MB.
_MOST_ACTIONS = 100
_MOST_BYTES = 3_500_000

#: After so many seconds without progress, the process of a stage counts as dead.
STALLED_S = 5.0

Action = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """The change of one item: its old content (None when it did not exist) and its new content (None to delete it)."""

    key: Key
    old: Item | None
    new: Item | None

    def action(self) -> Action:
        """The action that makes the change immediately."""
        return _put(self.new, self._unchanged()) if self.new is not None else _delete(self.key, self._unchanged())

    def staged(self, stage: str) -> Action:
        """The action that stages the change on the item, so that it counts when the stage is committed."""
        item = {**(self.old or self.key._asdict()), "stage": stage, "next": self.new}
        return _put(item, self._unchanged())

    def size(self) -> int:
        """The size of the item in bytes while the change is staged."""
        return size_of(self.old or {}) + size_of(self.new or {}) + 200

    def _unchanged(self) -> Action:
        if self.old is None:
            return {"ConditionExpression": "attribute_not_exists(pk)"}
        return {
            "ConditionExpression": "rev = :rev AND attribute_not_exists(stage)",
            "ExpressionAttributeValues": to_wire({":rev": self.old["rev"]}),
        }


def fits(writes: Sequence[Write], *, beside: int = 0) -> bool:
    """Whether all writes fit into one transaction with so many small actions beside them."""
    return len(writes) + beside <= _MOST_ACTIONS and sum(write.size() for write in writes) <= _MOST_BYTES


def transact(table: Table, actions: Sequence[Action], *, token: str | None = None, once: bool = False) -> None:
    """Do all actions or none; raises ContendedError when a condition does not hold.

    With a token, DynamoDB recognises for ten minutes a call that it has already executed. A single action is sent
    without a transaction and its token, at half the price, unless it must be done `once`.
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
    """Staged commits: our own, and those of other processes that block us."""

    def __init__(self, table: Table) -> None:
        self._table = table
        #: The stages of others that we wait for: the beat of each, and when we first saw that beat.
        self._watched: dict[str, tuple[int, float]] = {}

    def commit(self, stage: str, writes: Sequence[Write], *, along: Sequence[Action] = ()) -> None:
        """Write everything or nothing; raises ContendedError when another writer was first.

        The actions `along` are done in the write that commits.
        """
        beat = 0
        self._advance(stage, beat, [], state=PENDING)
        try:
            for beat, chunk in enumerate(_chunks(writes), start=1):
                record = item_keys.stage_chunk(stage, beat)
                noted = _put({**record._asdict(), "keys": [list(write.key) for write in chunk]}, {})
                self._advance(stage, beat, [noted, *(write.staged(stage) for write in chunk)], state=PENDING)
            self._commit(stage, beat + 1, along)
        except (ContendedError, LedgerError):
            # The stage may be committed although the answer was lost.
            if self._drop(stage) != COMMITTED:
                raise
        with contextlib.suppress(LedgerError):  # the changes already count; any reader or sweep can finish the stage
            self._settle(stage, COMMITTED)

    def settle(self, stage: str) -> bool:
        """Finish a stage, roll it back, or drop it if it makes no progress; False while its process works on it."""
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
        """Settle every stage of dead processes; returns their number. Waits for stages that may still make progress."""
        left = {key.pk.removeprefix("X#") for key in self._table.queue(item_keys.STAGES)}
        count = len(left)
        give_up = time.monotonic() + STALLED_S + 1
        while left := {stage for stage in left if not self.settle(stage)}:
            if time.monotonic() >= give_up:
                break
            time.sleep(0.2)
        return count - len(left)

    def _commit(self, stage: str, beat: int, along: Sequence[Action]) -> None:
        tries = self._table.client.tries()
        while True:
            try:
                self._advance(stage, beat, along, state=COMMITTED)
            except ContendedError:
                # Another transaction may be raising one of the counters at this moment: nobody has dropped the stage.
                if not along or self._table.stage_state(stage) != PENDING or not tries.again():
                    raise
            else:
                return

    def _advance(self, stage: str, beat: int, actions: Sequence[Action], *, state: str) -> None:
        """Do `actions` and update the stage's own item, if nobody has dropped the stage."""
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
        """Drop a stage unless it is committed; returns its final state."""
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
        """Give all its items their final content and remove the stage; harmless when others do the same."""
        records = list(self._table.raw_query(item_keys.stage(stage).pk, item_keys.CHUNKS))
        for record in records:
            wanted = [Key(*key) for key in record["keys"]]
            while staged := [item for item in self._table.raw(wanted).values() if item.get("stage") == stage]:
                with contextlib.suppress(ContendedError):  # another process has helped: check what is left
                    transact(self._table, [_final(item, state) for item in staged])
                    break
        # The stage's own item is removed last. If another transaction uses it now, sweep removes it later.
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
    """Chunks that fit into a transaction with the stage's own item and the item that names the chunk's keys."""
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
