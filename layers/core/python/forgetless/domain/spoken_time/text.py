"""A text as the words in which times are looked for: words, and pieces that have digits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

__all__ = ["CLAUSE_END", "TEXT_CHARS", "TimeText", "beginning"]

#: How much of a text is read: as much as counts for its words and its vector.
TEXT_CHARS = 1_200
#: The token that stands for punctuation between words.
CLAUSE_END = "."

_PUNCTUATION = "\"'`()[]{}<>,.;:!?…“”‘’«»¿¡*_~|"
_ENDS = frozenset(",;:!?….)")
#: The longest piece with digits that can be a date.
_PIECE_CHARS = 32
_WORD = re.compile(r"[^\W\d_]+")
_SHORT_YEAR = r"['’]\d\d"
_ORDINAL = r"\d\d?\."
_HYPHENS = r"[-–—]"


def beginning(text: str) -> str:
    """The part of the text that is read, with letters and digits in their usual forms."""
    text = text[:TEXT_CHARS]
    return text if text.isascii() else unicodedata.normalize("NFKC", text)[:TEXT_CHARS]


class TimeText:
    """The tokens of a text, once as they stand (`raw`) and once in lower case (`words`)."""

    __slots__ = ("raw", "words")

    def __init__(self, text: str, *, joinable: Collection[str]) -> None:
        """Reads a `beginning`. A piece such as "12-May-2023" is taken apart if one of its parts is in `joinable`."""
        self.raw: list[str] = []
        for piece in text.split():
            if piece.isalpha():
                self.raw.append(piece)
            else:
                self._add(piece, joinable)
        self.words = [token.lower() for token in self.raw]

    def __len__(self) -> int:
        return len(self.words)

    def word(self, index: int) -> str:
        """The word at `index`, or "" outside of the text."""
        return self.words[index] if 0 <= index < len(self.words) else ""

    def capital(self, index: int) -> bool:
        """Whether the word begins with a capital letter."""
        return self.raw[index][:1].isupper()

    def ends_with(self, phrase: tuple[str, ...], index: int) -> bool:
        """Whether the phrase stands in the text and ends at `index`."""
        start = index + 1 - len(phrase)
        return start >= 0 and tuple(self.words[start : index + 1]) == phrase

    def _add(self, piece: str, joinable: Collection[str]) -> None:
        bare = piece.strip(_PUNCTUATION)
        if not any(map(str.isdecimal, bare)):
            self.raw.extend(_WORD.findall(bare))
        elif len(bare) <= _PIECE_CHARS:
            if re.fullmatch(_SHORT_YEAR, piece.rstrip(_PUNCTUATION)):
                bare = ("20" if bare < "50" else "19") + bare
            parts = re.split(_HYPHENS, bare.removesuffix("'s").removesuffix("’s"))
            joined = len(parts) > 1 and not any(part.lower() in joinable for part in parts)
            self.raw.extend([bare] if joined else parts)
        else:
            self.raw.append(CLAUSE_END)
        if piece[-1] in _ENDS and not re.fullmatch(_ORDINAL, piece):
            self.raw.append(CLAUSE_END)
