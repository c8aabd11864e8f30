"""The embedding models that `up` runs, and the command that prepares the folder of each."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["ENGLISH", "MODELS", "MULTILINGUAL", "RANDOM", "SIZES", "prepare_command"]

#: The one that knows English only, which is the default, and the one to choose for other languages.
ENGLISH, MULTILINGUAL = "all-MiniLM-L6-v2", "multilingual-e5-small"
#: Models by name, and the size of their vectors; the first is the default.
#: Each has variants with an index of their own (`embedder_container/embedder/sources.py`).
MODELS = {
    f"{name}{variant}": size
    for variant in ("", "-rows", "-2")
    for name, size in {ENGLISH: 384, MULTILINGUAL: 384, "jina-embeddings-v3": 1024}.items()
}
#: Models with random weights, to measure load with: their vectors mean nothing.
RANDOM = {"jina-v3-shape": 1024, "jina-v3-shape-folded": 1024}
#: All of them.
SIZES = MODELS | RANDOM

_EMBEDDER = Path(__file__).resolve().parents[2] / "embedder_container"


def prepare_command(
    model: str, folder: Path, environment: Mapping[str, str]
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Return the command that prepares the model in `folder`, and the environment that it needs."""
    if model not in RANDOM:
        return (sys.executable, "-m", "embedder", "prepare", "--model", model, "--out", str(folder)), environment
    path = os.pathsep.join(filter(None, (str(_EMBEDDER), environment.get("PYTHONPATH", ""))))
    fold = ("--fold",) if model.endswith("-folded") else ()
    return (sys.executable, "-m", "bench.jina_shape", "--out", str(folder), *fold), {**environment, "PYTHONPATH": path}
