"""Mutations of what the audit list says of requests that fail late, of repeats, and of whom a request was about.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["AUDIT"]

_LATE = "tests/unit/api/test_late_failures.py"
_LEDGER = "service/access/hiding_ledger.py"


def _late(name: str, file: str, old: str, new: str, test: str) -> Mutation:
    return Mutation(name, file, old, new, (_LATE, "-k", test))


_LATE_FAILURES = (
    _late(
        "quotas: a batch is checked for its room portion by portion",
        "service/writing/change.py",
        "if len(portions) > 1:",
        "if False:",
        "no_room",
    ),
    _late(
        "quotas: a batch stores several versions of a memory and counts one",
        "service/writing/change.py",
        "of_each = list(by_memory.values())",
        "of_each = [[request] for request in requests]",
        "two_portions",
    ),
    _late(
        "quotas: a batch that fails counts nothing",
        "api/caller.py",
        "self.meter.settle_part(taken, effects.updates - before)",
        "self.meter.settle_part(taken, 0)",
        "stopped_counts",
    ),
    _late(
        "quotas: an update counts only after its row",
        "service/writing/change.py",
        "        note_updates(len(stored))\n",
        "",
        "although_its_row_fails",
    ),
    _late(
        "quotas: what a deletion that failed has removed still takes room",
        "api/usage.py",
        "changed=done or current_request_effects().changed",
        "changed=done",
        "has_room_after",
    ),
    _late(
        "audit: what is refused has changed nothing",
        "api/audit.py",
        "AuditKind.CHANGE if effects.changed and not reads else _kind(",
        "_kind(",
        "audit_list",
    ),
    _late(
        "audit: memories that were changed before a failure",
        _LEDGER,
        "used=used\n        )\n        note_change()",
        "used=used\n        )",
        "stopped_counts",
    ),
    _late("audit: erasures that answer 404", _LEDGER, "note_change()\n        return erasure", "return erasure", "404"),
    _late(
        "audit: adds of imports that fail",
        _LEDGER,
        "note_change()\n        return standing",
        "return standing",
        "quota_stops",
    ),
    _late(
        "audit: adds of imports that had ended",
        "service/access/hiding_operator_ledger.py",
        "            note_change()",
        "            pass",
        "broken_line",
    ),
)

_REPEATS = (
    Mutation(
        "quotas: repeats are not counted as requests",
        "api/usage.py",
        "await taken(self._run, meter, caller.key, UsageKind.REQUESTS)\n",
        "if b'idempotency-key' not in dict(scope['headers']):\n"
        "            await taken(self._run, meter, caller.key, UsageKind.REQUESTS)\n",
        ("tests/unit/api/test_quotas.py", "-k", "repeat_counts"),
    ),
    Mutation(
        "audit: repeats are changes",
        "api/audit.py",
        "needs is Role.READ or effects.repeat or",
        "needs is Role.READ or",
        ("tests/unit/api/test_audit.py", "-k", "repeat"),
    ),
)

_ROUTES, _LIST = "tests/tenancy/test_audited_ids.py", "tests/unit/api/test_audit.py"


def _named(what: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    """A request about somebody does not name whom it was about."""
    return Mutation(f"audit: {what} name nobody", file, old, new, tests)


_NAMED = (
    _named(
        "nested filters of searches",
        "api/selfhosted/routes/search.py",
        "    note_entities(where)\n",
        "",
        _LIST,
        "-k",
        "any_depth",
    ),
    _named(
        "deletions by number",
        "api/platform/routes/entities.py",
        'note_id(f"{entity.kind}_id", entity.id)',
        "entity.id",
        _ROUTES,
        "-k",
        "v1 and entities and DELETE",
    ),
    _named(
        "exports that are read by their id",
        "api/platform/routes/exports.py",
        "note_entities(where)  # who",
        "pass  # who",
        _ROUTES,
        "-k",
        "exports and get",
    ),
    _named(
        "memories of imports and checks",
        "service/transfer/event_import.py",
        "note_scope(one.memory.scope)",
        "pass",
        _LIST,
        "-k",
        "lines_of_an_import",
    ),
    _named(
        "adds of imports",
        "service/transfer/event_import.py",
        "                    note_scope(scope)\n",
        "                    pass\n",
        _LIST,
        "-k",
        "lines_of_an_import",
    ),
    _named(
        "events of adds",
        "api/platform/routes/events.py",
        "note_scope(job.scope)\n    item",
        "item",
        _ROUTES,
        "-k",
        "GET and v1/event/",
    ),
    _named(
        "jobs that are cancelled",
        "api/platform/routes/events.py",
        "_note_ids(held)  # a job",
        "pass  # a job",
        _ROUTES,
        "-k",
        "DELETE and v1/event/",
    ),
    _named(
        "keys with limits",
        "api/selfhosted/routes/keys.py",
        'note_id(name.removesuffix("s"), new_identifier(name, id_))',
        "new_identifier(name, id_)",
        _LIST,
        "-k",
        "limited and found",
    ),
)

AUDIT = (*_LATE_FAILURES, *_REPEATS, *_NAMED)
