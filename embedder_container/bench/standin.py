"""Writes a model of jina-embeddings-v3's architecture with random weights, in the form that was published.

XLM-R with rotary positions, norms after each block, and adapters of rank 4 for five tasks on every linear and on
the embeddings, applied when the graph runs: W + B[task]·A[task]/4. Weights go to ``model.onnx_data`` one by one,
so that the full size (2.3 GB) needs little memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

__all__ = ["FULL", "SMALL", "TASKS", "Shape", "write"]

TASKS = ("retrieval.query", "retrieval.passage", "separation", "classification", "text-matching")
RANK = 4
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that differ between the real model and one for tests."""

    layers: int
    hidden: int
    heads: int
    wide: int
    words: int
    positions: int = 8194

    @property
    def head(self) -> int:
        return self.hidden // self.heads


FULL = Shape(layers=24, hidden=1024, heads=16, wide=4096, words=250_002)
SMALL = Shape(layers=2, hidden=64, heads=4, wide=128, words=300, positions=130)


def write(folder: Path, shape: Shape, *, seed: int = 11, tokenizer: Tokenizer | None = None) -> Path:
    """Write ``folder`` as its publisher would: config.json, tokenizer.json, onnx/model.onnx and its data.

    Without ``tokenizer``, it is a small one of made-up words.
    """
    (folder / "onnx").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(_config(shape)))
    (tokenizer or _tokenizer(shape)).save(str(folder / "tokenizer.json"))
    with (folder / "onnx" / "model.onnx_data").open("wb") as data:
        model = _Writer(shape, data, np.random.default_rng(seed)).model()
    (folder / "onnx" / "model.onnx").write_bytes(model.SerializeToString())
    return folder


def _config(shape: Shape) -> dict[str, object]:
    return {
        "model_type": "xlm-roberta",
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.wide,
        "vocab_size": shape.words,
        "max_position_embeddings": shape.positions,
        "position_embedding_type": "rotary",
        "rotary_emb_base": 20000.0,
        "layer_norm_eps": 1e-5,
        "lora_adaptations": list(TASKS),
        "lora_rank": RANK,
        "lora_alpha": 1,
        "matryoshka_dimensions": [size for size in (32, 64, 128, 256, 512, 768, 1024) if size <= shape.hidden],
        "task_instructions": dict.fromkeys(TASKS, "")
        | {
            "retrieval.query": "Represent the query for retrieving evidence documents: ",
            "retrieval.passage": "Represent the document for retrieval: ",
        },
    }


def _tokenizer(shape: Shape) -> Tokenizer:
    words = [*SPECIALS, *(f"w{number}" for number in range(shape.words - len(SPECIALS)))]
    letters = {chr(97 + number): len(SPECIALS) + number for number in range(26)}
    made = Tokenizer(models.WordLevel(dict(zip(words, range(shape.words), strict=True)) | letters, unk_token="<unk>"))  # noqa: S106
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated") if shape.words < 1000 else pre_tokenizers.Whitespace()
    made.add_special_tokens(SPECIALS)
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return made


