"""Measures jina-embeddings-v3 in full size with random weights: the published graph, and the graphs made of it.

Each graph is measured in a separate process, so that its memory can be measured: ``python -m bench.jina GRAPH``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil

from embedder.encoder_files import write_graph
from embedder.model import TASK_INPUT, open_session
from embedder.published_encoder import PublishedEncoder
from embedder.published_graph import PublishedGraph

from . import standin

__all__ = ["compare", "measure"]

#: Rows and tokens of the batches measured.
SHAPES = ((1, 20), (16, 20), (4, 96))
#: Positions of the graphs made: more than the longest batch has.
POSITIONS = 512
#: Seconds for each shape, and the least number of batches.
SECONDS, LEAST = 5.0, 3
#: Environment variable that shortens the measurement, for tests.
QUICK = "BENCH_SECONDS"


def compare(folder: Path, shape: standin.Shape = standin.FULL) -> dict[str, dict[str, float]]:
    """Build all forms in ``folder`` (12 GB in full size) and return the figures of each."""
    if not (folder / "published").is_dir():
        standin.write(folder / "published", shape)
    source = folder / "published" / "onnx" / "model.onnx"
    config = json.loads((folder / "published" / "config.json").read_bytes())
    published, tasks = PublishedGraph.read(source), len(standin.TASKS)
    graphs = {"published fp32": source}
    for name, task in {"all tasks": None, "one task": 1}.items():
        encoder = PublishedEncoder(published, config, tasks=tasks, positions=POSITIONS, task=task)
        whole, small = (folder / f"{name.split()[0]}-{kind}" / "model.onnx" for kind in ("fp32", "int8"))
        for graph in (whole, small):
            graph.parent.mkdir(exist_ok=True)
        for graph, form in ((whole, "none"), (small, "int8")):
            if not graph.is_file():
                write_graph(graph, encoder, encoder.shape, form, beside=True)
        graphs |= {f"{name} fp32": whole, f"{name} int8": small}
    return {name: _apart(graph) for name, graph in graphs.items()}


def _apart(graph: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.jina", str(graph)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own command
    figures: dict[str, float] = dict(json.loads(done.stdout))
    print(graph.parent.name, figures, file=sys.stderr)
    return figures


def measure(graph: Path) -> dict[str, float]:
    """Return tokens for each CPU second by shape, with one thread, and resident memory in MB."""
    session = open_session(graph)
    figures: dict[str, float] = {}
    random = np.random.default_rng(2)
    for rows, length in SHAPES:
        feed = {
            "input_ids": random.integers(4, 250, (rows, length)),
            "attention_mask": np.ones((rows, length), np.int64),
        }
        for task in (entry for entry in session.get_inputs() if entry.name == TASK_INPUT):
            feed[TASK_INPUT] = np.ones([rows] * len(task.shape) if task.shape else [], np.int64)
        session.run(None, feed)
        began, cpu, count = time.monotonic(), time.process_time(), 0
        while count < LEAST or time.monotonic() < began + float(os.environ.get(QUICK, SECONDS)):
            session.run(None, feed)
            count += 1
        spent = time.process_time() - cpu
        figures[f"tokens per CPU second ({rows}, {length})"] = round(count * rows * length / spent)
    figures["rss_mb"] = round(psutil.Process().memory_info().rss / 1e6)
    return figures


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
