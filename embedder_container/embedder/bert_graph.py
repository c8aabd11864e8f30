"""Builds the ONNX graph of a BERT sentence encoder from its weights, with pooling and norm inside.

Only standard operators are used: ONNX Runtime fuses them when it loads the file, and quantisation finds
every MatMul. No torch is needed, and the result equals an export by optimum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["INPUTS", "OUTPUT", "BertConfig", "build_graph"]

#: ONNX opset of the graph; 20 is the first that has Gelu.
OPSET = 20
#: Inputs of every graph, both int64 of shape (batch, sequence).
INPUTS = ("input_ids", "attention_mask")
#: The only output: unit vectors of shape (batch, dimensions).
OUTPUT = "embedding"

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class BertConfig:
    """The part of a BERT ``config.json`` that shapes the graph; ``pooling`` is ``mean`` or ``cls``.

    ``first_position`` is the row of the position table that a text's first token has.
    """

    layers: int
    heads: int
    hidden: int
    epsilon: float = 1e-12
    pooling: str = "mean"
    first_position: int = 0

    @classmethod
    def from_json(cls, config: Mapping[str, object], pooling: str = "mean") -> BertConfig:
        """Read the names that Hugging Face uses; a configuration of another activation is refused."""
        if config.get("hidden_act", "gelu") != "gelu":
            raise ValueError(f"hidden_act {config['hidden_act']!r} is not supported, only 'gelu'")
        return cls(
            layers=int(str(config["num_hidden_layers"])),
            heads=int(str(config["num_attention_heads"])),
            hidden=int(str(config["hidden_size"])),
            epsilon=float(str(config.get("layer_norm_eps", 1e-12))),
            pooling=pooling,
            # RoBERTa's kind counts positions from behind the padding's id.
            first_position=int(str(config.get("pad_token_id", 1))) + 1
            if config.get("model_type") == "xlm-roberta"
            else 0,
        )


def build_graph(weights: Weights, config: BertConfig) -> onnx.ModelProto:
    """Return the graph from token ids to unit vectors; KeyError names a weight that is missing."""
    graph = _Graph(weights, config)
    hidden = graph.embeddings()
    for index in range(config.layers):
        hidden = graph.layer(f"encoder.layer.{index}", hidden)
    graph.pool(hidden)
    return graph.model()


class _Graph:
    """Collects nodes and initialisers; every method returns the name of its result."""

    def __init__(self, weights: Weights, config: BertConfig) -> None:
        self._weights = weights
        self._config = config
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def embeddings(self) -> str:
        # A single sentence has token type 0 everywhere, so that row is added to the positions once, here.
        positions = (
            self._weights["embeddings.position_embeddings.weight"][self._config.first_position :]
            + self._weights["embeddings.token_type_embeddings.weight"][0]
        )
        words = self._constant("embeddings.word_embeddings.weight", self._weights)
        table = self._put("embeddings.positions", positions)
        rows = self._node("Gather", words, INPUTS[0], name="embeddings.words")
        length = self._node("Shape", INPUTS[0], name="embeddings.length", start=1, end=2)
        zero = self._put("zero", np.array([0], np.int64))
        sliced = self._node("Slice", table, zero, length, zero, name="embeddings.sliced")
        added = self._node("Add", rows, sliced, name="embeddings.sum")
        self._attention_bias()
        return self._norm("embeddings.LayerNorm", added)

    def layer(self, prefix: str, hidden: str) -> str:
        query = self._heads(prefix, "query", hidden, (0, 2, 1, 3))
        key = self._heads(prefix, "key", hidden, (0, 2, 3, 1))
        value = self._heads(prefix, "value", hidden, (0, 2, 1, 3))
        scores = self._node("MatMul", query, key, name=f"{prefix}.scores")
        scale = self._put("scale", np.array((self._config.hidden // self._config.heads) ** 0.5, np.float32))
        scaled = self._node("Div", scores, scale, name=f"{prefix}.scaled")
        masked = self._node("Add", scaled, "attention_bias", name=f"{prefix}.masked")
        shares = self._node("Softmax", masked, name=f"{prefix}.shares", axis=-1)
        mixed = self._node("MatMul", shares, value, name=f"{prefix}.mixed")
        turned = self._node("Transpose", mixed, name=f"{prefix}.turned", perm=(0, 2, 1, 3))
        shape = self._put("merge", np.array([0, 0, self._config.hidden], np.int64))
        merged = self._node("Reshape", turned, shape, name=f"{prefix}.merged")
        out = self._linear(f"{prefix}.attention.output.dense", merged)
        hidden = self._residual(f"{prefix}.attention.output.LayerNorm", out, hidden)
        wide = self._linear(f"{prefix}.intermediate.dense", hidden)
        active = self._node("Gelu", wide, name=f"{prefix}.gelu")
        return self._residual(f"{prefix}.output.LayerNorm", self._linear(f"{prefix}.output.dense", active), hidden)

    def pool(self, hidden: str) -> None:
        if self._config.pooling == "cls":
            first = self._put("first", np.array(0, np.int64))
            pooled = self._node("Gather", hidden, first, name="pool.first", axis=1)
        else:
            axis = self._put("axis_1", np.array([1], np.int64))
            kept = self._node("Mul", hidden, "mask_column", name="pool.kept")
            total = self._node("ReduceSum", kept, axis, name="pool.total", keepdims=0)
            count = self._node("ReduceSum", "mask_column", axis, name="pool.count", keepdims=0)
            pooled = self._node("Div", total, count, name="pool.mean")
        self._node("LpNormalization", pooled, name=OUTPUT, axis=-1, p=2)

    def model(self) -> onnx.ModelProto:
        def tensor(name: str, kind: int, shape: tuple[str | int, ...]) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, kind, shape)

        graph = helper.make_graph(
            self._nodes,
            "sentence_encoder",
            [tensor(name, TensorProto.INT64, ("batch", "sequence")) for name in INPUTS],
            [tensor(OUTPUT, TensorProto.FLOAT, ("batch", self._config.hidden))],
            list(self._constants.values()),
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10, producer_name="embedder"
        )

    def _attention_bias(self) -> None:
        """Name the mask's two uses: a column for pooling, and a bias that removes padding from attention."""
        axes = self._put("axes_12", np.array([1, 2], np.int64))
        one = self._put("one", np.array(1.0, np.float32))
        lowest = self._put("lowest", np.array(np.finfo(np.float32).min, np.float32))
        mask = self._node("Cast", INPUTS[1], name="mask_float", to=TensorProto.FLOAT)
        last = self._put("axis_2", np.array([2], np.int64))
        self._node("Unsqueeze", mask, last, name="mask_column")
        wide = self._node("Unsqueeze", mask, axes, name="mask_wide")
        padding = self._node("Sub", one, wide, name="mask_padding")
        self._node("Mul", padding, lowest, name="attention_bias")

    def _heads(self, prefix: str, part: str, hidden: str, perm: tuple[int, ...]) -> str:
        size = self._config.hidden // self._config.heads
        flat = self._linear(f"{prefix}.attention.self.{part}", hidden)
        shape = self._put("split", np.array([0, 0, self._config.heads, size], np.int64))
        split = self._node("Reshape", flat, shape, name=f"{prefix}.{part}.split")
        return self._node("Transpose", split, name=f"{prefix}.{part}.heads", perm=perm)

    def _linear(self, prefix: str, source: str) -> str:
        weight = np.ascontiguousarray(self._weights[f"{prefix}.weight"].T)
        matrix = self._put(f"{prefix}.weight", weight)
        bias = self._constant(f"{prefix}.bias", self._weights)
        product = self._node("MatMul", source, matrix, name=f"{prefix}.product")
        return self._node("Add", product, bias, name=f"{prefix}.out")

    def _residual(self, norm: str, source: str, skip: str) -> str:
        return self._norm(norm, self._node("Add", source, skip, name=f"{norm}.sum"))

    def _norm(self, prefix: str, source: str) -> str:
        scale = self._constant(f"{prefix}.weight", self._weights)
        bias = self._constant(f"{prefix}.bias", self._weights)
        return self._node(
            "LayerNormalization",
            source,
            scale,
            bias,
            name=f"{prefix}.out",
            axis=-1,
            epsilon=self._config.epsilon,
        )

    def _constant(self, name: str, weights: Weights) -> str:
        return self._put(name, weights[name])

    def _put(self, name: str, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
        self._constants.setdefault(name, numpy_helper.from_array(value, name))
        return name

    def _node(self, kind: str, *inputs: str, name: str, **attributes: object) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name
