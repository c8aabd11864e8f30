"""Clients of MCP, unmodified and each in its own environment, against the whole service."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from tests.clients.test_clients import HERE, clients, run
from tests.e2e.house import House

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

#: What `mcp_client.py` calls each environment. Each of the official SDK's two lines has its own form.
PYTHON = {
    "mcp-2.3.0": "mcp-2",
    "mcp-1.30.0": "mcp-1",
    "fastmcp-4.2.3": "fastmcp",
    "langchain-mcp-adapters-0.3.2": "langchain-mcp-adapters",
    "openai-agents-0.24.0": "openai-agents",
}
STEPS = 8


@pytest.mark.parametrize("client", PYTHON)
def test_a_python_client_uses_the_tools(house: House, tmp_path: Path, client: str) -> None:
    python = clients() / client / "bin" / "python"
    outcome = run(house, [str(python), str(HERE / "mcp_client.py"), PYTHON[client], "{host}", "{key}"], tmp_path)
    assert {step: error for step, error in outcome.items() if error} == {}
    assert len(outcome) == STEPS


@pytest.mark.parametrize("client", ["mcp-client-2.4.0", "mcp-sdk-1.32.2"])
def test_a_typescript_client_uses_the_tools(house: House, client: str) -> None:
    folder = clients() / f"npm-{client}"
    shutil.copy(HERE / "mcp_client.mjs", folder)  # node looks for packages from the script's own folder on
    outcome = run(house, ["node", "mcp_client.mjs", "{host}", "{key}", client.rpartition("-")[2]], folder)
    assert {step: error for step, error in outcome.items() if error} == {}
    assert len(outcome) == STEPS


@pytest.mark.parametrize("version", ["0.15.1"])
def test_a_client_that_knows_only_local_servers_comes_by_mcp_remote(house: House, tmp_path: Path, version: str) -> None:
    """As `docs/mcp.md` sets up Claude Desktop; the official client takes its place."""
    program = clients() / f"npm-mcp-remote-{version}" / "node_modules" / "mcp-remote" / "dist" / "proxy.js"
    address = f"{str(house.client.base_url).rstrip('/')}/mcp?user_id=desktop"
    bridge = StdioServerParameters(
        command="node",
        args=[str(program), address, "--header", "Authorization:${AUTH}"],
        env={
            "PATH": os.environ["PATH"],
            "AUTH": f"Bearer {house.client.headers['X-API-Key']}",
            "MCP_REMOTE_CONFIG_DIR": str(tmp_path),
        },
    )

    async def main() -> list[str]:
        async with Client(stdio_client(bridge)) as client:
            assert len((await client.list_tools()).tools) == 10
            await client.call_tool("add_memory", {"text": "The boat is called Petrel.", "infer": False})
            found = await client.call_tool("search_memories", {"query": "name of the boat"})
            assert found.structured_content is not None, found
            return [one["memory"] for one in found.structured_content["results"]]

    assert anyio.run(main) == ["The boat is called Petrel."]
