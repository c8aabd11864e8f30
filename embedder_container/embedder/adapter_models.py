"""Builds a model folder from a publisher's own ONNX graph with run-time adapters, as jina-embeddings-v3 has it."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from .agreement import TEXTS
from .bert_graph import OUTPUT
from .model import TASK_INPUT

__all__ = ["GRAPH", "pooled", "published_vectors", "save"]

#: The path of the graph in a publisher's folder; the weights are beside it.
GRAPH = Path("onnx") / "model.onnx"
#: A protobuf file has at most 2 GB; weights of graphs with more bytes than this go into a separate file.
INLINE_BYTES = 1_500_000_000

#: Operator, inputs, output, attributes.
_Step = tuple[str, list[str], str, dict[str, int]]


def save(graph: onnx.ModelProto, out: Path) -> None:
    """Write a graph; if it is too large for one file, the weights go into a second one."""
    size = sum(len(tensor.raw_data) for tensor in graph.graph.initializer)
    large = size > INLINE_BYTES
    onnx.save_model(graph, str(out), save_as_external_data=large, location=f"{out.name}_data")
    del graph
    gc.collect()


def pooled(model: onnx.ModelProto, pooling: str = "mean") -> onnx.ModelProto:
    """Put pooling ("mean" or "cls") of the first output's tokens, and the norm, into the graph."""
    graph = model.graph
    tokens = graph.output[0].name
    numbers = {"pool.axis_1": [1], "pool.axis_2": [2], "pool.first": 0}
    mean: tuple[_Step, ...] = (
        ("Cast", ["attention_mask"], "pool.mask", {"to": TensorProto.FLOAT}),
        ("Unsqueeze", ["pool.mask", "pool.axis_2"], "pool.column", {}),
        ("Mul", [tokens, "pool.column"], "pool.kept", {}),
        ("ReduceSum", ["pool.kept", "pool.axis_1"], "pool.total", {"keepdims": 0}),
        ("ReduceSum", ["pool.column", "pool.axis_1"], "pool.count", {"keepdims": 0}),
        ("Div", ["pool.total", "pool.count"], "pool.one", {}),
    )
    first: tuple[_Step, ...] = (("Gather", [tokens, "pool.first"], "pool.one", {"axis": 1}),)
    steps = (
        *(first if pooling == "cls" else mean),
        ("LpNormalization", ["pool.one"], OUTPUT, {"axis": -1, "p": 2}),
    )
    used = {entry for _, inputs, _, _ in steps for entry in inputs}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.int64), name) for name, value in numbers.items() if name in used
    )
    graph.node.extend(
        helper.make_node(kind, inputs, [output], name=output, **attributes)
        for kind, inputs, output, attributes in steps
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ("batch", "dimensions")))
    return model


def published_vectors(
    source: Path, tokenizer: Tokenizer, tasks: Iterable[int], texts: Sequence[str] = TEXTS
) -> NDArray[np.float32]:
    """Compute vectors as the publisher describes it: the unchanged graph, the mean over the tokens, the norm."""
    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    task = next(entry for entry in session.get_inputs() if entry.name == TASK_INPUT)
    vectors = []
    for number in tasks:
        for text in texts:
            ids = np.array([tokenizer.encode(text).ids], np.int64)
            feed = {
                "input_ids": ids,
                "attention_mask": np.ones_like(ids),
                TASK_INPUT: np.full([1] * len(task.shape), number, np.int64),
            }
            mean = session.run(None, feed)[0][0].mean(axis=0)
            vectors.append(mean / np.linalg.norm(mean))
    return np.stack(vectors)
