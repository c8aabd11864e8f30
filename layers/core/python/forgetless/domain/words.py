"""Words: splits a text into the words that BM25 counts. Ours, so that every Milvus version ranks equally."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from forgetless.domain.spelling import MAX_WORD_CHARS, TOKEN, UNSPACED, folded, joined, stems

__all__ = ["STOP_WORDS", "index_words", "query_words"]

#: Stop words. They are dropped before accents are, so that the Vietnamese "thế" is not dropped as "the".
STOP_WORDS = frozenset(
    TOKEN.findall(
        "a an and are as at be but by for if in into is it no not of on or such that the their then there these they "
        "this to was will with i you he she we my your his her what when where who how did do does has have had which "
        "why"
    )
)

_CONTRACTION = re.compile(r"(?<=\w)['’](?:s|t|m|d|ll|re|ve)\b")
_Split = Callable[[str], Iterable[str]]


def index_words(text: str) -> list[str]:
    """The words of a text to be indexed, with repeats."""
    return _words(text, unspaced=_letters_and_pairs)


def query_words(text: str) -> list[str]:
    """The words of a query, each once; empty when it has only stop words."""
    return list(dict.fromkeys(_words(text, unspaced=_pairs)))


def _words(text: str, *, unspaced: _Split) -> list[str]:
    text = _CONTRACTION.sub("", unicodedata.normalize("NFKC", text).lower())
    tokens: list[str] = []
    for token in TOKEN.findall(text):
        if token not in STOP_WORDS:
            tokens.extend(_forms(token[:MAX_WORD_CHARS], unspaced))
    tokens.extend(joined(text))
    return stems(tokens)


def _forms(token: str, unspaced: _Split) -> Iterator[str]:
    """The token, and the other forms by which it can be found."""
    if token.isascii():
        yield token
        return
    place = 0
    for run in UNSPACED.finditer(token):
        yield from _spelled(token[place : run.start()])
        yield from unspaced(run.group())
        place = run.end()
    yield from _spelled(token[place:])


def _spelled(token: str) -> Iterator[str]:
    if token:
        yield token
        plain = folded(token)
        if plain != token:
            yield plain


def _pairs(run: str) -> Iterable[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def _letters_and_pairs(run: str) -> Iterable[str]:
    return [*run, *_pairs(run)] if len(run) > 1 else [run]
