"""What is asked of every MCP tool; a test demands a case for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.scale.stage import ToolAsk

__all__ = ["TOOL_CASES"]

_ALICE = {"user_id": "alice"}

TOOL_CASES: Mapping[str, Sequence[ToolAsk]] = {
    "add_memory": (
        ToolAsk({**_ALICE, "text": "I drink my tea with lemon", "infer": False}, "verbatim"),
        ToolAsk({**_ALICE, "text": "I drink my tea with lemon"}, "facts"),
    ),
    "search_memories": (ToolAsk({**_ALICE, "query": "tea in the garden", "threshold": 0}),),
    "get_memories": (
        ToolAsk(_ALICE, "the first page"),
        ToolAsk({**_ALICE, "page": 3}, "the third page"),
        ToolAsk({**_ALICE, "filters": {"topic": "rare"}}, "a filter that matches little"),
        ToolAsk({**_ALICE, "as_of": "2026-01-08"}, "in the past"),
    ),
    "get_memory": (ToolAsk({"memory_id": "<memory>"}),),
    "update_memory": (ToolAsk({"memory_id": "<memory>", "text": "rooibos"}),),
    "restore_memory": (ToolAsk({"memory_id": "<superseded>"}),),
    "delete_memory": (ToolAsk({"memory_id": "<memory>"}),),
    "delete_all_memories": (ToolAsk(_ALICE, "everything", destroys=True),),
    "list_entities": (ToolAsk({}),),
    "delete_entities": (ToolAsk({"agent_id": "helper"}, "everything", destroys=True),),
}
