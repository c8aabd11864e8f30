"""Sparse vectors of words: what a memory's row and a question have in common is their inner product.

A row holds how often a word occurs, a question how much the word says (`word_weights`), so that no score depends on
other rows. A row's value for a word is the largest, not the sum, of what its own text and its neighbours give:

    t = n · 1.5 / (n + 0.5 · (0.7 + 0.3 · l / 15))    n times the word, in a text of l words

Formulas and constants: tried out on LoCoMo and BEAM, `docs/architecture.md`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from zlib import crc32

from forgetless.domain.said import SHORT_TEXT_CHARS, Said
from forgetless.domain.terms import Term, name_terms, spelled_terms, terms
from forgetless.domain.word_weights import UNKNOWN_WEIGHT, weight

__all__ = [
    "ONLY_WORD_WEIGHT",
    "RESERVED_ID",
    "SparseVector",
    "content_words",
    "inner_product",
    "query_vector",
    "row_vector_and_mass",
    "term_id",
]

#: The values by term id. All are positive.
SparseVector = dict[int, float]

#: No term has this id. Each row holds it with value 1, because newer versions of Milvus refuse empty rows.
RESERVED_ID = 0
#: Milvus takes ids below 2**32 - 1.
_IDS = 2**32 - 2

_K1 = 0.5
_B = 0.3
_LENGTH = 15
#: What the messages before count for, the nearest first, and the one that follows in the same add.
_PREVIOUS = (0.8, 0.6, 0.4)
_FOLLOWING = 0.6
#: What the only word of a question weighs.
ONLY_WORD_WEIGHT = 2 * UNKNOWN_WEIGHT
#: What a word of the speaker's name counts for.
_SPEAKER = 0.3
#: A text of this mass is half as full as a text can be.
_MASS_MIDPOINT = 40.0


def term_id(term: str) -> int:
    """An id from 1 to 2**32 - 2 that never changes: CRC-32 of the UTF-8 text, the two highest values moved down.

    CRC-32 takes a fifth of a cryptographic hash's time, and nobody gains by making two words collide: they meet only in
    rows of one's own.
    """
    return 1 + crc32(term.encode()) % _IDS


def row_vector_and_mass(
    own: Said, previous: Sequence[Said], following: Said | None, *, names: Collection[str]
) -> tuple[SparseVector, float]:
    """The words of a memory's row, and its mass.

    The words are its own, its neighbours' and its speaker's; those of `names` stand for nobody. `previous` are the
    messages before, the oldest first; three of them count, and only for a short text. The mass says how much the
    memory's own text says, from 0 to 1: m / (m + 40), where m sums up the weights of its words without `names`.
    """
    without = _words_of(names)
    said_words = _without(terms(own.text), without)
    values = _saturated(said_words)
    neighbours = [(_FOLLOWING, following)] if following else []
    if len(own.text) < SHORT_TEXT_CHARS:
        neighbours += zip(_PREVIOUS, reversed(previous), strict=False)
    for part, said in neighbours:
        for word, value in _saturated(_without(terms(said.text), without)).items():
            if part * value > values.get(word, 0.0):
                values[word] = part * value
    for word in _words_of([own.speaker or ""]):
        values[word] = values.get(word, 0.0) + _SPEAKER
    return {RESERVED_ID: 1.0} | {term_id(word): value for word, value in values.items()}, _mass(said_words)


def query_vector(question: str) -> SparseVector:
    """The weights of a question's words, each once; empty when it has only function words.

    A word with accents gives half of its weight to the spelling without them. A row has both, so that it counts once
    for a row with the same accents and half for one without. A question of a single word asks for nothing else, so
    that word weighs as much as two rare ones: "Mai" and "Who is Mai?" find who is called so, though it is no rare word.
    """
    values: SparseVector = defaultdict(float)
    found = list(dict.fromkeys(terms(question) or name_terms(question)))
    for word, plain, share in found:
        value = (ONLY_WORD_WEIGHT if len(found) == 1 else weight(word)) * share
        if plain:
            value /= 2
            values[term_id(plain)] += value
        values[term_id(word)] += value
    return dict(values)


def inner_product(query: Mapping[int, float], row: Mapping[int, float]) -> float:
    """How much of the question's words the row has."""
    return sum(value * row[word] for word, value in query.items() if word in row)


def content_words(text: str) -> list[str]:
    """The words of a text that are not function words, as stems."""
    return [word for word, _, _ in terms(text)]


def _words_of(names: Collection[str]) -> frozenset[str]:
    found = [spelled_terms(name) for name in names]
    return frozenset(word for term in chain.from_iterable(found) for word in term[:2] if word)


def _mass(words: Iterable[Term]) -> float:
    total = sum([weight(word) * share for word, _, share in words])
    return total / (total + _MASS_MIDPOINT)


def _saturated(words: Iterable[Term]) -> dict[str, float]:
    """The value t of each word of a text, and of each spelling without accents, which does not count in the length."""
    counts: dict[str, int] = defaultdict(int)
    length = 0.0
    for word, plain, share in words:
        counts[word] += 1
        length += share
        if plain:
            counts[plain] += 1
    damping = _K1 * (1 - _B + _B * length / _LENGTH)
    return {word: n * (_K1 + 1) / (n + damping) for word, n in counts.items()}


def _without(found: list[Term], words: frozenset[str]) -> list[Term]:
    return [term for term in found if term[0] not in words] if words else found
