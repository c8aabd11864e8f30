"""Takes run-time adapters out of a published graph: weights that depend on ``task_id`` become constants.

A graph such as jina-embeddings-v3's computes W + B[task]·A[task] before every product, so that no weight is a
constant and quantisation finds none. Whatever form the exporter gave it, the weight depends on constants and
``task_id`` alone: it is evaluated for each task here. Then either one task's weight stays (``fold``), or the
first task's stays and the others' differences, which are of low rank, go beside it (``split``). Weights are read
and written one by one, so that gigabytes of them need little memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data
from onnx.reference import ReferenceEvaluator

from .adapter_models import pooled
from .errors import PrepareError
from .model import TASK_INPUT

__all__ = ["SIDE", "fold", "split"]

#: The prefix of the names of the low-rank nodes, which are not quantised.
SIDE = "adapter."
#: Differences between tasks of a higher rank than this do not come from an adapter.
MAX_RANK = 32
#: Singular values below this share of the largest are rounding errors.
NOISE = 1e-5
#: A task-dependent value that is not a weight of a known kind is stored once for each task, up to this many numbers.
MAX_PLAIN = 1 << 22
#: Constants of at least this many bytes go into the file beside the graph, aligned to this size.
INLINE_BYTES, ALIGNMENT = 4096, 4096

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Weight:
    """A value of the graph that depends on the task alone, and the live node that uses it as input ``place``."""

    name: str
    user: onnx.NodeProto
    place: int


@dataclass(slots=True)
class _Graph:
    """An analysed graph: which values are constant, and which depend on the task alone."""

    model: onnx.ModelProto
    folder: str
    makers: dict[str, onnx.NodeProto] = field(default_factory=dict)
    stored: dict[str, onnx.TensorProto] = field(default_factory=dict)
    constant: set[str] = field(default_factory=set)
    tasked: set[str] = field(default_factory=set)
    live: list[onnx.NodeProto] = field(default_factory=list)

    @classmethod
    def read(cls, source: Path) -> _Graph:
        try:
            model = onnx.load(str(source), load_external_data=False)
        except Exception as error:  # noqa: BLE001 - protobuf's kinds, and those of the files
            raise PrepareError(f"{source.name} is no ONNX graph: {error}") from None
        inputs = {value.name for value in model.graph.input}
        if TASK_INPUT not in inputs:
            raise PrepareError(f"the graph has no input {TASK_INPUT!r}, only {', '.join(sorted(inputs))}")
        graph = cls(model, str(source.parent))
        graph.stored = {tensor.name: tensor for tensor in model.graph.initializer}
        graph.constant = {"", *graph.stored}
        graph.tasked = {TASK_INPUT}
        for node in model.graph.node:
            graph._place(node)
        return graph

    def _place(self, node: onnx.NodeProto) -> None:
        self.makers.update(dict.fromkeys(node.output, node))
        inputs = set(node.input)
        if inputs <= self.constant:
            self.constant.update(node.output)
        elif inputs <= self.constant | self.tasked:
            self.tasked.update(node.output)
        else:
            self.live.append(node)

    def weights(self) -> list[_Weight]:
        """Return every place where a live node uses a value that depends on the task."""
        return [
            _Weight(name, node, place)
            for node in self.live
            for place, name in enumerate(node.input)
            if name in self.tasked
        ]

    def above(self, names: Iterable[str]) -> list[onnx.NodeProto]:
        """Return the nodes that compute ``names``, in the order of the graph."""
        needed: set[int] = set()
        waiting = list(names)
        while waiting:
            node = self.makers.get(waiting.pop())
            if node is not None and id(node) not in needed:
                needed.add(id(node))
                waiting.extend(node.input)
        return [node for node in self.model.graph.node if id(node) in needed]

    def load(self, name: str) -> onnx.TensorProto:
        """Return a stored tensor with its numbers, which may be in the file beside the graph."""
        tensor = onnx.TensorProto()
        tensor.CopyFrom(self.stored[name])
        if uses_external_data(tensor):
            try:
                load_external_data_for_tensor(tensor, self.folder)
            except Exception as error:  # noqa: BLE001 - a missing file, a cut one, a path that leads outside
                raise PrepareError(f"{name} cannot be read from the graph's data: {error}") from None
        return tensor

    def evaluator(self, name: str) -> Callable[[int], Array]:
        """Return a function that computes one value for a task, by running the part of the graph that makes it."""
        nodes = self.above([name])
        used = {entry for node in nodes for entry in node.input if entry in self.stored}
        task = next(value for value in self.model.graph.input if value.name == TASK_INPUT)
        part = helper.make_graph(
            nodes, "weight", [task], [onnx.ValueInfoProto(name=name)], [self.load(key) for key in sorted(used)]
        )
        made = helper.make_model(part, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        run = ReferenceEvaluator(made).run
        shape = [1] * len(task.type.tensor_type.shape.dim)
        return lambda number: np.asarray(run([name], {TASK_INPUT: np.full(shape, number, np.int64)})[0])


def fold(source: Path, out: Path, task: int) -> None:
    """Write the graph for one task, without the input ``task_id``, and with pooling and norm."""
    graph = _Graph.read(source)
    with _data_of(out).open("wb") as data:
        parts = _Parts(data)
        for name in dict.fromkeys(weight.name for weight in graph.weights()):
            parts.store(name, graph.evaluator(name)(task))
        parts.nodes = list(graph.live)
        _write(graph, parts, out, keep_task=False)


def split(source: Path, out: Path, tasks: int) -> None:
    """Write the graph for all tasks: the first task's weights, low-rank paths for the others, and pooling."""
    graph = _Graph.read(source)
    uses: dict[int, list[_Weight]] = {}
    for weight in graph.weights():
        uses.setdefault(id(weight.user), []).append(weight)
    kept: dict[str, _Difference] = {}
    with _data_of(out).open("wb") as data:
        parts = _Parts(data)
        for node in graph.live:
            weights = uses.get(id(node), [])
            for weight in weights:
                if weight.name not in kept:
                    kept[weight.name] = _difference(graph, parts, weight, tasks)
            if weights and kept[weights[0].name].rank:
                parts.nodes.extend(_beside(node, weights[0], kept[weights[0].name]))
            else:
                parts.nodes.append(node)
        _write(graph, parts, out, keep_task=True)


