"""Words: splits a text into the words that BM25 counts. Ours, so that every Milvus version ranks equally."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator

__all__ = ["STOP_WORDS", "index_words", "query_words"]

#: Vowel signs and accents that are separate characters; Python's \w does not count them as part of a word.
_MARKS = "".join(
    chr(c) for c in (*range(0x300, 0x1E00), *range(0xA600, 0xAC00)) if unicodedata.category(chr(c))[0] == "M"
)
_TOKEN = re.compile(rf"[^\W_](?:[^\W_]|[{_MARKS}])*")
#: Stop words. They are dropped before accents are, so that the Vietnamese "thế" is not dropped as "the".
STOP_WORDS = frozenset(
    _TOKEN.findall(
        "a an and are as at be but by for if in into is it no not of on or such that the their then there these they "
        "this to was will with i you he she we my your his her what when where who how did do does has have had which "
        "why"
    )
)
#: The longest word that is indexed: nobody searches for longer words, and blobs of base64 are cut here.
MAX_WORD_CHARS = 128

#: Tokens joined by punctuation without a space: AB-1234, 2024-05-01, order_17, v1.2. A match starts only where a word
#: starts, because trying every letter of a very long word would take quadratic time.
_COMPOUND = re.compile(r"(?<![^\W_])[^\W_]+(?:[-_./:+#@][^\W_]+)+")
_CONTRACTION = re.compile(r"(?<=\w)['’](?:s|t|m|d|ll|re|ve)\b")
#: Scripts written without spaces between words: Thai, Lao, Burmese, Khmer, kana and Han.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
#: Letters with an integral mark, which Unicode does not decompose.
_UNMARKED = str.maketrans({"đ": "d", "ø": "o", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "ß": "ss", "æ": "ae", "œ": "oe"})

_local = threading.local()
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
    for token in _TOKEN.findall(text):
        if token not in STOP_WORDS:
            tokens.extend(_forms(token[:MAX_WORD_CHARS], unspaced))
    tokens.extend(_joined(text))
    return _stems(tokens)


def _forms(token: str, unspaced: _Split) -> Iterator[str]:
    """The token, and the other forms by which it can be found."""
    if token.isascii():
        yield token
        return
    place = 0
    for run in _UNSPACED.finditer(token):
        yield from _spelled(token[place : run.start()])
        yield from unspaced(run.group())
        place = run.end()
    yield from _spelled(token[place:])


def _spelled(token: str) -> Iterator[str]:
    if token:
        yield token
        folded = _folded(token)
        if folded != token:
            yield folded


def _folded(token: str) -> str:
    letters = unicodedata.normalize("NFD", token.translate(_UNMARKED))
    # Only accents are removed: in other scripts the marks are vowels.
    return unicodedata.normalize("NFC", "".join(c for c in letters if not "\u0300" <= c <= "\u036f"))


def _pairs(run: str) -> Iterable[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def _letters_and_pairs(run: str) -> Iterable[str]:
    return [*run, *_pairs(run)] if len(run) > 1 else [run]


def _joined(text: str) -> Iterator[str]:
    """Identifiers with a digit also as one word, so that AB-1234 and AB1234 match each other."""
    for compound in _COMPOUND.findall(text):
        if any(c.isdigit() for c in compound):
            yield "".join(_TOKEN.findall(compound))[:MAX_WORD_CHARS]


def _stems(tokens: list[str]) -> list[str]:
    stemmer = getattr(_local, "stemmer", None)
    if stemmer is None:
        import Stemmer  # noqa: PLC0415 - imported only when words are counted

        # One stemmer for each thread, because threads must not share one.
        stemmer = _local.stemmer = Stemmer.Stemmer("english")
    stems: list[str] = stemmer.stemWords(tokens)
    return stems
