"""Words and phrases of the tables, each as it is written and without its accents, as it is often typed."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

__all__ = ["phrase_set", "spellings", "word_set"]

_UNDECOMPOSED = str.maketrans({"đ": "d", "ß": "ss", "œ": "oe"})


def spellings(names: Iterable[str]) -> Iterator[str]:
    """Each name as it is written, and without accents."""
    for name in names:
        yield name
        if not name.isascii():
            letters = unicodedata.normalize("NFD", name.translate(_UNDECOMPOSED))
            yield "".join(letter for letter in letters if not unicodedata.combining(letter))


def word_set(words: str) -> frozenset[str]:
    """The words of a text that separates them by blanks."""
    return frozenset(spellings(words.split()))


def phrase_set(phrases: str) -> frozenset[tuple[str, ...]]:
    """The phrases of a text that separates them by "|", each as its words."""
    return frozenset(tuple(phrase.split()) for phrase in spellings(phrases.split("|")))
