"""What a snapshot of a function holds: the clients that its first request needs, and nothing that is open."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("awslambdaric")
ROOT = Path(__file__).parents[2]
#: Loads every function as a new environment does, runs the hooks, and asks what the emulator asks before it forks.
_LOAD = """
import importlib.util, json, sys
from pathlib import Path
from awslambdaric.lambda_runtime_hooks_runner import run_before_snapshot
from local.emulator.environments.fork_parent import why_not
found = {}
for path in sorted(Path(sys.argv[1], "functions").glob("*/app.py")):
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_app", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    found[path.parent.name] = why_not(-1)
before = set(sys.modules)
run_before_snapshot()
found["with its clients"] = why_not(-1)
print(json.dumps({"why_not": found, "loaded": sorted(set(sys.modules) - before)}))
"""


@pytest.mark.parametrize(
    ("ledger", "clients"),
    [
        ("sqlite", {"pymilvus", "forgetless.adapters.ledger_sqlite.ledger", "forgetless.adapters.embedder_http"}),
        ("dynamodb", {"pymilvus", "forgetless.adapters.ledger_dynamodb.ledger", "botocore.session"}),
    ],
)
def test_every_function_can_be_forked_with_its_clients_loaded(tmp_path: Path, ledger: str, clients: set[str]) -> None:
    nowhere = {f"FORGETLESS_{name}_URL": "http://127.0.0.1:9" for name in ("QUEUE", "BULK_QUEUE", "EMBEDDER")}
    variables = {
        **nowhere,
        "FORGETLESS_LEDGER": ledger,
        "FORGETLESS_LEDGER_PATH": str(tmp_path / "ledger.db"),
        "FORGETLESS_LEDGER_TABLE": "ledger",
        "FORGETLESS_ERASURES_TABLE": "erasures",
        "FORGETLESS_MILVUS_URI": "http://127.0.0.1:9",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core' / 'python'}",
    }
    command = [sys.executable, "-c", _LOAD, str(ROOT)]
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert {name: why for name, why in found["why_not"].items() if why} == {}
    assert len(found["why_not"]) == len([*ROOT.glob("functions/*/app.py")]) + 1
    assert clients <= set(found["loaded"])
    assert not (tmp_path / "ledger.db").exists()
