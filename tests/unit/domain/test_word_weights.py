"""The table of word weights: what it says, its size, and that it is what its tool builds."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from forgetless.domain.spelling import stems
from forgetless.domain.word_weights import TABLE_FILE, UNKNOWN_WEIGHT, weight, word_table
from local.word_weights.build import table_text


@pytest.mark.parametrize(
    ("common", "rare"),
    [
        ("year", "parliament"),
        ("năm", "bệnh"),
        ("casa", "lluvia"),
        ("temps", "fromage"),
        ("haus", "geschenk"),
        ("大", "猫"),
        ("日", "鳥"),
    ],
)
def test_frequent_words_weigh_less(common: str, rare: str) -> None:
    one, other = (weight(stem) for stem in stems([common, rare]))
    assert one < other < UNKNOWN_WEIGHT


@pytest.mark.parametrize("word", ["zebra", "xyzzy", "ab1234", "2026", "Ørsted", "phởng", "ヌ"])
def test_unknown_words_weigh_most(word: str) -> None:
    assert weight(word) == UNKNOWN_WEIGHT


@pytest.mark.parametrize("word", ["чай", "شاي", "ชา", "चाय", "τσάι", "차"])
def test_words_of_other_scripts_have_the_median_weight(word: str) -> None:
    assert weight(word) == word_table().median
    weights = word_table().weights.values()
    assert min(weights) < word_table().median < max(weights)


def test_every_weight_is_positive_and_below_that_of_an_unknown_word() -> None:
    assert all(0 < one < UNKNOWN_WEIGHT for one in word_table().weights.values())


def test_a_changed_table_is_a_new_recipe() -> None:
    # Rows that are stored lack the function words of this table. Whoever changes it needs a new version of the recipe.
    found = hashlib.sha256(TABLE_FILE.read_bytes()).hexdigest()
    assert found == "1ebf7d60ca8a9ee662f8a73153bcc8babf3c92e09d1ccfa88cfc6d1d78dde629"


def test_the_table_is_small() -> None:
    assert TABLE_FILE.stat().st_size <= 300_000


@pytest.mark.skipif(not os.environ.get("FORGETLESS_MODEL_DIR"), reason="needs the model: make unit prepares it")
def test_the_table_is_what_its_tool_builds() -> None:
    built = table_text(Path(os.environ["FORGETLESS_MODEL_DIR"]) / "tokenizer.json")
    assert built == TABLE_FILE.read_text(encoding="utf-8")
