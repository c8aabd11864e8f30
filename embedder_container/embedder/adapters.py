"""Takes run-time adapters out of a published graph that keeps its operators: its weights become constants.

This is for graphs that are no encoder that ``published_encoder.py`` knows. Weights that depend on ``task_id`` are
evaluated for each task: the first task's stays, and the others' differences, which are of low rank, go beside it.
Weights are read and written one by one, so that gigabytes of them need little memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .adapter_models import pooled
from .errors import PrepareError
from .graph_parts import Array, Parts, data_of, new_node
from .model import TASK_INPUT
from .published_graph import PublishedGraph, TaskWeight, low_rank

__all__ = ["SIDE", "split"]

#: The prefix of the names of the low-rank nodes, which are not quantised.
SIDE = "adapter."
#: A task-dependent value that is not a weight of a known kind is stored once for each task, up to this many numbers.
MAX_PLAIN = 1 << 22


def split(source: Path, out: Path, tasks: int) -> None:
    """Write the graph for all tasks: the first task's weights, low-rank paths for the others, and pooling."""
    graph = PublishedGraph.read(source)
    uses: dict[int, list[TaskWeight]] = {}
    for weight in graph.weights():
        uses.setdefault(id(weight.user), []).append(weight)
    kept: dict[str, _Difference] = {}
    with data_of(out).open("wb") as data:
        parts = Parts(data)
        for node in graph.live:
            weights = uses.get(id(node), [])
            for weight in weights:
                if weight.name not in kept:
                    kept[weight.name] = _difference(graph, parts, weight, tasks)
            if weights and kept[weights[0].name].rank:
                parts.nodes.extend(_beside(node, weights[0], kept[weights[0].name]))
            else:
                parts.nodes.append(node)
        _write(graph, parts, out)


@dataclass(frozen=True, slots=True)
class _Difference:
    """How far the tasks' weights are from the first one's: ``rows`` of the weight, rank 0 for none."""

    rows: int = 0
    rank: int = 0


def _difference(graph: PublishedGraph, parts: Parts, weight: TaskWeight, tasks: int) -> _Difference:
    """Store the first task's weight under its name, and the factors of the others' differences beside it."""
    value_of = graph.evaluator(weight.name)
    base = value_of(0)
    if not _splits(weight) or base.ndim != 2:
        if base.size * tasks > MAX_PLAIN:
            raise PrepareError(f"{weight.name} depends on the task and goes into {weight.user.op_type}: not supported")
        every = parts.store(f"{SIDE}{weight.name}.all", np.stack([value_of(task) for task in range(tasks)]))
        parts.add("Gather", [every, _scalar_task(parts)], weight.name, axis=0)
        return _Difference()
    parts.store(weight.name, base)
    factors = [low_rank(value_of(task) - base, weight.name) for task in range(1, tasks)]
    rank = max((left.shape[1] for left, _ in factors), default=0)
    if rank:
        left = np.zeros((tasks, base.shape[0], rank), np.float32)
        right = np.zeros((tasks, rank, base.shape[1]), np.float32)
        for task, (one, other) in enumerate(factors, start=1):
            left[task, :, : one.shape[1]] = one
            right[task, : other.shape[0]] = other
        _store_factors(parts, weight, left, right)
    return _Difference(base.shape[0], rank)


def _store_factors(parts: Parts, weight: TaskWeight, left: Array, right: Array) -> None:
    own = f"{SIDE}{weight.name}"
    parts.add("Gather", [parts.store(f"{own}.right", right), _scalar_task(parts)], f"{own}.b", axis=0)
    if weight.user.op_type == "Gather":
        # Rows of a table are chosen by task and id at once: choosing the task first would copy the whole table.
        parts.store(f"{own}.left", left.reshape(-1, left.shape[2]))
    else:
        parts.add("Gather", [parts.store(f"{own}.left", left), _scalar_task(parts)], f"{own}.a", axis=0)


def _splits(weight: TaskWeight) -> bool:
    """Return whether a low-rank path can be added to this use."""
    node = weight.user
    if node.op_type == "Gather":
        return weight.place == 0 and all(entry.name != "axis" or entry.i == 0 for entry in node.attribute)
    return node.op_type == "MatMul" and weight.place == 1


def _scalar_task(parts: Parts) -> str:
    """Return the task as a scalar, whatever shape the input has."""
    name = f"{SIDE}task"
    if f"{SIDE}scalar" not in parts.stored:
        parts.store(f"{SIDE}scalar", np.array([], np.int64))
        parts.add("Reshape", [TASK_INPUT, f"{SIDE}scalar"], name)
    return name


def _beside(node: onnx.NodeProto, weight: TaskWeight, difference: _Difference) -> list[onnx.NodeProto]:
    """Return the node with a low-rank path beside it; their sum has the node's old output."""
    output = node.output[0]
    own = f"{SIDE}{output}"
    base = onnx.NodeProto()
    base.CopyFrom(node)
    base.output[0] = f"{output}.base"
    nodes = [base]
    if node.op_type == "Gather":
        nodes += [
            new_node("Constant", [], f"{own}.rows", value_int=difference.rows),
            new_node("Mul", [f"{SIDE}task", f"{own}.rows"], f"{own}.offset"),
            new_node("Cast", [node.input[1]], f"{own}.ids", to=TensorProto.INT64),
            new_node("Add", [f"{own}.ids", f"{own}.offset"], f"{own}.places"),
            new_node("Gather", [f"{SIDE}{weight.name}.left", f"{own}.places"], f"{own}.low", axis=0),
        ]
    else:
        nodes.append(new_node("MatMul", [node.input[0], f"{SIDE}{weight.name}.a"], f"{own}.low"))
    nodes.append(new_node("MatMul", [f"{own}.low", f"{SIDE}{weight.name}.b"], f"{own}.out"))
    nodes.append(new_node("Add", [base.output[0], f"{own}.out"], output))
    nodes[-1].name = f"{own}.sum"
    return nodes


def _write(graph: PublishedGraph, parts: Parts, out: Path) -> None:
    """Write the new nodes with the constants that they use."""
    old, nodes = graph.model, parts.nodes
    used = {entry for node in nodes for entry in node.input} | {value.name for value in old.graph.output}
    made = {entry for node in nodes for entry in node.output}
    before = graph.above(name for name in used - made if name in graph.constant and name not in parts.stored)
    used |= {entry for node in before for entry in node.input}
    for name in graph.stored:
        if name in used and name not in parts.stored:
            parts.store(name, numpy_helper.to_array(graph.load(name)))
    inputs = [value for value in old.graph.input if value.name not in parts.stored]
    new = helper.make_graph([*before, *nodes], old.graph.name, inputs, old.graph.output, list(parts.stored.values()))
    made_model = helper.make_model(
        new, opset_imports=old.opset_import, ir_version=old.ir_version, producer_name="embedder"
    )
    out.write_bytes(pooled(made_model).SerializeToString())
