"""How near facts are to the memories that they supersede, and to others: `python -m local.evaluate.supersessions`.

It embeds the pairs in supersessions.jsonl with the embedding service that the settings name (FORGETLESS_EMBEDDER_URL,
FORGETLESS_EMBEDDING_MODEL …). An unrelated pair is a fact and the memory of another pair in the same language.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetless.domain.recipe import cosine
from forgetless.ports.embedder import Embedder, EmbeddingTask
from forgetless.runtime.composition import build_embedder
from forgetless.runtime.settings import load_settings
from forgetless.service.writing.supersession import REFERENCE_TEXTS
from local.client import run

__all__ = ["KEPT", "Figures", "Pair", "largest_nearness", "main", "measure", "read_pairs"]

PAIRS = Path(__file__).with_name("supersessions.jsonl")
#: The share of the expected supersessions that must stay.
KEPT = 0.95
#: The values of FORGETLESS_SUPERSEDE_NEARNESS that are tried.
STEPS = tuple(step / 100 for step in range(0, 100, 5))


@dataclass(frozen=True, slots=True)
class Pair:
    """A memory and a fact. `nearness` is their cosine, `unrelated` the fact's greatest with the reference texts."""

    language: str
    nearness: float
    unrelated: float

    def passes(self, least: float) -> bool:
        """Whether the fact may supersede the memory."""
        return self.nearness >= least and self.nearness > self.unrelated


@dataclass(frozen=True, slots=True)
class Figures:
    """The pairs in which the fact makes the memory untrue, and those in which it has nothing to do with it."""

    expected: Sequence[Pair]
    others: Sequence[Pair]


def read_pairs(path: Path = PAIRS) -> list[dict[str, str]]:
    """The pairs: language, old memory and new fact."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def measure(embedder: Embedder, pairs: Sequence[Mapping[str, str]]) -> Figures:
    """The figures of all pairs, and of all facts with the other memories in their language."""
    texts = list(dict.fromkeys([*REFERENCE_TEXTS, *(pair[side] for pair in pairs for side in ("old", "new"))]))
    vectors = dict(zip(texts, embedder.embed(texts, EmbeddingTask.PASSAGE), strict=True))
    expected: list[Pair] = []
    others: list[Pair] = []
    for pair in pairs:
        fact = vectors[pair["new"]]
        unrelated = max(cosine(fact, vectors[text]) for text in REFERENCE_TEXTS)
        for other in pairs:
            if other["language"] == pair["language"]:
                found = Pair(pair["language"], cosine(fact, vectors[other["old"]]), unrelated)
                (expected if other is pair else others).append(found)
    return Figures(expected, others)


def share(pairs: Sequence[Pair], least: float) -> float:
    """The share of pairs that pass."""
    return sum(pair.passes(least) for pair in pairs) / len(pairs)


def largest_nearness(figures: Figures) -> float | None:
    """The largest value tried that keeps KEPT of the expected supersessions; None if none does."""
    return max((least for least in STEPS if share(figures.expected, least) >= KEPT), default=None)


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m local.evaluate.supersessions", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    settings = load_settings(environment)
    with closing(build_embedder(settings)) as embedder:
        figures = measure(embedder, read_pairs())
    if options.json:
        json.dump(_object(settings.embedding_model, figures), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        print("\n".join(_lines(settings.embedding_model, figures)))
    return 0


def _lines(model: str, figures: Figures) -> list[str]:
    lines = [f"{model}: {len(figures.expected)} expected supersessions, {len(figures.others)} unrelated pairs"]
    lines.append("cosine             5 %    50 %    95 %")
    for name, pairs in (("expected", figures.expected), ("unrelated", figures.others)):
        at = [_quantile([pair.nearness for pair in pairs], share) for share in (0.05, 0.5, 0.95)]
        lines.append(f"{name:12}" + "".join(f"{value:8.2f}" for value in at))
    lines.append("FORGETLESS_SUPERSEDE_NEARNESS   expected that stay   unrelated that pass")
    lines += [
        f"{least:29.2f}{share(figures.expected, least):20.1%}{share(figures.others, least):22.1%}" for least in STEPS
    ]
    found = largest_nearness(figures)
    lines.append(f"the largest value that keeps {KEPT:.0%}: {'none' if found is None else f'{found:.2f}'}")
    return lines


def _object(model: str, figures: Figures) -> dict[str, Any]:
    steps = {f"{least:.2f}": [share(figures.expected, least), share(figures.others, least)] for least in STEPS}
    return {"model": model, "largest": largest_nearness(figures), "expected_and_unrelated_that_pass": steps}


def _quantile(values: Sequence[float], place: float) -> float:
    return sorted(values)[min(len(values) - 1, int(place * len(values)))]


if __name__ == "__main__":
    run(main)
