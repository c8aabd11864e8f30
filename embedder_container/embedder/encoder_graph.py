"""Writes the graph of a sentence encoder in the operators that ONNX Runtime computes fastest, with pooling and norm.

BERT, XLM-RoBERTa and jina-embeddings-v3 are one kind: attention and a wide layer, each followed by the sum with its
input and a norm. They differ in their positions (a table, or rotary) and in adapters. Values have two dimensions
(tokens, width), because the runtime's fusion of sum and norm, which is slow, looks for three.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import onnx
from onnx import TensorProto, helper

from .bert_graph import INPUTS, OUTPUT
from .graph_parts import CONTRIB, Array, Parts
from .model import TASK_INPUT
from .products import TASK_ROWS, Adapter, Linear, Products, task_columns

__all__ = ["EncoderShape", "EncoderWeights", "write_encoder"]

OPSET = 21


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """What shapes the graph; ``tasks`` is 0 without adapters, ``rotary`` holds cosines and sines of each position."""

    layers: int
    heads: int
    hidden: int
    epsilon: float
    pooling: str = "mean"
    tasks: int = 0
    rotary: tuple[Array, Array] | None = None


@dataclass(frozen=True, slots=True)
class Norm:
    """A norm's scale and bias."""

    scale: Array
    bias: Array


class EncoderWeights(Protocol):
    """The weights, asked for one by one, so that gigabytes of them need little memory."""

    def words(self) -> tuple[Array, Adapter | None]:
        """Return the table of words; an adapter's ``left`` has a row for each word."""
        ...

    def positions(self) -> Array | None:
        """Return what is added at each position, or None."""
        ...

    def linear(self, layer: int, part: str) -> Linear:
        """Return a layer's product: "qkv" (query, key and value side by side), "mixed", "wide" or "narrow"."""
        ...

    def norm(self, layer: int, part: str) -> Norm:
        """Return the norm after a layer's "mixed" or "narrow", or, for layer -1, that after the words."""
        ...


def write_encoder(
    parts: Parts, weights: EncoderWeights, shape: EncoderShape, form: Callable[[Parts, int], Products]
) -> onnx.ModelProto:
    """Return the graph from token ids to unit vectors."""
    encoder = _Encoder(parts, weights, shape, form(parts, shape.tasks))
    hidden = encoder.embeddings()
    for layer in range(shape.layers):
        hidden = encoder.layer(layer, hidden)
    encoder.pool(hidden)
    return encoder.model()


