"""Mutations of what bounds what a client can cost: quotas, versions of memories, sizes and times.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["COSTS"]

_QUOTAS, _CHANGES = "tests/unit/api/test_quotas.py", "tests/unit/service/writing/test_change.py"


def _update(route: str, file: str, after: str, *, levels: int = 1) -> Mutation:
    """A route changes a memory without counting it."""
    old = "with caller.counting_updates():\n" + "    " * (levels + 1) + after
    new = "if True:\n" + "    " * (levels + 1) + after
    return Mutation(f"quotas: {route} counts no update", f"api/{file}", old, new, (_QUOTAS, "-k", "update"))


_UPDATES = (
    _update("PUT /memories/ID", "selfhosted/routes/memories.py", "memory = caller.services.changes.update("),
    _update("PUT /v1/memories/ID/", "platform/routes/memories.py", "memory = caller.services.changes.update("),
    _update("POST /v1/memories/ID/restore/", "platform/routes/memories.py", "memory = caller.services.rest", levels=2),
    _update("update_memory of MCP", "mcp/calls.py", "memory = caller.services.changes.update("),
    _update("restore_memory of MCP", "mcp/calls.py", "memory = caller.services.restores.restore("),
    Mutation(
        "quotas: a batch counts as one update",
        "api/platform/routes/batch.py",
        "with caller.counting_updates(updated):",
        "with caller.counting_updates():",
        (_QUOTAS, "-k", "update or batch"),
    ),
    Mutation(
        "updates: any size of what a batch stores",
        "api/platform/routes/batch.py",
        "if size > ADD_BYTES:",
        "if False:",
        ("tests/unit/api/platform/test_memories.py", "-k", "batch"),
    ),
    Mutation(
        "updates: any number of versions",
        "service/writing/change.py",
        "if memory.history_bytes > MOST_HISTORY_BYTES:",
        "if False:",
        (_CHANGES, "-k", "too_much_room"),
    ),
    Mutation(
        "updates: an import begins the count of a history anew",
        "service/transfer/event_import.py",
        "room += event.memory.stored_bytes",
        "room += 0",
        ("tests/unit/service/transfer/test_event_transfer.py", "-k", "byte_for_byte"),
    ),
    Mutation(
        "erased: how long the text was",
        "domain/memory_fields.py",
        'MemoryField("history_bytes", Kind.NUMBER, erased=True',
        'MemoryField("history_bytes", Kind.NUMBER, erased=False',
        (_CHANGES, "-k", "too_much_room"),
    ),
)

_TOKENS = (
    Mutation(
        "quotas: a retry asks no quota of tokens",
        "api/caller.py",
        "self.check_stored()\n        self.check_llm_tokens()",
        "self.check_stored()",
        (_QUOTAS, "-k", "retry"),
    ),
    Mutation(
        "quotas: a retry asks no quota of memories",
        "api/caller.py",
        "self.check_stored()\n        self.check_llm_tokens()",
        "self.check_llm_tokens()",
        (_QUOTAS, "-k", "retry"),
    ),
    Mutation(
        "quotas: a retry counts for the day of its add",
        "domain/jobs.py",
        'return key_id, retried.get("at") or self.created_at',
        "return key_id, self.created_at",
        (_QUOTAS, "-k", "retry"),
    ),
    Mutation(
        "quotas: a retry counts for the key of its add",
        "domain/jobs.py",
        'key_id = retried.get("key") or self.request.get("source_key") or ""',
        'key_id = self.request.get("source_key") or ""',
        (_QUOTAS, "-k", "retry"),
    ),
)

COSTS = (*_UPDATES, *_TOKENS)
