"""Clients of MCP that log in by OAuth, unmodified and each in its own environment, against the whole service.

`browser.py` takes the place of the browser and of the person who enters a Forgetless key there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from tests.clients.test_clients import HERE, clients, failed, run_node
from tests.e2e.house import House

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

BROWSER = HERE / "browser.py"


@pytest.mark.parametrize("client", ["mcp-client-2.4.0", "mcp-sdk-1.32.2"])
def test_a_typescript_client_logs_in(house: House, client: str) -> None:
    version = client.rpartition("-")[2]
    outcome = run_node(house, client, "oauth_client.mjs", version, sys.executable, str(BROWSER))
    assert failed(outcome) == {}
    assert len(outcome) == 4


@pytest.mark.parametrize("version", ["0.15.1"])
def test_mcp_remote_logs_in_by_the_browser_and_remembers_it(house: House, tmp_path: Path, version: str) -> None:
    program = clients() / f"npm-mcp-remote-{version}" / "node_modules" / "mcp-remote" / "dist" / "proxy.js"
    visits, browser = tmp_path / "visits", tmp_path / "browser"
    # The script that opens a browser on Linux takes the one that BROWSER names.
    browser.write_text(f'#!/bin/sh\nFOLLOW=1 exec "{sys.executable}" "{BROWSER}" "$@" >>"{visits}" 2>&1\n')
    browser.chmod(0o755)
    bridge = StdioServerParameters(
        command="node",
        args=[str(program), f"{str(house.client.base_url).rstrip('/')}/mcp"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "BROWSER": str(browser),
            "KEY": house.client.headers["X-API-Key"],
            "MCP_REMOTE_CONFIG_DIR": str(tmp_path / "remote"),
        },
    )

    async def boats() -> list[str]:
        async with Client(stdio_client(bridge)) as client:
            await client.call_tool("add_memory", {"text": "The boat is called Petrel.", "user_id": "o", "infer": False})
            found = await client.call_tool("search_memories", {"query": "name of the boat", "user_id": "o"})
            assert found.structured_content is not None, found
            return [one["memory"] for one in found.structured_content["results"]]

    assert "The boat is called Petrel." in anyio.run(boats)
    assert len(visits.read_text().splitlines()) == 1, visits.read_text()
    assert "The boat is called Petrel." in anyio.run(boats)
    # The second time, what was stored is enough.
    assert len(visits.read_text().splitlines()) == 1, visits.read_text()
