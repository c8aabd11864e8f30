"""Looks for words in the bytes of files, however large these are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from forgetless.domain.errors import LedgerError

__all__ = ["Places", "found_in_folder"]

#: How much is read at once.
_BLOCK = 4 * 1024 * 1024
#: The folder with models: their vocabularies have many words, and nobody's data.
_MODELS = "models"
_OF_WORDS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


@dataclass(frozen=True, slots=True)
class Places:
    """How often words stand in a file: alone, and as a part of something longer, which may be another word."""

    alone: int = 0
    within: int = 0

    def told(self) -> str:
        """In words."""
        if self.alone:
            return f"it stands there {self.alone} times"
        return f"it stands there {self.within} times as a part of something longer, which may be another word"


def found_in_folder(folder: Path, words: Iterable[str]) -> Iterator[tuple[Path, Places]]:
    """The files below the folder that hold any of the words, in UTF-8 or as JSON escapes them; links are left out.

    Raises LedgerError for a file that cannot be read.
    """
    forms = {form for word in words for form in _forms(word)}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or _MODELS in path.relative_to(folder).parts[:-1]:
            continue
        places = _in_file(path, forms)
        if places.alone or places.within:
            yield path, places


def _forms(word: str) -> set[bytes]:
    return {word.encode("utf-8", "surrogatepass"), json.dumps(word)[1:-1].encode("ascii")}


def _in_file(path: Path, forms: set[bytes]) -> Places:
    alone = within = 0
    longest = max(map(len, forms))
    before = b""
    try:
        with path.open("rb") as file:
            block = file.read(_BLOCK)
            while block:
                following = file.read(_BLOCK)
                content = before + block
                # A hit that the next block might continue is counted there. `before` shows what comes before it.
                end = len(content) - longest if following else len(content)
                for form in forms:
                    for at in _hits(content, form, max(0, len(before) - longest), end):
                        bounded = _is_alone(content, at, len(form))
                        alone, within = alone + bounded, within + (not bounded)
                before, block = content[-2 * longest :], following
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}") from None
    return Places(alone, within)


def _hits(content: bytes, form: bytes, begin: int, end: int) -> Iterator[int]:
    at = content.find(form, begin)
    while 0 <= at < end:
        yield at
        at = content.find(form, at + 1)


def _is_alone(content: bytes, at: int, length: int) -> bool:
    before, after = content[at - 1 : at] if at else b"", content[at + length : at + length + 1]
    return not (before and before[0] in _OF_WORDS) and not (after and after[0] in _OF_WORDS)
