"""Calls of MCP tools as one JSON-RPC message each, without a client that would check or change what is sent."""

from __future__ import annotations

from typing import Any

from tests.unit.api.client import ADMIN, Api

__all__ = ["ToolAnswer", "call_tool", "ids_of", "texts_of"]

#: What a tool gave, or the text of its refusal.
ToolAnswer = dict[str, Any] | str


def call_tool(
    api: Api, name: str, arguments: dict[str, Any] | None, *, query: str = "", key: str = ADMIN
) -> ToolAnswer:
    """The structured result of a call, or the text of its refusal."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    headers = {"Accept": "application/json, text/event-stream"}
    answer = api.call("POST", f"/mcp{query}", key=key, json=call, headers=headers)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()["result"]
    if result.get("isError"):
        return str(result["content"][0]["text"])
    structured: dict[str, Any] = result["structuredContent"]
    return structured


def texts_of(answer: ToolAnswer) -> list[str]:
    """The texts of the memories in an answer."""
    assert isinstance(answer, dict), answer
    return sorted(one["memory"] for one in answer["results"])


def ids_of(answer: ToolAnswer) -> list[str]:
    """Their ids."""
    assert isinstance(answer, dict), answer
    return [one["id"] for one in answer["results"]]