@dataclass(slots=True)
class _Writer:
    """Collects nodes; weights go straight to the file. Every method returns the name of its result."""

    shape: Shape
    data: BinaryIO
    random: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    stored: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def model(self) -> onnx.ModelProto:
        hidden = self._norm("emb_ln", self._embeddings())
        for index in range(self.shape.layers):
            hidden = self._layer(f"encoder.layers.{index}", hidden)
        self._node("Identity", hidden, name="text_embeds")
        graph = helper.make_graph(
            self.nodes,
            "main_graph",
            [
                *(helper.make_tensor_value_info(name, TensorProto.INT64, ("batch", "length")) for name in _TEXT),
                helper.make_tensor_value_info("task_id", TensorProto.INT64, ()),
            ],
            [helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ("batch", "length", self.shape.hidden))],
            list(self.stored.values()),
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def _embeddings(self) -> str:
        words = self._node("Gather", self._table("word_embeddings", self.shape.words), "input_ids", name="words")
        zeros = self._node("Sub", "input_ids", "input_ids", name="types")
        types = self._node("Gather", self._table("token_type_embeddings", 1), zeros, name="type_rows")
        mask = self._node("Cast", "attention_mask", name="mask", to=TensorProto.FLOAT)
        wide = self._node("Unsqueeze", mask, self._whole("axes", [1, 2]), name="mask_wide")
        away = self._node("Sub", self._number("one", 1.0), wide, name="padding")
        self._node("Mul", away, self._number("lowest", -1e30), name="bias")
        self._rotary()
        return self._node("Add", words, types, name="embeddings")

    def _rotary(self) -> None:
        """Return the cosines and sines of every position of the text and pair of dimensions."""
        half = self.shape.head // 2
        angles = np.outer(np.arange(self.shape.positions), 20000.0 ** (-np.arange(half) / half))
        length = self._node("Shape", "input_ids", name="length", start=1, end=2)
        for name, table in (("cos", np.cos(angles)), ("sin", np.sin(angles))):
            whole = self._store(f"{name}_table", np.concatenate([table, table], axis=1).astype(np.float32))
            self._node("Slice", whole, self._whole("from", [0]), length, self._whole("from", [0]), name=name)

    def _layer(self, at: str, hidden: str) -> str:
        shape = self.shape
        flat = self._linear(f"{at}.mixer.Wqkv", hidden, shape.hidden, 3 * shape.hidden)
        split = self._node("Reshape", flat, self._whole("qkv", [0, 0, 3, shape.heads, shape.head]), name=f"{at}.qkv")
        turned = self._node("Transpose", split, name=f"{at}.turned", perm=(2, 0, 3, 1, 4))
        query, key, value = (
            self._node("Gather", turned, self._whole(f"part{part}", part), name=f"{at}.part{part}") for part in range(3)
        )
        query, key = self._turn(f"{at}.query", query), self._turn(f"{at}.key", key)
        across = self._node("Transpose", key, name=f"{at}.across", perm=(0, 1, 3, 2))
        scores = self._node("MatMul", query, across, name=f"{at}.scores")
        scaled = self._node("Mul", scores, self._number("scale", shape.head**-0.5), name=f"{at}.scaled")
        masked = self._node("Add", scaled, "bias", name=f"{at}.masked")
        shares = self._node("Softmax", masked, name=f"{at}.shares", axis=-1)
        mixed = self._node("MatMul", shares, value, name=f"{at}.mixed")
        back = self._node("Transpose", mixed, name=f"{at}.back", perm=(0, 2, 1, 3))
        merged = self._node("Reshape", back, self._whole("merge", [0, 0, shape.hidden]), name=f"{at}.merged")
        out = self._linear(f"{at}.mixer.out_proj", merged, shape.hidden, shape.hidden)
        hidden = self._norm(f"{at}.norm1", self._node("Add", out, hidden, name=f"{at}.sum1"))
        wide = self._gelu(f"{at}.mlp", self._linear(f"{at}.mlp.fc1", hidden, shape.hidden, shape.wide))
        out = self._linear(f"{at}.mlp.fc2", wide, shape.wide, shape.hidden)
        return self._norm(f"{at}.norm2", self._node("Add", out, hidden, name=f"{at}.sum2"))

    def _turn(self, at: str, source: str) -> str:
        """Rotate the two halves of each head by its position."""
        half = self.shape.head // 2
        first = self._node("Slice", source, *self._span("low", 0, half), name=f"{at}.first")
        second = self._node("Slice", source, *self._span("high", half, 2 * half), name=f"{at}.second")
        turned = self._node("Neg", second, name=f"{at}.minus")
        swapped = self._node("Concat", turned, first, name=f"{at}.swapped", axis=-1)
        along = self._node("Mul", source, "cos", name=f"{at}.along")
        aside = self._node("Mul", swapped, "sin", name=f"{at}.aside")
        return self._node("Add", along, aside, name=f"{at}.turned")

    def _linear(self, at: str, source: str, width: int, height: int) -> str:
        """x·(W + B[task]·A[task]/4)ᵀ + b, as an exporter writes it."""
        whole = self._adapted(at, (height, width), left=(height, RANK), right=(RANK, width))
        turned = self._node("Transpose", whole, name=f"{at}.transposed", perm=(1, 0))
        product = self._node("MatMul", source, turned, name=f"{at}.product")
        return self._node("Add", product, self._random(f"{at}.bias", height, spread=0.1), name=f"{at}.out")

    def _table(self, at: str, rows: int) -> str:
        return self._adapted(at, (rows, self.shape.hidden), left=(rows, RANK), right=(RANK, self.shape.hidden))

    def _adapted(self, at: str, size: tuple[int, int], *, left: tuple[int, int], right: tuple[int, int]) -> str:
        weight = self._random(f"{at}.weight", *size, spread=size[1] ** -0.5)
        # Adapters are large enough to be measurable: a tenth of the weight.
        spread = (0.4 * size[1] ** -0.5 / RANK**0.5) ** 0.5
        parts = [
            self._node(
                "Gather",
                self._random(f"{at}.{name}", len(TASKS), *of, spread=spread),
                "task_id",
                name=f"{at}.{name}_task",
            )
            for name, of in (("left", left), ("right", right))
        ]
        product = self._node("MatMul", *parts, name=f"{at}.adapter")
        scaled = self._node("Mul", product, self._number("quarter", 1 / RANK), name=f"{at}.scaled_adapter")
        return self._node("Add", weight, scaled, name=f"{at}.adapted")

    def _gelu(self, at: str, source: str) -> str:
        scaled = self._node("Div", source, self._number("root2", 2**0.5), name=f"{at}.scaled")
        error = self._node(
            "Add", self._node("Erf", scaled, name=f"{at}.erf"), self._number("one", 1.0), name=f"{at}.cdf"
        )
        return self._node(
            "Mul", self._node("Mul", source, error, name=f"{at}.whole"), self._number("half", 0.5), name=f"{at}.gelu"
        )

    def _norm(self, at: str, source: str) -> str:
        scale = self._store(f"{at}.weight", 1 + 0.1 * self._draw(self.shape.hidden))
        bias = self._store(f"{at}.bias", 0.1 * self._draw(self.shape.hidden))
        return self._node("LayerNormalization", source, scale, bias, name=f"{at}.out", axis=-1, epsilon=1e-5)

    def _span(self, name: str, start: int, stop: int) -> tuple[str, str, str]:
        return (
            self._whole(f"{name}_from", [start]),
            self._whole(f"{name}_to", [stop]),
            self._whole("last_axis", [-1]),
        )

    def _draw(self, *size: int) -> NDArray[np.float32]:
        return self.random.standard_normal(size, np.float32)

    def _random(self, name: str, *size: int, spread: float) -> str:
        return self._store(name, self._draw(*size) * np.float32(spread))

    def _number(self, name: str, value: float) -> str:
        return self._inline(name, np.array(value, np.float32))

    def _whole(self, name: str, value: list[int] | int) -> str:
        return self._inline(name, np.array(value, np.int64))

    def _inline(self, name: str, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
        self.stored.setdefault(name, onnx.numpy_helper.from_array(value, name))
        return name

    def _store(self, name: str, value: NDArray[np.float32]) -> str:
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=value.shape)
        tensor.data_location = TensorProto.EXTERNAL
        entries = {"location": "model.onnx_data", "offset": self.data.tell(), "length": value.nbytes}
        for key, entry in entries.items():
            tensor.external_data.add(key=key, value=str(entry))
        self.data.write(np.ascontiguousarray(value, "<f4").data)
        self.stored[name] = tensor
        return name

    def _node(self, kind: str, *inputs: str, name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


_TEXT = ("input_ids", "attention_mask")
