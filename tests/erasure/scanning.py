"""Looks for marks in bytes: as they are, and in the forms in which a store may keep them.

All marks of a person begin with the same few characters, the stem. Looking for its forms finds every mark. Digests do
not show it, so those of ids and texts are looked for one by one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Needles", "bytes_of_item", "found_in", "found_in_files", "tokens"]

#: How the compressed streams of zlib and gzip begin.
_COMPRESSED = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
#: At most so much of a compressed stream is looked at.
_INFLATED = 4 * 1024 * 1024
#: How much of what follows a stem is shown.
_SHOWN = 40


class Needles:
    """What to look for: the stem of the marks, and words of which not even a digest may be left."""

    def __init__(self, stem: str, digested: Iterable[str] = (), exact: Iterable[str] = ()) -> None:
        self._stems = tuple(dict.fromkeys(_forms(stem)))
        self._exact = {digest: f"a digest of {word}" for word in digested for digest in _digests(word)}
        self._exact |= {word.encode(): word for word in exact}

    def within(self, content: bytes) -> set[str]:
        """The marks that stand in the content, as they stand there."""
        found = {meaning for form, meaning in self._exact.items() if form in content}
        for form in self._stems:
            at = content.find(form)
            while at >= 0:
                found.add(re.split(rb"[^\x21-\x7e]", content[at : at + _SHOWN])[0].decode())
                at = content.find(form, at + 1)
        return found


def _forms(stem: str) -> Iterator[bytes]:
    """ASCII text as bytes: plain, in capitals, in UTF-16, hex, and in base64 wherever it begins."""
    plain = stem.encode("ascii")
    yield from (plain, plain.upper(), plain.hex().encode(), plain.hex().upper().encode())
    yield stem.encode("utf-16-le")
    yield stem.encode("utf-16-be")
    for lead in range(3):
        # The characters that depend only on the stem.
        yield base64.b64encode(b"\0" * lead + plain)[(lead * 8 + 5) // 6 : (lead + len(plain)) * 8 // 6]


def _digests(word: str) -> Iterator[bytes]:
    for digest in (hashlib.md5, hashlib.sha1, hashlib.sha256):
        made = digest(word.encode())
        yield made.digest()[:12]
        yield made.hexdigest()[:24].encode()


def tokens(word: str) -> list[str]:
    """The word, and how JSON escapes it."""
    return [word, json.dumps(word)[1:-1]]


def found_in(content: bytes, needles: Needles) -> set[str]:
    """The marks in the content, and in what is compressed in it."""
    found = needles.within(content)
    for match in _COMPRESSED.finditer(content):
        inflated = _inflated(content[match.start() : match.start() + _INFLATED])
        found |= needles.within(inflated) if inflated else set()
    return found


def _inflated(content: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(content, _INFLATED)  # gzip as well
    except zlib.error:
        return b""


def found_in_files(folder: Path, needles: Needles) -> dict[str, set[str]]:
    """The marks in each file below the folder, and in the names of files. Links are not followed."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        marks = needles.within(name.encode())
        if path.is_file() and not path.is_symlink():
            marks |= found_in(path.read_bytes(), needles)
        if marks:
            found[name] = marks
    return found


def bytes_of_item(item: Mapping[str, Any]) -> bytes:
    """All that an item of DynamoDB holds, as its client gives it: names, texts and binary values."""
    parts: list[bytes] = []

    def walk(value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                parts.append(str(name).encode())
                walk(inner)
        elif isinstance(value, list | tuple | set):
            for inner in value:
                walk(inner)
        else:
            parts.append(bytes(value) if isinstance(value, bytes | bytearray) else str(value).encode())

    walk(item)
    return b"\x00".join(parts)
