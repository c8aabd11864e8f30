"""Measures the CPU time of importing each function, with compiled bytecode and in a fresh process each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.client import ToolError
from local.up.settings import ROOT

__all__ = ["ImportCost", "import_costs"]

_REPEATS = 5
_SCRIPT = """
import json, time
start = time.process_time()
import app
imported = time.process_time()
from forgetless.runtime.composition import services
services()
print(json.dumps([imported - start, time.process_time() - start]))
"""


@dataclass(frozen=True, slots=True)
class ImportCost:
    """Seconds of CPU: for the import alone, and until the services are composed (adapters' libraries loaded)."""

    function: str
    import_s: float
    ready_s: float


def import_costs(environment: Mapping[str, str]) -> list[ImportCost]:
    """Return the lowest of several runs for each function, after one that compiles; raises ToolError if one fails."""
    folders = sorted(path.parent for path in (ROOT / "functions").glob("*/app.py"))
    return [_cost(folder, environment) for folder in folders]


def _cost(folder: Path, environment: Mapping[str, str]) -> ImportCost:
    runs = [_run(folder, environment) for _ in range(1 + _REPEATS)][1:]
    return ImportCost(folder.name, min(run[0] for run in runs), min(run[1] for run in runs))


def _run(folder: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    path = os.pathsep.join([str(folder), environment.get("PYTHONPATH", "")])
    variables = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        (sys.executable, "-c", _SCRIPT),
        env=variables | {"PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise ToolError(f"{folder.name} cannot be imported: {done.stderr.strip()[-300:]}")
    imported, ready = json.loads(done.stdout.splitlines()[-1])
    return imported, ready
