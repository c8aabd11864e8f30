"""The graph builder against a plain numpy BERT, and what quantisation leaves of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from embedder.agreement import Agreement, require_agreement
from embedder.bert_graph import BertConfig, build_graph
from embedder.errors import PrepareError
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


def model(pooling: str = "mean") -> OnnxModel:
    config = BertConfig(CONFIG.layers, CONFIG.heads, CONFIG.hidden, CONFIG.epsilon, pooling)
    graph = build_graph(tiny.weights(), config).SerializeToString()
    return OnnxModel(open_session(graph), tiny.tokenizer(), max_length=tiny.MAX_LENGTH)


ROWS = [[2, 5, 6, 8, 3], [2, 3], [2, *range(4, 20), 3]]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_graph_computes_bert(pooling: str) -> None:
    expected = np.stack([reference(tiny.weights(), row, pooling) for row in ROWS])
    assert np.allclose(model(pooling).run(ROWS), expected, atol=1e-5)


def test_padding_changes_nothing() -> None:
    alone = np.concatenate([model().run([row]) for row in ROWS])
    assert np.allclose(model().run(ROWS), alone, atol=1e-5)


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
