"""Analyses a published graph with run-time adapters: which values are constant, and which depend on the task alone.

A graph such as jina-embeddings-v3's computes W + B[task]·A[task] before every product. Whatever form the exporter
gave it, such a weight depends on constants and ``task_id`` alone, so it can be evaluated here for each task.
Weights are read one by one, so that gigabytes of them need little memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data
from onnx.reference import ReferenceEvaluator

from .errors import PrepareError
from .graph_parts import Array
from .model import TASK_INPUT

__all__ = ["PublishedGraph", "TaskWeight", "low_rank"]

#: Differences between tasks of a higher rank than this do not come from an adapter.
MAX_RANK = 32
#: Singular values below this share of the largest are rounding errors.
NOISE = 1e-5


@dataclass(frozen=True, slots=True)
class TaskWeight:
    """A value of the graph that depends on the task alone, and the live node that uses it as input ``place``."""

    name: str
    user: onnx.NodeProto
    place: int


@dataclass(slots=True)
class PublishedGraph:
    """An analysed graph: which values are constant, and which depend on the task alone."""

    model: onnx.ModelProto
    folder: str
    makers: dict[str, onnx.NodeProto] = field(default_factory=dict)
    stored: dict[str, onnx.TensorProto] = field(default_factory=dict)
    constant: set[str] = field(default_factory=set)
    tasked: set[str] = field(default_factory=set)
    live: list[onnx.NodeProto] = field(default_factory=list)
    #: The live nodes that use a value, once someone has asked.
    uses: dict[str, list[onnx.NodeProto]] = field(default_factory=dict)

    @classmethod
    def read(cls, source: Path) -> PublishedGraph:
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

    def weights(self) -> list[TaskWeight]:
        """Return every place where a live node uses a value that depends on the task."""
        return [
            TaskWeight(name, node, place)
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

    def require_data(self) -> None:
        """Raise PrepareError when a file with the graph's weights is missing."""
        for tensor in self.stored.values():
            if uses_external_data(tensor):
                self.load(tensor.name)
                return

    def users(self, value: str) -> list[onnx.NodeProto]:
        """Return the live nodes that use a value."""
        if not self.uses:
            for node in self.live:
                for name in set(node.input):
                    self.uses.setdefault(name, []).append(node)
        return self.uses.get(value, [])

    def constant_value(self, name: str) -> NDArray[Any]:
        """Return a constant, stored or computed of stored ones."""
        if name in self.stored:
            value: NDArray[Any] = numpy_helper.to_array(self.load(name))
            return value
        return self.evaluator(name)(0)

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


def low_rank(difference: Array, name: str) -> tuple[Array, Array]:
    """Return two factors of a matrix of low rank, found by a sketch of its rows."""
    size = min(MAX_RANK, *difference.shape)
    sketch = np.random.default_rng(0).standard_normal((size, difference.shape[0]), np.float32) @ difference
    _, values, basis = np.linalg.svd(sketch, full_matrices=False)
    rank = int(np.sum(values > values[0] * NOISE)) if values[0] else 0
    if rank == MAX_RANK < min(difference.shape):
        raise PrepareError(f"{name} differs between tasks by more than an adapter of rank {MAX_RANK}")
    right = basis[:rank]
    return difference @ right.T, right
