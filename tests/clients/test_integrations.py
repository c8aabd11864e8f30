"""Integrations of mem0 in other programs, unmodified and each in its own environment, against the whole service.

A host that an integration is made for is a stand-in where it cannot be had; the integration never is.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.clients.test_clients import HERE, clients, failed, run, run_node
from tests.e2e.house import House, wait_until

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

#: The script of each integration of Python, and how many steps it has.
PYTHON = {
    "agent-framework-mem0-1.0.0b261015": ("agent_framework_provider.py", 4),
    "llama-index-memory-mem0-2.1.0": ("llama_index_memory.py", 5),
}
#: What OpenClaw's own package gives to a plugin that is loaded.
OPENCLAW = {
    "package.json": json.dumps(
        {"name": "openclaw", "type": "module", "exports": {"./plugin-sdk/plugin-entry": "./entry.js"}}
    ),
    "entry.js": "export const definePluginEntry = (plugin) => plugin;\n",
}


@pytest.mark.parametrize("client", PYTHON)
def test_a_python_integration_works(house: House, tmp_path: Path, client: str) -> None:
    script, steps = PYTHON[client]
    python = clients() / client / "bin" / "python"
    outcome = run(house, [str(python), str(HERE / script), "{host}", "{key}"], tmp_path)
    assert failed(outcome) == {}
    assert len(outcome) == steps


@pytest.mark.parametrize("version", ["3.0.2"])
def test_vercels_provider_works(house: House, version: str) -> None:
    llm = f"http://127.0.0.1:{house.stub_port}/v1"
    outcome = run_node(house, f"vercel-ai-provider-{version}", "vercel_provider.mjs", llm)
    assert failed(outcome) == {}
    assert len(outcome) == 8


@pytest.mark.parametrize("version", ["1.0.16"])
def test_openclaws_plugin_works(house: House, tmp_path: Path, version: str) -> None:
    client = f"openclaw-mem0-{version}"
    openclaw = clients() / f"npm-{client}" / "node_modules" / "openclaw"
    openclaw.mkdir(exist_ok=True)
    for name, text in OPENCLAW.items():
        (openclaw / name).write_text(text)
    outcome = run_node(house, client, "openclaw_plugin.mjs", str(tmp_path))
    assert failed(outcome) == {}
    assert len(outcome) == 11


class CommandLine:
    """mem0's own command line, pointed here by its environment."""

    def __init__(self, house: House, folder: Path, version: str) -> None:
        self.program = str(clients() / f"mem0-cli-{version}" / "bin" / "mem0")
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "MEM0_TELEMETRY": "false",
            "MEM0_BASE_URL": str(house.client.base_url).rstrip("/"),
            "MEM0_API_KEY": house.client.headers["X-API-Key"],
        }

    def __call__(self, *arguments: str) -> Any:
        """What a command prints as JSON, without the envelope that some have."""
        done = subprocess.run(
            [self.program, *arguments, "--output", "json"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        printed = json.loads(done.stdout)
        return printed["data"] if isinstance(printed, dict) and "command" in printed else printed


@pytest.mark.parametrize("version", ["0.2.13"])
def test_mem0s_command_line_works(house: House, tmp_path: Path, version: str) -> None:
    mem0 = CommandLine(house, tmp_path, version)
    user = f"cli-{uuid.uuid4().hex[:8]}"
    whose = ("--user-id", user)

    def texts() -> list[str]:
        return sorted(one["memory"] for one in mem0("list", *whose))

    mem0("status")
    mem0("add", "I live in Lisbon.", *whose, "--no-infer", "--metadata", '{"a": 1}', "--expires", "2099-01-01")
    mem0("add", "My sister is called Ana. I work at Bosch.", *whose)
    wait_until(lambda: len(texts()) > 1)
    (found, *_) = mem0("search", "Where do I live, in Lisbon?", *whose, "--top-k", "2")
    assert found["memory"] == "I live in Lisbon."
    mem0("update", found["id"], "I live in Porto.")
    memory = mem0("get", found["id"])
    assert (memory["memory"], memory["metadata"], memory["expiration_date"]) == (
        "I live in Porto.",
        {"a": 1},
        "2099-01-01",
    )
    assert user in json.dumps(mem0("entity", "list", "users"))
    (event, *_) = mem0("event", "list")
    assert mem0("event", "status", event["id"])["status"]
    mem0("delete", found["id"], "--force")
    assert "I live in Porto." not in texts()
    (tmp_path / "said.json").write_text(json.dumps([{"memory": "My brother is called Tom."}]))
    mem0("import", "said.json", *whose)
    wait_until(lambda: any("Tom" in text for text in texts()))
    mem0("delete", "--all", *whose, "--force")
    assert texts() == []
    mem0("add", "Gone soon.", *whose, "--no-infer")
    mem0("entity", "delete", *whose, "--force")
    assert user not in json.dumps(mem0("entity", "list", "users"))
