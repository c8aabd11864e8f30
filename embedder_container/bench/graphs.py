"""Measures graphs of one model beside each other: ``python -m bench.graphs all-MiniLM-L6-v2`` or ``jina-v3-shape``.

In turn, in one process and on one thread, by CPU time: the graph of format 1, today's in each form, and the int8
products alone, which are the ceiling. What other work the machine does then reaches all of them alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from safetensors.numpy import load_file

from embedder.adapters import split
from embedder.bert_encoder import BertEncoder
from embedder.bert_graph import BertConfig, build_graph
from embedder.build import quantize
from embedder.encoder_files import write_graph
from embedder.model import TASK_INPUT, open_session
from embedder.published_encoder import PublishedEncoder
from embedder.published_graph import PublishedGraph
from embedder.sources import fetch, find_recipe

from . import standin

__all__ = ["CEILING", "JINA", "OLD", "bert_graphs", "compare", "jina_graphs", "markdown"]

Shape = tuple[int, int]
#: Rows and tokens of the batches measured.
SHAPES: tuple[Shape, ...] = ((1, 20), (16, 20), (4, 96))
#: Words of random models: one row of their table is read for each token, whatever its size.
WORDS = 2000
JINA = "jina-v3-shape"
OLD, CEILING = "format 1, int8", "int8 products alone"
#: Token ids that every model knows.
IDS = (4, 20)
#: Batches of one graph before the next one has its turn, and the fewest turns of each.
TURN, LEAST_TURNS = 3, 4


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.graphs")
    parser.add_argument("model", help=f"a known BERT model, or {JINA}: random weights in jina-embeddings-v3's shape")
    parser.add_argument("--layers", type=int, default=24, help=f"layers of {JINA}; all of them need 8 GB of disk")
    parser.add_argument("--seconds", type=float, default=3, help="for each graph and shape")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if options.model == JINA:
            graphs = jina_graphs(replace(standin.FULL, layers=options.layers, words=WORDS), Path(scratch))
        else:
            graphs = bert_graphs(options.model, Path(scratch))
        figures = compare(graphs, SHAPES, options.seconds)
    print(markdown(figures))
    json.dump(figures, sys.stderr)
    return 0


def bert_graphs(model: str, folder: Path) -> dict[str, Path]:
    """Write the graphs of a model with weights; the first one is that of format 1."""
    recipe = find_recipe(model)
    files = fetch(recipe, folder)
    config = BertConfig.from_json(json.loads((files / "config.json").read_bytes()), recipe.pooling)
    weights = load_file(files / "model.safetensors")
    encoder = BertEncoder(weights, config)
    (folder / "plain.onnx").write_bytes(build_graph(weights, config).SerializeToString())
    graphs = {OLD: folder / "old.onnx", "int8": folder / "int8.onnx", "int8-rows": folder / "int8-rows.onnx"}
    quantize(folder / "plain.onnx", graphs[OLD])
    for form in ("int8", "int8-rows"):
        write_graph(graphs[form], encoder, encoder.shape, form)
    return graphs


def jina_graphs(shape: standin.Shape, folder: Path) -> dict[str, Path]:
    """Write a model of jina-embeddings-v3's architecture and its graphs: for all tasks, and for one."""
    standin.write(folder / "published", shape)
    source, tasks = folder / "published" / "onnx" / "model.onnx", len(standin.TASKS)
    config = json.loads((folder / "published" / "config.json").read_bytes())
    graphs = {
        name: folder / f"{number}.onnx" for number, name in enumerate((OLD, "int8", "int8, one task", "int8-rows"))
    }
    split(source, folder / "split.onnx", tasks)
    quantize(folder / "split.onnx", graphs[OLD])
    published = PublishedGraph.read(source)
    every = PublishedEncoder(published, config, tasks=tasks, positions=512)
    write_graph(graphs["int8"], every, every.shape, "int8", beside=True)
    write_graph(graphs["int8-rows"], every, every.shape, "int8-rows", beside=True)
    one = PublishedEncoder(published, config, tasks=tasks, positions=512, task=1)
    write_graph(graphs["int8, one task"], one, one.shape, "int8", beside=True)
    return graphs


