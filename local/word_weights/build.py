"""Builds the text of the table of word weights: from lists of our own, and from the order of a tokenizer's words.

How often a word is used is not counted but follows from its rank r in order of frequency (Zipf and Mandelbrot):
p = 1 / ((r + 2.7) · H), where H makes the shares of all words of the language sum to one.

A word of several languages has the largest of their shares, and so the lowest weight. Function words have no weight,
except those that mean something in another language.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path

from forgetless.domain.spelling import folded, stems
from forgetless.domain.word_weights import LANGUAGES, UNACCENTED, UNKNOWN_WEIGHT
from local.word_weights.lists import Lists, read_lists

__all__ = ["table_text"]

#: How many words a memory has on average.
_MEMORY_WORDS = 25
#: How many different words running text of a language has: syllables of Vietnamese, characters of Chinese, Japanese.
_VOCABULARY = {"vi": 7_000, "es": 30_000, "fr": 30_000, "de": 30_000, "zh": 4_000, "ja": 2_500}
#: The rank of the first word that serves no grammar. Those that do come first in every language.
_FIRST_RANK = {"vi": 60, "es": 60, "fr": 60, "de": 60, "zh": 40, "ja": 40}
#: The tokenizer's whole words stand in order of frequency from this id on (before it: characters and unused places).
_FIRST_WORD_ID = 1996

_Shares = dict[str, float]

_HEADER = """\
# Word weights: what each frequent word of seven languages adds to a score, and which words serve grammar only.
# Written by `python -m local.word_weights`; change the lists there, not this file. Forgetless's licence (Apache-2.0).
# The order of the English words is that of the vocabulary in tokenizer.json of sentence-transformers/all-MiniLM-L6-v2
# (Apache-2.0, from Google's bert-base-uncased, Apache-2.0). The other lists are of our own writing.
"""


def table_text(tokenizer: Path) -> str:
    """The whole file."""
    lists = read_lists()
    functions = _function_words(lists)
    elsewhere = _content_elsewhere(lists, functions)
    only_functions = {word for words in functions.values() for word in words} - elsewhere
    english = _english_shares(tokenizer, only_functions)
    shares = [english, *(_listed_shares(name, lists[name]) for name in _VOCABULARY)]
    weights = {word: _weight(max(of.get(word, 0.0) for of in shares)) for word in set().union(*shares)}
    lines = [_HEADER, f"median {_median_weight(english):.1f}\n"]
    lines += [_line(f"function {name}", words) for name, words in functions.items()]
    lines += [
        _line("elsewhere", elsewhere),
        _line("names", lists.all("name")),
        _line("characters", lists.all("function", "zh", "ja")),
        _line("cut", lists.all("words")),
        _line("particles", lists.all("particles")),
    ]
    return "".join([*lines, *_weight_lines(weights)])


def _line(kind: str, words: Iterable[str]) -> str:
    return f"{kind} {' '.join(sorted(set(words)))}\n"


def _function_words(lists: Lists) -> dict[str, set[str]]:
    """Of each language, with and without accents; Vietnamese without accents is a language of its own."""
    found = {name: set(lists[name]["function"]) for name in LANGUAGES if name != UNACCENTED}
    found[UNACCENTED] = {folded(word) for word in found["vi"]}
    for name in ("es", "fr", "de"):
        found[name] |= {folded(word) for word in found[name]}
    return {name: found[name] for name in LANGUAGES}


def _content_elsewhere(lists: Lists, functions: Mapping[str, set[str]]) -> set[str]:
    """Function words of one language that mean something in another, such as the French "car"."""
    content = set(lists["en"]["content"])
    for name in ("vi", "es", "fr", "de"):
        content |= set(lists[name]["frequent"]) - functions[name]
    return content & set().union(*functions.values())


def _english_shares(tokenizer: Path, without: set[str]) -> _Shares:
    ids: dict[str, int] = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    ordered = [word for word in sorted(ids, key=ids.__getitem__) if ids[word] >= _FIRST_WORD_ID and word.isalpha()]
    ranked = [(rank, word) for rank, word in enumerate(ordered, 1) if word not in without]
    return _summed(ranked, vocabulary=len(ordered))


def _listed_shares(name: str, sections: Mapping[str, list[str]]) -> _Shares:
    known = set(sections["function"])
    words = [word for word in dict.fromkeys(sections["frequent"]) if word not in known]
    return _summed(list(enumerate(words, _FIRST_RANK[name])), vocabulary=_VOCABULARY[name])


def _summed(ranked: list[tuple[int, str]], vocabulary: int) -> _Shares:
    """The share of each stem: that of its words together. A spelling without accents stands for all that have it."""
    found: _Shares = defaultdict(float)
    total = sum(1 / (rank + 2.7) for rank in range(1, vocabulary + 1))
    exact = stems([word for _, word in ranked])
    plain = stems([folded(word) for _, word in ranked])
    for (rank, _), stem, unaccented in zip(ranked, exact, plain, strict=True):
        for spelling in {stem, unaccented}:
            found[spelling] += 1 / ((rank + 2.7) * total)
    return dict(found)


def _weight(share: float) -> float:
    return min(UNKNOWN_WEIGHT, math.log(1 + 1 / (_MEMORY_WORDS * share)))


def _median_weight(shares: _Shares) -> float:
    """Half of the words of running text that are not function words weigh less than this."""
    ordered = sorted(shares.values(), reverse=True)
    half = sum(ordered) / 2
    return _weight(next(share for share, total in zip(ordered, accumulate(ordered), strict=True) if total >= half))


def _weight_lines(weights: Mapping[str, float]) -> list[str]:
    """One line for each weight, to a tenth; those that weigh as much as unknown words are left out."""
    by_weight = defaultdict(set)
    for word, weight in weights.items():
        if round(weight, 1) < UNKNOWN_WEIGHT:
            by_weight[round(weight, 1)].add(word)
    return [_line(f"weight {weight}", words) for weight, words in sorted(by_weight.items())]
