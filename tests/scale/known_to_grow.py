"""What still costs more in a larger ledger, by what will mend it.

Each case here must fail: once somebody mends one, the suite demands that its line goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["KNOWN_TO_GROW"]

_MENDED_BY: Mapping[str, Sequence[str]] = {
    "deletes by filter that go on as a bulk job; linked deletes that follow the links": (
        "DELETE /v1/memories/ (by a filter)",
        "DELETE /v1/memories/ (by a filter that matches little)",
        "DELETE /v1/memories/{memory_id:path}/ (with what it superseded)",
    ),
    "kept totals, and scans of at most 5,000 rows": (
        "GET /memories (before everything)",
        "GET /memories (a limited key)",
        "POST /v3/memories/ (the first page)",
        "POST /v3/memories/ (the third page)",
        "POST /v3/memories/ (a filter that matches much)",
        "POST /v3/memories/ (a filter that matches little)",
        "POST /v3/memories/ (two users)",
        "POST /v3/memories/ (in the past)",
        "POST /v3/memories/ (a limited key)",
        "POST /v2/memories/ (the first page)",
        "POST /v2/memories/ (the third page)",
        "POST /v2/memories/ (a filter that matches much)",
        "POST /v2/memories/ (a filter that matches little)",
        "GET /v1/memories/ (without pages)",
        "GET /v1/memories/ (a page)",
        *(f"GET /v1/memories/{kind}/{{entity_id:path}}/ (everything)" for kind in ("user", "agent", "app", "run")),
        "POST /v1/summary/ (a filter that matches little)",
        "get_memories (a filter that matches little)",
        "DynamoDB: page",
    ),
    "pages of events, without a count of all jobs": (
        "GET /v1/events/ (the first page)",
        "GET /v1/events/ (the third page)",
    ),
    "entities in pages, and one entity read by itself": (
        "GET /entities",
        "GET /v1/entities/ (all)",
        "GET /v1/entities/ (a page)",
        "DELETE /v1/entities/{entity_type}/{entity_id:path}/ (an unknown number)",
        "GET /v2/entities/{entity_type}/{entity_id:path}/ (everything)",
        "GET /v2/entities/{entity_type}/{entity_id:path}/ (a user with one memory)",
        "list_entities",
    ),
    "an export that reads the messages of several jobs at once": ("GET /export", "POST /export-jobs/{job_id}/lines"),
    "a bulk job that marks the memories of a lost index in portions": ("sweep after the index was lost",),
    "kept totals, which check and start may read instead of counting up to 1,000,000 rows": (
        "a check of all tenants",
        "a check of one tenant",
        "a start",
    ),
}

#: By the name of the case, as the test's own name has it: what will mend it.
KNOWN_TO_GROW: Mapping[str, str] = {case: reason for reason, cases in _MENDED_BY.items() for case in cases}
