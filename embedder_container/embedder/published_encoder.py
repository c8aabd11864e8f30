"""Reads the weights of an encoder like jina-embeddings-v3 out of its published graph, for a graph of our own.

The graph's products, norms and tables are taken in their order, and their sizes are checked. What they mean is assumed:
whoever writes a graph of them compares its vectors with the published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .encoder_graph import EncoderShape, Norm
from .errors import PrepareError
from .graph_parts import Array
from .products import Adapter, Linear
from .published_graph import PublishedGraph, TaskWeight, low_rank

__all__ = ["PublishedEncoder"]

#: A layer's products in their order.
PARTS = ("qkv", "mixed", "wide", "narrow")


@dataclass(frozen=True, slots=True)
class _Product:
    """A product's weight, and the bias that is added to its result."""

    weight: TaskWeight
    bias: str


class PublishedEncoder:
    """The weights of one task, or of all with the first task's as the weight and adapters for the others.

    Raises PrepareError where the graph is not such an encoder.
    """

    def __init__(
        self,
        graph: PublishedGraph,
        config: Mapping[str, object],
        *,
        tasks: int,
        positions: int,
        task: int | None = None,
    ) -> None:
        self._graph, self.task = graph, task or 0
        self._others = range(1, tasks) if task is None else range(0)
        weights = graph.weights()
        self._tables = [weight for weight in weights if weight.user.op_type == "Gather" and weight.place == 0]
        products = [weight for weight in weights if weight.user.op_type == "MatMul" and weight.place == 1]
        if not self._tables or len(self._tables) + len(products) != len(weights):
            raise PrepareError("the graph uses what depends on the task elsewhere than in products and tables")
        self._products = [_Product(weight, _bias(graph, weight)) for weight in products]
        self._norms = _norms(graph)
        layers = len(products) // len(PARTS)
        if len(products) % len(PARTS) or len(self._norms) != 2 * layers + 1:
            raise PrepareError(f"the graph has {len(products)} products and {len(self._norms)} norms")
        hidden = self._value(self._norms[0][0]).size
        heads = int(str(config["num_attention_heads"]))
        self.shape = EncoderShape(
            layers,
            heads,
            hidden,
            float(str(config.get("layer_norm_eps", 1e-5))),
            tasks=tasks if task is None else 0,
            rotary=_rotary(positions, hidden // heads, float(str(config.get("rotary_emb_base", 10000.0)))),
        )

    def words(self) -> tuple[Array, Adapter | None]:
        table, adapter = self._weight(self._tables[0])
        for types in self._tables[1:]:
            # A single text has token type 0 everywhere: its row belongs to every word, its differences to the tasks.
            rows, differences = self._weight(types)
            table += rows[0]
            if differences is not None:
                adapter = self._with_row(adapter, differences, len(table))
        return table, adapter

    def positions(self) -> Array | None:
        return None

    def linear(self, layer: int, part: str) -> Linear:
        product = self._products[layer * len(PARTS) + PARTS.index(part)]
        weight, adapter = self._weight(product.weight)
        hidden = self.shape.hidden
        given, made = weight.shape
        if (made if part in ("mixed", "narrow") else given) != hidden or (part == "qkv" and made != 3 * hidden):
            raise PrepareError(f"{product.weight.name} is ({given}, {made}), which is no {part} of {hidden} dimensions")
        return Linear(weight, self._value(product.bias), adapter)

    def norm(self, layer: int, part: str) -> Norm:
        place = 0 if layer < 0 else 2 * layer + 1 + (part == "narrow")
        scale, bias = self._norms[place]
        return Norm(self._value(scale), self._value(bias))

    def _weight(self, weight: TaskWeight) -> tuple[Array, Adapter | None]:
        value_of = self._graph.evaluator(weight.name)
        base = value_of(self.task)
        factors = [low_rank(value_of(task) - base, weight.name) for task in self._others]
        rank = max((left.shape[1] for left, _ in factors), default=0)
        if not rank:
            return base, None
        left = np.zeros((base.shape[0], len(factors), rank), np.float32)
        right = np.zeros((len(factors), rank, base.shape[1]), np.float32)
        for task, (one, other) in enumerate(factors):
            left[:, task, : one.shape[1]] = one
            right[task, : other.shape[0]] = other
        return base, Adapter(left.reshape(len(base), -1), right.reshape(-1, base.shape[1]))

    def _with_row(self, adapter: Adapter | None, differences: Adapter, words: int) -> Adapter:
        """Add the first row of a table's ``differences``, task by task, to the adapter of the words."""
        tasks = len(self._others)
        row = differences.left[0].reshape(tasks, 1, -1) @ differences.right.reshape(tasks, -1, self.shape.hidden)
        left, right = np.ones((words, tasks, 1), np.float32), row
        if adapter is not None:
            left = np.concatenate([adapter.left.reshape(words, tasks, -1), left], axis=2)
            right = np.concatenate([adapter.right.reshape(tasks, -1, self.shape.hidden), right], axis=1)
        return Adapter(left.reshape(words, -1), right.reshape(-1, self.shape.hidden))

    def _value(self, name: str) -> Array:
        return np.asarray(self._graph.constant_value(name), np.float32)


def _rotary(positions: int, head: int, base: float) -> tuple[Array, Array]:
    """Return cosines and sines of every position, for the first half of a head's dimensions."""
    angles = np.outer(np.arange(positions), base ** (-np.arange(head // 2) / (head // 2)))
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _bias(graph: PublishedGraph, weight: TaskWeight) -> str:
    """Return the constant that is added to the product."""
    added = _constant_beside(graph, "Add", weight.user.output[0])
    if added is None:
        raise PrepareError(f"the product with {weight.name} has no bias")
    return added[0]


def _norms(graph: PublishedGraph) -> list[tuple[str, str]]:
    """Return the scale and bias of every norm: one operator, or, in older exports, a product and a sum at its end."""
    found = []
    for node in graph.live:
        if node.op_type == "LayerNormalization":
            found.append((node.input[1], node.input[2]))
        elif node.op_type == "Div":
            scaled = _constant_beside(graph, "Mul", node.output[0])
            shifted = _constant_beside(graph, "Add", scaled[1]) if scaled else None
            if scaled and shifted:
                found.append((scaled[0], shifted[0]))
    return found


def _constant_beside(graph: PublishedGraph, kind: str, value: str) -> tuple[str, str] | None:
    """Return the constant, and the result, of the node of this kind that uses ``value`` with a constant list."""
    for node in graph.users(value):
        if node.op_type == kind:
            for name in node.input:
                if name in graph.constant and graph.constant_value(name).ndim == 1:
                    return name, node.output[0]
    return None
