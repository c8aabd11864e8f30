"""The graph builders against a plain numpy BERT, and what quantisation leaves of it."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from embedder.agreement import Agreement, require_agreement
from embedder.bert_encoder import BertEncoder
from embedder.bert_graph import BertConfig, build_graph
from embedder.encoder_files import FORMS
from embedder.encoder_graph import write_encoder
from embedder.errors import PrepareError
from embedder.graph_parts import Parts
from embedder.model import OnnxModel, open_session
from tests.embedder import tiny

Array = NDArray[np.float32]
CONFIG = BertConfig(layers=tiny.LAYERS, heads=tiny.HEADS, hidden=tiny.HIDDEN, epsilon=1e-6)
erf = np.vectorize(math.erf)


def reference(weights: dict[str, Array], ids: list[int], pooling: str) -> Array:
    """BERT as the paper has it, one sentence, no padding."""

    def linear(name: str, x: Array) -> Array:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + CONFIG.epsilon)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    tables = {name: weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")}
    x = tables["word"][ids] + tables["position"][: len(ids)] + tables["token_type"][0]
    x = norm("embeddings.LayerNorm", x)
    size = CONFIG.hidden // CONFIG.heads
    for layer in range(CONFIG.layers):
        at = f"encoder.layer.{layer}"
        q, k, v = (linear(f"{at}.attention.self.{part}", x) for part in ("query", "key", "value"))
        mixed = []
        for head in range(CONFIG.heads):
            part = slice(head * size, (head + 1) * size)
            scores = np.exp(q[:, part] @ k[:, part].T / math.sqrt(size))
            mixed.append(scores / scores.sum(-1, keepdims=True) @ v[:, part])
        out = linear(f"{at}.attention.output.dense", np.concatenate(mixed, axis=-1))
        x = norm(f"{at}.attention.output.LayerNorm", x + out)
        wide = linear(f"{at}.intermediate.dense", x)
        active = wide * 0.5 * (1 + erf(wide / math.sqrt(2)))
        x = norm(f"{at}.output.LayerNorm", x + linear(f"{at}.output.dense", active))
    pooled = x[0] if pooling == "cls" else x.mean(0)
    return pooled / np.linalg.norm(pooled)


def model(form: str, pooling: str = "mean") -> OnnxModel:
    """The graph in plain operators, or in fused ones with products of this form."""
    config = BertConfig(CONFIG.layers, CONFIG.heads, CONFIG.hidden, CONFIG.epsilon, pooling)
    encoder = BertEncoder(tiny.weights(), config)
    graph = (
        build_graph(tiny.weights(), config)
        if form == "plain"
        else write_encoder(Parts(), encoder, encoder.shape, FORMS[form])
    )
    return OnnxModel(open_session(graph.SerializeToString()), tiny.tokenizer(), max_length=tiny.MAX_LENGTH)


ROWS = [[2, 5, 6, 8, 3], [2, 3], [2, *range(4, 20), 3]]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("form", ["plain", "none"])
def test_the_graph_computes_bert(form: str, pooling: str) -> None:
    expected = np.stack([reference(tiny.weights(), row, pooling) for row in ROWS])
    assert np.allclose(model(form, pooling).run(ROWS), expected, atol=1e-5)


@pytest.mark.parametrize("form", ["plain", "none", "int8-rows"])
def test_a_vector_does_not_depend_on_the_batch(form: str) -> None:
    alone = np.concatenate([model(form).run([row]) for row in ROWS])
    assert np.allclose(model(form).run(ROWS), alone, atol=1e-5)


def test_with_one_scale_for_a_batch_it_does() -> None:
    alone = np.concatenate([model("int8").run([row]) for row in ROWS])
    assert not np.allclose(model("int8").run(ROWS), alone, atol=1e-4)


@pytest.mark.parametrize("form", ["int8", "int8-rows"])
def test_quantised_products_stay_near(form: str) -> None:
    expected = np.stack([reference(tiny.weights(), row, "mean") for row in ROWS])
    assert np.sum(model(form).run(ROWS) * expected, axis=1).min() > 0.999


def test_the_runtime_fuses_nothing_that_is_slow_and_every_product_is_int8(tmp_path: Path) -> None:
    encoder = BertEncoder(tiny.weights(), CONFIG)
    graph = write_encoder(Parts(), encoder, encoder.shape, FORMS["int8"]).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert kinds["SkipLayerNormalization"] == 0
    assert kinds["LayerNormalization"] == 2 * tiny.LAYERS + 1
    # Values are quantised within the product; the only other product sums the tokens.
    assert (kinds["DynamicQuantizeMatMul"], kinds["MatMul"]) == (4 * tiny.LAYERS, 1)


def test_a_missing_weight_is_named() -> None:
    weights = tiny.weights()
    del weights["encoder.layer.1.output.dense.bias"]
    with pytest.raises(KeyError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        build_graph(weights, CONFIG)


def test_another_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden_act 'relu'"):
        BertConfig.from_json({"hidden_act": "relu"})


@pytest.mark.parametrize(("lowest", "mean"), [(0.89, 0.99), (0.95, 0.97)])
def test_a_quantised_model_that_strays_is_refused(lowest: float, mean: float) -> None:
    with pytest.raises(PrepareError, match="disagrees"):
        require_agreement(Agreement(lowest, mean), lowest=0.9, mean=0.98)