def compare(graphs: Mapping[str, Path], shapes: Sequence[Shape], seconds: float) -> dict[str, dict[str, int]]:
    """Return tokens for each CPU second by graph and shape; the last row is the ceiling, from the "int8" graph."""
    sessions = {
        # As it was served then: with the fusion that is slow.
        name: onnxruntime.InferenceSession(str(path), _options(), providers=["CPUExecutionProvider"])
        if name == OLD
        else open_session(path)
        for name, path in graphs.items()
    }
    sessions[CEILING] = open_session(_products(graphs["int8"]))
    figures: dict[str, dict[str, int]] = {name: {} for name in sessions}
    for shape in shapes:
        feeds = {name: _feed(session, shape) for name, session in sessions.items()}
        spent: dict[str, list[float]] = {name: [] for name in sessions}
        until = time.monotonic() + seconds * len(sessions)
        while time.monotonic() < until or len(spent[CEILING]) < LEAST_TURNS * TURN:
            for name, session in sessions.items():
                for _ in range(TURN):
                    began = time.thread_time()
                    session.run(None, feeds[name])
                    spent[name].append(time.thread_time() - began)
        for name, times in spent.items():
            # The lower quartile: the first batches, and those that other work disturbed, are slower.
            figures[name][str(shape)] = round(shape[0] * shape[1] / statistics.quantiles(times, n=4)[0])
    return figures


def markdown(figures: Mapping[str, Mapping[str, int]]) -> str:
    """Tokens for each CPU second, the ratio to the first graph, and the share of the ceiling."""
    shapes = list(figures[CEILING])
    lines = ["| graph | " + " | ".join(shapes) + " |", "|---" * (len(shapes) + 1) + "|"]
    for name, by_shape in figures.items():
        cells = []
        for shape in shapes:
            value = by_shape[shape]
            ratio, share = value / next(iter(figures.values()))[shape], value / figures[CEILING][shape]
            cells.append(f"{value} (×{ratio:.2f}, {share:.0%} of the ceiling)")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _feed(session: onnxruntime.InferenceSession, shape: Shape) -> dict[str, object]:
    random = np.random.default_rng(2)
    feed: dict[str, object] = {}
    for entry in session.get_inputs():
        if entry.name == TASK_INPUT:
            feed[entry.name] = np.ones([shape[0] if isinstance(size, str) else 1 for size in entry.shape], np.int64)
        elif entry.name == "input_ids":
            feed[entry.name] = random.integers(*IDS, shape)
        elif entry.name == "attention_mask":
            feed[entry.name] = np.ones(shape, np.int64)
        else:  # the values of a product
            feed[entry.name] = random.integers(0, 256, (shape[0] * shape[1], entry.shape[1]), np.uint8)
    return feed


def _products(graph: Path) -> Path:
    """Write a graph of nothing but the int8 products of ``graph``, with their weights."""
    source = onnx.load(str(graph), load_external_data=False)
    stored = {tensor.name: tensor for tensor in source.graph.initializer}
    weights = [
        stored[node.input[1]]
        for node in source.graph.node
        if node.op_type == "MatMulIntegerToFloat" and not node.name.endswith(".low.out")
    ]
    widths = sorted({weight.dims[0] for weight in weights})
    nodes = []
    for weight in weights:
        inputs = [f"values.{weight.dims[0]}", weight.name, "zero"]
        nodes.append(helper.make_node("MatMulInteger", inputs, [f"{weight.name}.all"]))
        # One row is given back: the runtime uses the memory of the others again, as in a whole graph.
        nodes.append(helper.make_node("Gather", [f"{weight.name}.all", "first"], [f"{weight.name}.sums"]))
    values = [helper.make_tensor_value_info(f"values.{width}", TensorProto.UINT8, ("m", width)) for width in widths]
    outputs = [helper.make_tensor_value_info(f"{weight.name}.sums", TensorProto.INT32, None) for weight in weights]
    zero = helper.make_tensor("zero", TensorProto.UINT8, [], [128])
    first = helper.make_tensor("first", TensorProto.INT64, [1], [0])
    made = helper.make_graph(nodes, "products", values, outputs, [*weights, zero, first])
    out = graph.with_name(f"{graph.stem}.products.onnx")
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    out.write_bytes(model.SerializeToString())
    return out


if __name__ == "__main__":
    sys.exit(main())
