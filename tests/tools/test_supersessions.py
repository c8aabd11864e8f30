"""The evaluation of supersessions: its pairs, its figures, and the value that was chosen from them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from embedder.model import OnnxModel, load_model
from forgetless.domain.supersession import least_nearness
from forgetless.ports.embedder import EmbeddingTask
from local.evaluate.supersessions import KEPT, Figures, Pair, largest_nearness, measure, read_pairs, share
from tests.fakes.embedder import FakeEmbedder

MODEL = "all-MiniLM-L6-v2"


class RealEmbedder(FakeEmbedder):
    """The prepared model in this process, one text at a time."""

    def __init__(self, model: OnnxModel) -> None:
        super().__init__()
        self._model = model

    def embed(self, texts: Sequence[str], task: EmbeddingTask, *, owner: str = "") -> list[list[float]]:
        del task, owner
        return [[float(number) for number in self._model.run(self._model.tokenize([text]))[0]] for text in texts]


def test_there_are_enough_pairs_in_each_language() -> None:
    pairs = read_pairs()
    languages = Counter(pair["language"] for pair in pairs)
    assert set(languages) == {"en", "vi", "de", "es", "fr", "zh"}
    assert min(languages.values()) >= 10
    assert len(pairs) >= 60
    assert len({pair[side] for pair in pairs for side in ("old", "new")}) == 2 * len(pairs)


def test_figures_are_those_of_the_pairs() -> None:
    pairs = [
        {"language": "en", "old": "Ann lives in Hue", "new": "Ann lives in Rome"},
        {"language": "en", "old": "tea is green", "new": "tea is black"},
        {"language": "vi", "old": "Lan yêu mèo", "new": "Lan ghét mèo"},
    ]
    figures = measure(FakeEmbedder(), pairs)
    assert (len(figures.expected), len(figures.others)) == (3, 2)
    assert min(pair.nearness for pair in figures.expected) > 0.5
    assert share(figures.expected, 0.0) == 1.0


def test_the_largest_value_keeps_enough() -> None:
    expected = [Pair("en", number / 100, 0.0) for number in range(1, 101)]
    assert largest_nearness(Figures(expected, [])) == 0.05
    assert largest_nearness(Figures([Pair("en", 0.5, 0.6)], [])) is None


@pytest.mark.skipif(not os.environ.get("FORGETLESS_MODEL_DIR"), reason="needs the model: make unit prepares it")
def test_the_value_for_the_default_model_keeps_the_expected_supersessions() -> None:
    folder = Path(os.environ["FORGETLESS_MODEL_DIR"])
    if folder.name != MODEL:
        pytest.skip(f"the prepared model is {folder.name}")
    model, _ = load_model(folder)
    figures = measure(RealEmbedder(model), read_pairs())
    assert share(figures.expected, least_nearness(MODEL)) >= KEPT
    assert largest_nearness(figures) == least_nearness(MODEL)
    assert share(figures.others, least_nearness(MODEL)) < 0.5
