"""Terms: the words of a text that say something, as recipe 3 counts them. Words that only serve grammar are left out.

Which words those are depends on the language: "die" is an article in German and a verb in English. So the function
words of a text vote for its language, and a word that means something in another language is left out only where the
text's own language has it as a function word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from itertools import pairwise, repeat

from forgetless.domain.said import LONG_TEXT_CHARS
from forgetless.domain.spelling import MAX_WORD_CHARS, TOKEN, UNSPACED, folded, joined, stems
from forgetless.domain.word_weights import (
    LANGUAGES,
    NO_LANGUAGE,
    SURE_VOTE,
    VOTE_BITS,
    VOTE_MASK,
    WordTable,
    word_table,
)

__all__ = ["Term", "name_terms", "spelled_terms", "terms"]

#: How much of a word a character is, and a pair of characters, in a script without spaces. Two characters and the pair
#: that they make stand for about one word.
_CHARACTER = 0.3
_PAIR = 0.4

_CONTRACTION = re.compile(r"(?<=\w)'(?:s|t|m|d|ll|re|ve)\b")
#: A word that no sentence begins with.
_CAPITAL_WITHIN = re.compile(r"(?<=[\w,;:] )[^\W\d_]\w*")
_ASCII_TOKEN = re.compile(r"[a-z0-9]+")
_DIGIT = re.compile(r"\d")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HIRAGANA = re.compile(r"[\u3041-\u309f]")


#: A word of a text, or a part of one: its stem, which is its identity; the stem of its spelling without accents, empty
#: when it has none; and how much of a word it is. A plain tuple, because adds make hundreds of them.
Term = tuple[str, str, float]


def terms(text: str) -> list[Term]:
    """The terms of a text's beginning, with repeats; none when it has only function words."""
    text = unicodedata.normalize("NFKC", text[:LONG_TEXT_CHARS])
    lowered = _lower(text)
    tokens = _tokens(lowered)
    kept = _content(tokens, text)
    if _DIGIT.search(lowered):
        kept.extend(joined(lowered))
    return _as_terms(kept)


def spelled_terms(text: str) -> list[Term]:
    """All words of a short text such as a name, function words too."""
    return _as_terms(_tokens(_lower(unicodedata.normalize("NFKC", text[:LONG_TEXT_CHARS]))))


def name_terms(text: str) -> list[Term]:
    """The function words of a text that are given names, too: what is left of the question "Will?"."""
    names = word_table().names
    return _as_terms([token for token in _tokens(_lower(text[:LONG_TEXT_CHARS])) if token in names])


def _lower(text: str) -> str:
    """In small letters and without contractions: "don't" is "do", "Anna's" is "anna"."""
    text = text.lower().replace("’", "'")
    return _CONTRACTION.sub("", text.replace("n't", " ")) if "'" in text else text


def _tokens(lowered: str) -> list[str]:
    # The short way for ASCII takes half of the time.
    return _ASCII_TOKEN.findall(lowered) if lowered.isascii() else TOKEN.findall(lowered)


def _as_terms(tokens: list[str]) -> list[Term]:
    if "".join(tokens).isascii():
        if max(map(len, tokens), default=0) > MAX_WORD_CHARS:
            tokens = [token[:MAX_WORD_CHARS] for token in tokens]
        return list(zip(stems(tokens), repeat(""), repeat(1.0), strict=False))
    parts = [part for token in tokens for part in _parts(token)]
    words = [word for word, _ in parts]
    # Characters and pairs have no accents.
    unaccented = [word if share < 1.0 or word.isascii() else folded(word) for word, share in parts]
    return [
        (stem, "" if word == plain else plain_stem, share)
        for (word, share), stem, plain, plain_stem in zip(
            parts, stems(words), unaccented, stems(unaccented), strict=True
        )
    ]


def _content(tokens: list[str], text: str) -> list[str]:
    """The tokens without the function words of the text's language, and of any language if they mean nothing else."""
    table = word_table()
    left_out = table.left_out[_language(tokens, table)]
    kept = [token for token in tokens if token not in left_out]
    if not table.names.isdisjoint(tokens):
        kept += [word for word in _capital_within(text) if word in table.names and word in left_out]
    return kept


def _language(tokens: list[str], table: WordTable) -> int:
    """The place in LANGUAGES of the one whose function words the text has most of, or NO_LANGUAGE when none is sure."""
    votes = sum(map(table.votes.get, tokens, repeat(0)))
    most, language = SURE_VOTE - 1, NO_LANGUAGE
    for place in range(len(LANGUAGES)):
        if not votes:
            break
        if votes & VOTE_MASK > most:
            most, language = votes & VOTE_MASK, place
        votes >>= VOTE_BITS
    return language


def _capital_within(text: str) -> list[str]:
    """The words with a capital that no sentence begins with: there, "Will" is somebody."""
    return [word.lower() for word in _CAPITAL_WITHIN.findall(text) if word[0].isupper()]


def _parts(token: str) -> Iterable[tuple[str, float]]:
    """The words of a token, which may have runs of characters that are not spaced, each with its share of a word."""
    if not UNSPACED.search(token):
        return [(token[:MAX_WORD_CHARS], 1.0)]
    found: list[tuple[str, float]] = []
    place = 0
    for run in UNSPACED.finditer(token):
        found.append((token[place : run.start()][:MAX_WORD_CHARS], 1.0))
        for piece in _cut().split(run.group()):
            found.extend(_characters(piece))
        place = run.end()
    found.append((token[place:][:MAX_WORD_CHARS], 1.0))
    return [part for part in found if part[0]]


def _characters(piece: str) -> list[tuple[str, float]]:
    """The Han characters and the pairs of neighbours of a piece without spaces; function words have been cut out."""
    if len(piece) == 1 and not _HAN.match(piece):
        return [] if _HIRAGANA.match(piece) else [(piece, _PAIR)]
    functions = word_table().characters
    found = [(character, _CHARACTER) for character in _HAN.findall(piece) if character not in functions]
    found += [(one + other, _PAIR) for one, other in pairwise(piece) if not (one in functions and other in functions)]
    return found


@cache
def _cut() -> re.Pattern[str]:
    """Where function words of Chinese and Japanese stand, the longest first; grouped by their first character."""
    table = word_table()
    by_first = defaultdict(list)
    for word in sorted(table.cut, key=len, reverse=True):
        by_first[word[0]].append(word[1:])
    word = "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in by_first.items())
    particle = f"[{''.join(table.particles)}]"
    starts = "".join([*by_first, *table.particles])
    hiragana = _HIRAGANA.pattern
    return re.compile(f"(?=[{starts}])(?:(?:(?:{word})(?:{particle}(?!{hiragana}))?)+|(?<!{hiragana}){particle})")