class _Encoder:
    """Every method returns the name of its result."""

    def __init__(self, parts: Parts, weights: EncoderWeights, shape: EncoderShape, products: Products) -> None:
        self._parts, self._weights, self._shape, self._products = parts, weights, shape, products

    def embeddings(self) -> str:
        parts, hidden = self._parts, self._shape.hidden
        ids = parts.add("Reshape", [INPUTS[0], parts.whole(-1)], "ids")
        parts.add("Shape", [INPUTS[0]], "shape")
        parts.add("Concat", ["shape", parts.whole(hidden)], "shape.hidden", axis=0)
        parts.add("Concat", ["shape", parts.whole(3 * hidden)], "shape.qkv", axis=0)
        self._lengths()
        if self._shape.tasks:
            self._token_tasks()
        table, adapter = self._weights.words()
        rows = self._products.words("words", table, ids)
        if adapter is not None:
            rows = self._adapted_rows(rows, ids, adapter)
        if (positions := self._weights.positions()) is not None:
            rows = self._with_positions(rows, positions)
        return self._norm(-1, "words", rows)

    def layer(self, number: int, hidden: str) -> str:
        mixed = self._linear(number, "mixed", self._attention(number, hidden))
        hidden = self._norm(number, "mixed", mixed, hidden)
        wide = self._linear(number, "wide", hidden)
        active = self._parts.add("Gelu", [wide], f"layer.{number}.gelu", domain=CONTRIB)
        return self._norm(number, "narrow", self._linear(number, "narrow", active), hidden)

    def pool(self, hidden: str) -> None:
        parts = self._parts
        tokens = parts.add("Reshape", [hidden, "shape.hidden"], "pool.tokens")
        if self._shape.pooling == "cls":
            weight = parts.add("Slice", [tokens, parts.whole(0), parts.whole(1), parts.whole(1)], "pool.first")
        else:
            # The sum has the mean's direction, and the length becomes 1.
            mask = parts.add("Cast", [INPUTS[1]], "pool.mask", to=TensorProto.FLOAT)
            row = parts.add("Unsqueeze", [mask, parts.whole(1)], "pool.row")
            weight = parts.add("MatMul", [row, tokens], "pool.sum")
        one = parts.add("Squeeze", [weight, parts.whole(1)], "pool.one")
        parts.add("LpNormalization", [one], OUTPUT, axis=-1, p=2)

    def model(self) -> onnx.ModelProto:
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ("batch", "sequence")) for name in INPUTS]
        if self._shape.tasks:
            inputs.append(helper.make_tensor_value_info(TASK_INPUT, TensorProto.INT64, ("batch",)))
        output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ("batch", self._shape.hidden))
        parts = self._parts
        graph = helper.make_graph(parts.nodes, "sentence_encoder", inputs, [output], list(parts.stored.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="embedder")

    def _lengths(self) -> None:
        """Name what attention is told: the place of each text's last token, and the length of the batch."""
        parts = self._parts
        total = parts.add("ReduceSum", [INPUTS[1], parts.whole(1)], "length.tokens", keepdims=0)
        last = parts.add("Sub", [total, parts.whole(1)], "length.last_whole")
        parts.add("Cast", [last], "length.last", to=TensorProto.INT32)
        longest = parts.add("Gather", ["shape", parts.whole(1)], "length.longest", axis=0)
        parts.add("Cast", [longest], "length.batch", to=TensorProto.INT32)

    def _token_tasks(self) -> None:
        """Give each token the task of its text."""
        parts = self._parts
        column = parts.add("Unsqueeze", [TASK_INPUT, parts.whole(1)], "task.column")
        wide = parts.add("Expand", [column, "shape"], "task.texts")
        parts.add("Reshape", [wide, parts.whole(-1)], TASK_ROWS)

    def _adapted_rows(self, rows: str, ids: str, adapter: Adapter) -> str:
        parts = self._parts
        low = parts.add("Gather", [parts.store("words.left", adapter.left), ids], "words.low")
        own = parts.add("Mul", [low, task_columns(parts, adapter, self._shape.tasks)], "words.own")
        beside = parts.add("MatMul", [own, parts.store("words.right", adapter.right)], "words.beside")
        return parts.add("Add", [rows, beside], "words.sum")

    def _with_positions(self, rows: str, positions: Array) -> str:
        parts = self._parts
        longest = parts.add("Gather", ["shape", parts.whole(1)], "positions.length", axis=0)
        table, zero = parts.store("positions", positions), parts.whole(0)
        first = parts.add("Slice", [table, zero, longest, zero], "positions.first")
        texts = parts.add("Reshape", [rows, "shape.hidden"], "positions.texts")
        added = parts.add("Add", [texts, first], "positions.sum")
        return parts.add("Reshape", [added, parts.whole(-1, self._shape.hidden)], "positions.out")

    def _attention(self, number: int, hidden: str) -> str:
        """One operator splits query, key and value, rotates the first two, and mixes: all tokens see each other."""
        parts, shape, at = self._parts, self._shape, f"layer.{number}.attention"
        packed = parts.add("Reshape", [self._linear(number, "qkv", hidden), "shape.qkv"], f"{at}.packed")
        rotary: list[str] = []
        if shape.rotary is not None:
            cosines, sines = shape.rotary
            rotary = ["rotary.cosines", "rotary.sines"]
            if rotary[0] not in parts.stored:
                parts.store(rotary[0], cosines)
                parts.store(rotary[1], sines)
        mixed = parts.add(
            "GroupQueryAttention",
            [packed, "", "", "", "", "length.last", "length.batch", *rotary],
            f"{at}.mixed",
            domain=CONTRIB,
            num_heads=shape.heads,
            kv_num_heads=shape.heads,
            causal=0,
            do_rotary=int(bool(rotary)),
        )
        return parts.add("Reshape", [mixed, parts.whole(-1, shape.hidden)], f"{at}.out")

    def _linear(self, number: int, part: str, source: str) -> str:
        linear = self._weights.linear(number, part)
        operand = self._products.read(source, one_sided=part == "narrow")
        return self._products.times(f"layer.{number}.{part}", operand, linear)

    def _norm(self, number: int, part: str, source: str, skip: str = "") -> str:
        parts, norm, at = self._parts, self._weights.norm(number, part), f"norm.{number}.{part}"
        if skip:
            source = parts.add("Add", [source, skip], f"{at}.sum")
        inputs = [source, parts.store(f"{at}.scale", norm.scale), parts.store(f"{at}.bias", norm.bias)]
        return parts.add("LayerNormalization", inputs, f"{at}.out", axis=-1, epsilon=self._shape.epsilon)
