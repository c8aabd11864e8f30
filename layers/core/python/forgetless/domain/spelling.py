"""Spelling: how a text is cut into written words, and what a word's other spellings are."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

__all__ = ["MAX_WORD_CHARS", "TOKEN", "UNSPACED", "folded", "joined", "stems"]

#: Vowel signs and accents that are separate characters; Python's \w does not count them as part of a word.
_MARKS = "".join(
    chr(c) for c in (*range(0x300, 0x1E00), *range(0xA600, 0xAC00)) if unicodedata.category(chr(c))[0] == "M"
)
TOKEN = re.compile(rf"[^\W_](?:[^\W_]|[{_MARKS}])*")
#: The longest word that is indexed: nobody searches for longer words, and blobs of base64 are cut here.
MAX_WORD_CHARS = 128

#: Tokens joined by punctuation without a space: AB-1234, 2024-05-01, order_17, v1.2. A match starts only where a word
#: starts, because trying every letter of a very long word would take quadratic time.
_COMPOUND = re.compile(r"(?<![^\W_])[^\W_]+(?:[-_./:+#@][^\W_]+)+")
#: Scripts written without spaces between words: Thai, Lao, Burmese, Khmer, kana and Han.
UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
#: Letters with an integral mark, which Unicode does not decompose.
_UNMARKED = str.maketrans({"đ": "d", "ø": "o", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "ß": "ss", "æ": "ae", "œ": "oe"})

_local = threading.local()


@lru_cache(maxsize=4096)
def folded(token: str) -> str:
    """The word without its accents."""
    letters = unicodedata.normalize("NFD", token.translate(_UNMARKED))
    # Only accents are removed: in other scripts the marks are vowels.
    return unicodedata.normalize("NFC", "".join(c for c in letters if not "\u0300" <= c <= "\u036f"))


def joined(text: str) -> Iterator[str]:
    """Identifiers with a digit also as one word, so that AB-1234 and AB1234 match each other."""
    for compound in _COMPOUND.findall(text):
        if any(c.isdigit() for c in compound):
            yield "".join(TOKEN.findall(compound))[:MAX_WORD_CHARS]


def stems(tokens: list[str]) -> list[str]:
    """The words without their English endings, in the same order."""
    stemmer = getattr(_local, "stemmer", None)
    if stemmer is None:
        import Stemmer  # noqa: PLC0415 - imported only when words are counted

        # One stemmer for each thread, because threads must not share one.
        stemmer = _local.stemmer = Stemmer.Stemmer("english")
    found: list[str] = stemmer.stemWords(tokens)
    return found
