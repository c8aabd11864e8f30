"""The weights of BERT and XLM-RoBERTa encoders, as the writer of encoder graphs asks for them."""

from __future__ import annotations

import numpy as np

from .bert_graph import BertConfig, Weights
from .encoder_graph import EncoderShape, Norm
from .graph_parts import Array
from .products import Adapter, Linear

__all__ = ["BertEncoder"]

LINEARS = {"mixed": "attention.output.dense", "wide": "intermediate.dense", "narrow": "output.dense"}


class BertEncoder:
    """Reads weights by the names that Hugging Face gives them."""

    def __init__(self, weights: Weights, config: BertConfig) -> None:
        self._weights, self._config = weights, config

    @property
    def shape(self) -> EncoderShape:
        config = self._config
        return EncoderShape(config.layers, config.heads, config.hidden, config.epsilon, config.pooling)

    def words(self) -> tuple[Array, Adapter | None]:
        return self._weights["embeddings.word_embeddings.weight"], None

    def positions(self) -> Array | None:
        # A single text has token type 0 everywhere.
        table = self._weights["embeddings.position_embeddings.weight"][self._config.first_position :]
        return np.asarray(table + self._weights["embeddings.token_type_embeddings.weight"][0])

    def linear(self, layer: int, part: str) -> Linear:
        at = f"encoder.layer.{layer}"
        names = [f"attention.self.{one}" for one in ("query", "key", "value")] if part == "qkv" else [LINEARS[part]]
        weights = [self._weights[f"{at}.{name}.weight"] for name in names]
        biases = [self._weights[f"{at}.{name}.bias"] for name in names]
        return Linear(np.ascontiguousarray(np.concatenate(weights).T), np.concatenate(biases))

    def norm(self, layer: int, part: str) -> Norm:
        whole = {"words": "embeddings", "mixed": f"encoder.layer.{layer}.attention.output"}
        at = whole.get(part, f"encoder.layer.{layer}.output")
        return Norm(self._weights[f"{at}.LayerNorm.weight"], self._weights[f"{at}.LayerNorm.bias"])
