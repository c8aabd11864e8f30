"""The benchmark runs, and what it says adds up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_benchmark_measures_prints_and_saves(model_dir: Path, tmp_path: Path) -> None:
    room = Path(__file__).parents[2] / "embedder_container"
    command = [sys.executable, "-m", "bench", "--model-dir", str(model_dir), "--out", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EMBEDDER_")}
    done = subprocess.run(
        [*command, "--seconds", "0.2", "--rounds", "1"],
        cwd=room,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    ratio = re.fullmatch(r"ratio short@100: ([\d.]+) \(to raw ONNX Runtime\)", done.stdout.splitlines()[-1])
    results = json.loads((tmp_path / "embedder.json").read_text())["results"]
    ours, raw = (results[name]["short@100"] for name in ("embedder", "raw ONNX Runtime"))
    assert ratio is not None
    assert float(ratio[1]) == pytest.approx(ours["per_second"] / raw["per_second"], abs=0.01)
    assert ours["errors"] == 0
    assert ours["p50"] <= ours["p99"]
