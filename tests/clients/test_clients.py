"""mem0's own clients, unmodified and each in its own environment, against the whole service.

`make test-clients` makes the environments and names their folder in FORGETLESS_CLIENTS.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.house import House
from tests.e2e.test_examples import PAGES, Shell, blocks

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
RUN_S = 240


def run(house: House, arguments: list[str], folder: Path) -> dict[str, str | None]:
    """Method -> what went wrong, by running a client's script."""
    environment = {**os.environ, "MEM0_TELEMETRY": "false", "MEM0_DIR": str(folder), "HOME": str(folder)}
    environment.pop("PYTHONPATH", None)
    host, key = str(house.client.base_url).rstrip("/"), house.client.headers["X-API-Key"]
    command = [argument.format(host=host, key=key) for argument in arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=RUN_S, check=False
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"method"')]
    assert done.returncode == 0, done.stderr[-4000:]
    assert lines, done.stderr[-4000:]
    return {line["method"]: line["error"] for line in lines}


def clients() -> Path:
    """Where the environments are."""
    return Path(os.environ["FORGETLESS_CLIENTS"])


def run_node(house: House, client: str, script: str, *arguments: str) -> dict[str, str | None]:
    """Method -> what went wrong, by running a script in the folder of a client of npm."""
    folder = clients() / f"npm-{client}"
    for file in (script, "steps.mjs"):  # node looks for packages from the script's own folder on
        shutil.copy(HERE / file, folder)
    return run(house, ["node", script, "{host}", "{key}", *arguments], folder)


def failed(outcome: dict[str, str | None]) -> dict[str, str]:
    """The methods that went wrong."""
    return {method: error for method, error in outcome.items() if error}


@pytest.mark.parametrize("version", ["2.2.1", "1.0.11", "0.1.118"])
def test_a_python_client_finds_every_method(house: House, tmp_path: Path, version: str) -> None:
    python = clients() / f"py-{version}" / "bin" / "python"
    outcome = run(house, [str(python), str(HERE / "python_client.py"), "{host}", "{key}"], tmp_path)
    assert failed(outcome) == {}
    assert len(outcome) >= 25


@pytest.mark.parametrize("version", ["3.3.1", "2.4.6"])
def test_an_npm_client_finds_every_method(house: House, version: str) -> None:
    outcome = run_node(house, version, "npm_client.mjs", version)
    assert failed(outcome) == {}
    assert len(outcome) >= 22


@pytest.mark.parametrize("version", ["2.2.1"])
def test_the_examples_with_mem0s_client_work(house: House, tmp_path: Path, version: str) -> None:
    shell = Shell(house, tmp_path)
    found = [block for page in PAGES for block in blocks(page)]
    examples = [block for block in found if block.runs and "from mem0 import" in block.source]
    for example in examples:
        shell.run_python(example.source)
    assert len(examples) >= 2