def _data_of(out: Path) -> Path:
    return out.with_name(f"{out.name}_data")


@dataclass(frozen=True, slots=True)
class _Difference:
    """How far the tasks' weights are from the first one's: ``rows`` of the weight, rank 0 for none."""

    rows: int = 0
    rank: int = 0


@dataclass(slots=True)
class _Parts:
    """Nodes and constants of the new graph; large constants are written to ``data`` at once."""

    data: BinaryIO
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    stored: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def store(self, name: str, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
        if value.nbytes < INLINE_BYTES:
            self.stored[name] = numpy_helper.from_array(value, name)
            return name
        self.data.write(b"\0" * (-self.data.tell() % ALIGNMENT))
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(value.dtype), dims=value.shape)
        tensor.data_location = TensorProto.EXTERNAL
        where = {"location": Path(self.data.name).name, "offset": self.data.tell(), "length": value.nbytes}
        for key, entry in where.items():
            tensor.external_data.add(key=key, value=str(entry))
        self.data.write(np.ascontiguousarray(value).data)
        self.stored[name] = tensor
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(_node(kind, inputs, output, **attributes))
        return output


def _node(kind: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], name=output, **attributes)


def _difference(graph: _Graph, parts: _Parts, weight: _Weight, tasks: int) -> _Difference:
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
    factors = [_factor(value_of(task) - base, weight.name) for task in range(1, tasks)]
    rank = max((left.shape[1] for left, _ in factors), default=0)
    if rank:
        left = np.zeros((tasks, base.shape[0], rank), np.float32)
        right = np.zeros((tasks, rank, base.shape[1]), np.float32)
        for task, (one, other) in enumerate(factors, start=1):
            left[task, :, : one.shape[1]] = one
            right[task, : other.shape[0]] = other
        _store_factors(parts, weight, left, right)
    return _Difference(base.shape[0], rank)


