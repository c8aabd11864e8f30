"""Word weights: how much a common word says, by how often its language uses it. No text that is stored moves them.

idf = log(1 + 1 / (25 · p)), at most 7, where p is the word's share of running text. `word_weights.txt` holds the
frequent words of English, Vietnamese, Spanish, French, German, Chinese and Japanese. `python -m local.word_weights`
writes it; it begins with its licence. Rows lack the function words of the table, so a changed table is a new recipe.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

__all__ = [
    "LANGUAGES",
    "NO_LANGUAGE",
    "SURE_VOTE",
    "TABLE_FILE",
    "UNACCENTED",
    "UNKNOWN_WEIGHT",
    "VOTE_BITS",
    "VOTE_MASK",
    "WordTable",
    "weight",
    "word_table",
]

TABLE_FILE = Path(__file__).with_name("word_weights.txt")
#: The highest weight: that of a word which is not among the frequent ones.
UNKNOWN_WEIGHT = 7.0
#: Vietnamese as it is often typed: without accents its function words are other words.
UNACCENTED = "unaccented"
#: The languages whose words are separated by spaces. Of two that are equally likely, the earlier is taken.
LANGUAGES = ("en", "vi", "es", "fr", "de", UNACCENTED)
#: The place behind them: a text whose language is not known.
NO_LANGUAGE = len(LANGUAGES)
#: The votes of a function word that means nothing in another language, and of one that does.
SURE_VOTE = 3
UNSURE_VOTE = 1
#: Votes for all languages are summed up as one number, which is quick. A text has too few words to fill its bits.
VOTE_BITS = 20
VOTE_MASK = (1 << VOTE_BITS) - 1


@dataclass(frozen=True, slots=True)
class WordTable:
    """The table as it is read."""

    #: The weights of stems.
    weights: dict[str, float]
    #: Of words in scripts that none of the languages uses: half of all running content words weigh less.
    median: float
    #: Words that only serve grammar ("function words"), each with its votes for all its languages: VOTE_BITS for each.
    votes: dict[str, int]
    #: The function words that are left out of a text, by the place of its language in LANGUAGES, then of NO_LANGUAGE.
    left_out: tuple[frozenset[str], ...]
    #: Function words that are given names, too.
    names: frozenset[str]
    #: Characters of Chinese and Japanese that serve grammar.
    characters: frozenset[str]
    #: Words of Chinese and Japanese that are cut out of a text before its characters are paired.
    cut: tuple[str, ...]
    #: Japanese words of one character that are cut out behind a character of another script.
    particles: tuple[str, ...]


def weight(term: str) -> float:
    """The weight of a stem, a character or a pair of characters: above 0, at most 7."""
    table = word_table()
    found = table.weights.get(term)
    if found is not None:
        return found
    return UNKNOWN_WEIGHT if term.isascii() or _is_known_script(term[0]) else table.median


def _is_known_script(letter: str) -> bool:
    """Whether the letter is a digit, Latin, kana or Han."""
    return (
        letter < "\u0250"
        or "\u1e00" <= letter < "\u1f00"
        or "\u3040" <= letter < "\u3100"
        or "\u3400" <= letter < "\ua000"
        or "\uf900" <= letter < "\ufb00"
        or letter >= "\U00020000"
    )


@cache
def word_table() -> WordTable:
    """The table, read when the first word is weighed."""
    weights: dict[str, float] = {}
    functions: dict[str, list[str]] = {}
    lists: dict[str, list[str]] = {}
    for line in TABLE_FILE.read_text(encoding="utf-8").splitlines():
        kind, *words = line.split()
        if kind == "weight":
            weights.update(dict.fromkeys(words[1:], float(words[0])))
        elif kind == "function":
            functions[words[0]] = words[1:]
        else:
            lists[kind] = words
    elsewhere = frozenset(lists["elsewhere"])
    return WordTable(
        weights=weights,
        median=float(lists["median"][0]),
        votes=_votes(functions, elsewhere),
        left_out=_left_out(functions, elsewhere),
        names=frozenset(lists["names"]),
        characters=frozenset(lists["characters"]),
        cut=tuple(lists["cut"]),
        particles=tuple(lists["particles"]),
    )


def _votes(functions: Mapping[str, list[str]], elsewhere: Set[str]) -> dict[str, int]:
    votes: dict[str, int] = {}
    for place, language in enumerate(LANGUAGES):
        sure, unsure = SURE_VOTE << VOTE_BITS * place, UNSURE_VOTE << VOTE_BITS * place
        for word in functions[language]:
            votes[word] = votes.get(word, 0) + (unsure if word in elsewhere else sure)
    return votes


def _left_out(functions: Mapping[str, list[str]], elsewhere: Set[str]) -> tuple[frozenset[str], ...]:
    """In every language, the words that mean nothing in another; beside them, those of the text's own language."""
    always = frozenset(chain.from_iterable(functions.values())) - elsewhere
    return (*(always.union(functions[language]) for language in LANGUAGES), always)
