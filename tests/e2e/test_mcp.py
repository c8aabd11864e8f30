"""MCP through the gateway and a real Lambda process, with the official client."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.e2e.house import House
from tests.unit.api.mcp_client import connected

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_agent_remembers_and_finds_again(house: House, mode: str) -> None:
    base, key = str(house.client.base_url).rstrip("/"), house.client.headers["X-API-Key"]

    async def main() -> Any:
        async with connected(None, base=base, key=key, mode=mode, query=f"?user_id=mcp-{mode}") as client:
            await client.call_tool("add_memory", {"text": "The boat is called Petrel.", "infer": False})
            return (await client.call_tool("search_memories", {"query": "name of the boat"})).structured_content

    assert [one["memory"] for one in anyio.run(main)["results"]] == ["The boat is called Petrel."]


def test_only_post_is_answered(house: House) -> None:
    assert house.client.get("/mcp").status_code == 405
    assert house.client.delete("/mcp").status_code == 405
    refused = house.client.post("/mcp", headers={"X-API-Key": "wrong"})
    assert (refused.status_code, refused.json()) == (401, {"detail": "Invalid API key."})
