"""Mutations of quotas: what updates, retries and imports count, and for whom; and the room of versions.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["QUOTAS"]

_QUOTAS, _CHANGES = "tests/unit/api/test_quotas.py", "tests/unit/service/writing/test_change.py"
_LONG = ("tests/unit/service/test_long_histories.py",)
_BILLED = ("tests/unit/adapters/test_llm_tokens.py",)


def _update(route: str, file: str, after: str, *, levels: int = 1) -> Mutation:
    """A route changes a memory without counting it."""
    opened = "restoring" if "rest" in after else "counting_updates"
    old = f"with caller.{opened}():\n" + "    " * (levels + 1) + after
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
        "if memory.history_bytes > self._history_bytes:",
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
        "updates: an import brings any number of versions",
        "service/transfer/event_import.py",
        "one.memory.history_bytes > self._limits.history_bytes for one",
        "one.memory.history_bytes < 0 for one",
        _LONG,
    ),
    Mutation(
        "histories: a sweep works on one until it has all",
        "service/jobs/sweep.py",
        "until=min(give_up, self._clock.monotonic() + _TURN_S)",
        "until=math.inf",
        _LONG,
    ),
    Mutation(
        "histories: a reindex forgets one for which there was no time",
        "service/jobs/reindex.py",
        "return Refreshed(live - len(refusals), len(refusals), aside, len(late))",
        "return Refreshed(live - len(refusals), len(refusals), aside)",
        _LONG,
    ),
    Mutation(
        "histories: a deletion removes any number of versions at once",
        "service/jobs/removal.py",
        "found = light_page(read, limit) if removal.many else read(limit)",
        "found = read(limit)",
        _LONG,
    ),
    Mutation(
        "histories: a deletion in a request goes on to its end",
        "service/jobs/erase.py",
        "return self._clock.monotonic() >= deadline",
        "return False",
        _LONG,
    ),
    Mutation(
        "histories: a batch deletes any number of versions",
        "service/writing/change.py",
        "if len(found) > 1 and weighs > self._history_bytes:",
        "if False:",
        _LONG,
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
        "quotas: a restore asks no quota of memories",
        "api/caller.py",
        "self.check_stored()\n        with self.counting_updates():",
        "with self.counting_updates():",
        (_QUOTAS, "-k", "comes_back"),
    ),
    Mutation(
        "quotas: a restore stores nothing",
        "service/writing/restore.py",
        "note_stored(1)",
        "pass",
        (_QUOTAS, "-k", "comes_back"),
    ),
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
    Mutation(
        "quotas: a call of the LLM that is given up or lost is free",
        "adapters/http_client.py",
        "if reply is not None or body.sent:",
        "if reply is not None:",
        _BILLED,
    ),
    Mutation(
        "quotas: a call of the LLM that no server was sent counts",
        "adapters/http_client.py",
        "if reply is not None or body.sent:",
        "if True:",
        _BILLED,
    ),
    Mutation(
        "quotas: a call of the LLM whose answer says nothing is free",
        "adapters/llm_tokens.py",
        "if not tokens and _may_be_read(reply):",
        "if False:",
        _BILLED,
    ),
    Mutation(
        "quotas: a refusal of the LLM's server counts as read",
        "adapters/llm_tokens.py",
        "if not tokens and _may_be_read(reply):",
        "if not tokens:",
        _BILLED,
    ),
)

_FILE, _ADDS = "service/transfer/event_import.py", "tests/unit/service/transfer/test_imported_jobs.py"


def _import_mutation(what: str, old: str, new: str, test: str) -> Mutation:
    return Mutation(f"quotas: {what}", _FILE, old, new, ("tests/unit/api/test_import_quotas.py", "-k", test))


_OF_IMPORTS = (
    _import_mutation(
        "an import's adds ask no quota of tokens",
        "payer.meter.check(payer.key, UsageKind.LLM_TOKENS)",
        "pass",
        "other_quotas",
    ),
    _import_mutation(
        "an import's adds count for the key that the file names",
        "bought = job.paid_by(payer.key.id, at=taken.at)",
        "bought = job",
        "each_counts",
    ),
    _import_mutation(
        "an import's adds that failed are free",
        "if job.state is not JobState.SUCCEEDED:",
        "if not job.finished:",
        "one_that_failed",
    ),
    _import_mutation(
        "an import asks no quota of memories",
        "payer.meter.check(payer.key, None)",
        "pass",
        "counted_again",
    ),
    _import_mutation(
        "an import counts its memories only at its end",
        "payer.meter.note_stored(payer.key, len(added))",
        "pass",
        "counted_again",
    ),
    Mutation(
        "imports: an add that will run asks for anything",
        "domain/imported_memory.py",
        "_check_asked(job.request, prompt_chars)",
        "pass",
        (_ADDS, "-k", "nothing_of_another"),
    ),
    Mutation(
        "imports: an add that will run has any id",
        "domain/imported_memory.py",
        'yield "id", _is_uuid,',
        'yield "id", _is_id,',
        (_ADDS, "-k", "from_whose_id"),
    ),
    Mutation(
        "imports: any trace id goes into calls",
        "ports/trace.py",
        "case [str(request), str(trace)] if _TRACE_ID.fullmatch(trace):",
        "case [str(request), str(trace)]:",
        (_ADDS, "-k", "trace"),
    ),
    Mutation(
        "imports: any request id goes into calls",
        "ports/trace.py",
        'return cls(request if _REQUEST_ID.fullmatch(request) else "", trace)',
        "return cls(request, trace)",
        (_ADDS, "-k", "trace"),
    ),
    Mutation(
        "imports: an add fails for as long as its file says",
        _FILE,
        "min(job.started_at, latest)",
        "job.started_at",
        (_ADDS, "-k", "for_ever"),
    ),
    Mutation(
        "imports: a job that has ended keeps whatever the file says",
        _FILE,
        "job = job if failed else replace(job, request={}, error=None)",
        "pass",
        (_ADDS, "-k", "only_what_this_ledger"),
    ),
    Mutation(
        "imports: a job without messages names somebody",
        _FILE,
        "return job if any(one.scope == job.scope for one in messages) else job.nobodys()",
        "return job",
        (_ADDS, "-k", "nobody_is_named"),
    ),
    Mutation(
        "quotas: an import's adds meet none",
        "api/selfhosted/routes/transfer_jobs.py",
        "payer=_payer(caller)",
        "payer=None",
        ("tests/unit/api/test_import_quotas.py", "-k", "each_counts"),
    ),
)

_COSTLY = (
    Mutation(
        "quotas: superseded memories of a file count as nothing",
        _FILE,
        "if payer is not None and _ends_superseded(following) and not _is_superseded(here.last):",
        "if False:",
        ("tests/unit/api/test_import_quotas.py", "-k", "superseded or superseding"),
    ),
    Mutation(
        "quotas: a search that was refused after its work does not count",
        "api/usage.py",
        "except CostlyFilterError:\n            done = True",
        "except CostlyFilterError:\n            done = False",
        (_QUOTAS, "-k", "after_the_work"),
    ),
    Mutation(
        "quotas: a search over MCP that was refused after its work does not count",
        "api/usage.py",
        "except CostlyFilterError:\n        done = True",
        "except CostlyFilterError:\n        done = False",
        (_QUOTAS, "-k", "after_the_work"),
    ),
)

QUOTAS = (*_UPDATES, *_TOKENS, *_OF_IMPORTS, *_COSTLY)
