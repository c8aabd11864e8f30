"""Recipe 2, for collections that were filled by it: BM25 by Milvus. To be deleted with the last of its generations.

Its word scores move with what others store, because BM25's statistics are those of the whole collection.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from forgetless.domain.names import NameSet
from forgetless.domain.recipe import Told, Words, embedding_texts, is_short
from forgetless.domain.said import LONG_TEXT_CHARS
from forgetless.domain.scoring import ScoreParts
from forgetless.domain.words import index_words, query_words

__all__ = ["Recipe2"]

#: The parameters of BM25 in Milvus' schema of this recipe.
BM25_K1, BM25_B = 1.2, 0.75
#: How many of the messages before a short text count for its words, how much of each of them, and how often the text
#: is repeated, so that they do not outweigh it.
_CONTEXT_MESSAGES, _CONTEXT_CHARS, _TEXT_WEIGHT = 2, 200, 3
_PROBE_WORDS = 20
#: The weight of the words in the score, and the BM25 score that counts one half.
_WORD_WEIGHT, _MIDPOINT = 0.5, 10.0


class Recipe2:
    """See `Recipe`. Words are stems joined by spaces."""

    version = 2
    knows_speakers = False

    def texts(self, told: Told) -> list[str]:
        return embedding_texts(told.own.text, [said.text for said in told.previous])

    def row(self, told: Told) -> tuple[str, int]:
        return " ".join(index_words(_word_text(told.own.text, [said.text for said in told.previous]))), 0

    def query_words(self, question: str) -> str:
        return " ".join(query_words(question))

    def probe(self, text: str) -> str:
        return " ".join(index_words(text[:LONG_TEXT_CHARS])[:_PROBE_WORDS])

    def query_text(self, question: str, names: NameSet) -> str:
        return question

    def scorer(self, question: str, *, reference: date, agent_alone: bool) -> Bm25Scorer:
        return Bm25Scorer()

    def matches(self, asked: Words, rows: Sequence[Words]) -> list[float]:
        wanted, documents = Counter(str(asked).split()), [Counter(str(row).split()) for row in rows]
        bm25 = _Bm25(documents)
        return [bm25.score(wanted, document) for document in documents]


class Bm25Scorer:
    """0.5 · max(0, cosine) + 0.5 · b / (b + 10), where b is the BM25 score. Rows have no signals."""

    most_added = 0.0

    def added(self, signals: Sequence[int]) -> list[float]:
        return [0.0] * len(signals)

    def scores(self, rows: Iterable[tuple[float, float, float]]) -> list[float]:
        return [
            min(
                1.0,
                ((1 - _WORD_WEIGHT) * cosine if cosine > 0.0 else 0.0)
                + (_WORD_WEIGHT * words / (words + _MIDPOINT) if words > 0.0 else 0.0),
            )
            for cosine, words, _ in rows
        ]

    def parts(self, cosine: float, words: float, signals: int) -> ScoreParts:
        matched = words / (words + _MIDPOINT) if words > 0 else 0.0
        return ScoreParts(meaning=(1 - _WORD_WEIGHT) * max(0.0, cosine), words=_WORD_WEIGHT * matched)

    def time(self, signals: int) -> int:
        return 0

    def probability(self, score: float) -> None:
        return None


class _Bm25:
    """BM25 with the statistics of some documents, each a count of its words."""

    def __init__(self, documents: Sequence[Counter[str]]) -> None:
        self._documents = len(documents)
        self._mean_length = sum(one.total() for one in documents) / len(documents) if documents else 0.0
        self._holding = Counter(word for one in documents for word in one)

    def score(self, words: Mapping[str, int], document: Counter[str]) -> float:
        """How well a document matches the words, each with its number; 0 when they have no word in common."""
        length = BM25_K1
        if self._mean_length:
            length *= 1 - BM25_B + BM25_B * document.total() / self._mean_length
        return sum(
            wanted * self._idf(word) * document[word] * (BM25_K1 + 1) / (document[word] + length)
            for word, wanted in words.items()
            if document[word]
        )

    def _idf(self, word: str) -> float:
        holding = self._holding[word]
        return math.log(1 + (self._documents - holding + 0.5) / (holding + 0.5))


def _word_text(text: str, previous: Sequence[str]) -> str:
    """The text whose words BM25 indexes."""
    if not is_short(text):
        return text[:LONG_TEXT_CHARS]
    recent = [message[:_CONTEXT_CHARS] for message in previous[-_CONTEXT_MESSAGES:]]
    return "\n".join([*[text] * _TEXT_WEIGHT, *recent])
