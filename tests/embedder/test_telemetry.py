"""ONNX Runtime by default keeps a device id and sends usage data; in our service it must not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: The runtime is silent under continuous integration by itself: the child must not look like it.
KEPT = ("PATH", "PYTHONPATH", "LANG")
LOAD = "from pathlib import Path; from embedder.model import load_model; load_model(Path({folder!r}))"


def files_after(program: str, home: Path) -> list[Path]:
    home.mkdir()
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    subprocess.run([sys.executable, "-c", program], env=environment | {"HOME": str(home)}, check=True)
    return [path for path in home.rglob("*") if path.is_file()]


def test_opening_a_model_leaves_no_trace_of_telemetry(model_dir: Path, tmp_path: Path) -> None:
    assert files_after(LOAD.format(folder=str(model_dir)), tmp_path / "home") == []


def test_a_callers_wish_for_telemetry_is_not_obeyed(tmp_path: Path) -> None:
    program = "import os; os.environ['ORT_DISABLE_TELEMETRY'] = '0'; import embedder, onnxruntime"
    assert files_after(program, tmp_path / "home") == []