def _store_factors(parts: _Parts, weight: _Weight, left: Array, right: Array) -> None:
    own = f"{SIDE}{weight.name}"
    parts.add("Gather", [parts.store(f"{own}.right", right), _scalar_task(parts)], f"{own}.b", axis=0)
    if weight.user.op_type == "Gather":
        # Rows of a table are chosen by task and id at once: choosing the task first would copy the whole table.
        parts.store(f"{own}.left", left.reshape(-1, left.shape[2]))
    else:
        parts.add("Gather", [parts.store(f"{own}.left", left), _scalar_task(parts)], f"{own}.a", axis=0)


def _splits(weight: _Weight) -> bool:
    """Return whether a low-rank path can be added to this use."""
    node = weight.user
    if node.op_type == "Gather":
        return weight.place == 0 and all(entry.name != "axis" or entry.i == 0 for entry in node.attribute)
    return node.op_type == "MatMul" and weight.place == 1


def _factor(difference: Array, name: str) -> tuple[Array, Array]:
    """Return two factors of a matrix of low rank, found by a sketch of its rows."""
    size = min(MAX_RANK, *difference.shape)
    sketch = np.random.default_rng(0).standard_normal((size, difference.shape[0]), np.float32) @ difference
    _, values, basis = np.linalg.svd(sketch, full_matrices=False)
    rank = int(np.sum(values > values[0] * NOISE)) if values[0] else 0
    if rank == MAX_RANK < min(difference.shape):
        raise PrepareError(f"{name} differs between tasks by more than an adapter of rank {MAX_RANK}")
    right = basis[:rank]
    return difference @ right.T, right


def _scalar_task(parts: _Parts) -> str:
    """Return the task as a scalar, whatever shape the input has."""
    name = f"{SIDE}task"
    if f"{SIDE}scalar" not in parts.stored:
        parts.store(f"{SIDE}scalar", np.array([], np.int64))
        parts.add("Reshape", [TASK_INPUT, f"{SIDE}scalar"], name)
    return name


def _beside(node: onnx.NodeProto, weight: _Weight, difference: _Difference) -> list[onnx.NodeProto]:
    """Return the node with a low-rank path beside it; their sum has the node's old output."""
    output = node.output[0]
    own = f"{SIDE}{output}"
    base = onnx.NodeProto()
    base.CopyFrom(node)
    base.output[0] = f"{output}.base"
    nodes = [base]
    if node.op_type == "Gather":
        nodes += [
            _node("Constant", [], f"{own}.rows", value_int=difference.rows),
            _node("Mul", [f"{SIDE}task", f"{own}.rows"], f"{own}.offset"),
            _node("Cast", [node.input[1]], f"{own}.ids", to=TensorProto.INT64),
            _node("Add", [f"{own}.ids", f"{own}.offset"], f"{own}.places"),
            _node("Gather", [f"{SIDE}{weight.name}.left", f"{own}.places"], f"{own}.low", axis=0),
        ]
    else:
        nodes.append(_node("MatMul", [node.input[0], f"{SIDE}{weight.name}.a"], f"{own}.low"))
    nodes.append(_node("MatMul", [f"{own}.low", f"{SIDE}{weight.name}.b"], f"{own}.out"))
    nodes.append(_node("Add", [base.output[0], f"{own}.out"], output))
    nodes[-1].name = f"{own}.sum"
    return nodes


def _write(graph: _Graph, parts: _Parts, out: Path, *, keep_task: bool) -> None:
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
    inputs = [value for value in inputs if keep_task or value.name != TASK_INPUT]
    new = helper.make_graph([*before, *nodes], old.graph.name, inputs, old.graph.output, list(parts.stored.values()))
    made_model = helper.make_model(
        new, opset_imports=old.opset_import, ir_version=old.ir_version, producer_name="embedder"
    )
    out.write_bytes(pooled(made_model).SerializeToString())
