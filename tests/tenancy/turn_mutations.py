"""Mutations of what lets tenants take turns in the ledger, so that no backlog of one hides what the others have.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["TURNS"]

_TURNS = "tests/contract/ledger/test_turns.py"
_ERASURES = ("tests/unit/service/erasures/test_erasures_in_turn.py", "-k")
_QUEUES = "adapters/ledger_dynamodb/turn_queues.py"
_SCALE = ("tests/contract/ledger/test_turn_scale.py", "-k")


def _turn(name: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(f"turns: {name}", file, old, new, tests)


TURNS = (
    _turn(
        "DynamoDB reads what is due oldest first",
        "adapters/ledger_dynamodb/documents.py",
        "keys = self._turns.in_turn([item_keys.due_queue(kind)], until=now, each=each)",
        "keys = [[one] for one in list(self._table.queue(item_keys.due_queue(kind)))[:20]]",
        _TURNS,
        "-k",
        "dynamodb and due_documents",
    ),
    _turn(
        "DynamoDB reads all that a tenant has",
        _QUEUES,
        "low = group + _NEXT if passed else",
        "low =",
        _TURNS,
        "-k",
        "beyond_its_share",
    ),
    _turn(
        "a look of DynamoDB that was too long begins again",
        _QUEUES,
        "self._places[queue] = following",
        "pass",
        _TURNS,
        "-k",
        "too_long",
    ),
    _turn(
        "DynamoDB does not see what the version before queued",
        _QUEUES,
        "if seen <= each:",
        "if False:",
        _TURNS,
        "-k",
        "version_before_are_found",
    ),
    _turn(
        "DynamoDB reads all that is due to remove some",
        "adapters/ledger_dynamodb/documents.py",
        "return self._due(map(key_of, entries), now, limit)",
        "return self._due(map(key_of, list(entries)), now, limit)",
        *_SCALE,
        "with_a_query_for_each_portion",
    ),
    _turn(
        "each portion of stuck jobs reads those before it",
        _QUEUES,
        'Between(f"{self.after}{_LOWEST}" if self.after else IN_TURN,',
        "Between(IN_TURN,",
        *_SCALE,
        "stuck_job_of_many_tenants",
    ),
    _turn(
        "a sweep leaves out jobs of the version before",
        _QUEUES,
        "yield from sorted(those, key=_place)",
        "yield from those",
        *_SCALE,
        "although_they_change",
    ),
    _turn(
        "metrics of DynamoDB do not see the oldest job",
        _QUEUES,
        "return sorted(found, key=_placed)[:number]",
        "return found[:number]",
        *_SCALE,
        "finds_the_oldest",
    ),
    _turn(
        "of more tenants than come at once, always the same come",
        "domain/documents.py",
        "random.sample(lists, len(lists)) if len(lists) > limit else lists",
        "lists",
        "tests/contract/ledger/test_documents.py",
        "-k",
        "nobody_hides",
    ),
    _turn(
        "a tenant's erasures delay those of others on SQLite",
        "adapters/ledger_sqlite/erasures.py",
        "return in_turn(lists, limit)",
        "return [one for those in lists for one in those][:limit]",
        _TURNS,
        "-k",
        "sqlite and open_erasures",
    ),
    _turn(
        "a tenant's erasures delay those of others on DynamoDB",
        "adapters/ledger_dynamodb/erasures.py",
        "in_turn(self._turns.in_turn([item_keys.OPEN_ERASURES], each=each), limit)",
        "list(self._table.queue(item_keys.OPEN_ERASURES))[:limit]",
        *_ERASURES,
        "dynamodb and ten_times",
    ),
    _turn(
        "sweep looks after erasures for any time",
        "service/jobs/erase.py",
        "if self._clock.monotonic() >= give_up:\n                break\n            looked_at",
        "if False:\n                break\n            looked_at",
        *_ERASURES,
        "taken_long",
    ),
    _turn(
        "a lane that is taken is asked for again and again",
        "service/jobs/bulk_worker.py",
        "taken.add((job.tenant, job.lane))",
        "pass",
        "tests/unit/service/jobs/test_bulk_worker.py",
        "-k",
        "dead_worker",
    ),
)
