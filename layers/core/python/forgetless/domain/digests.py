"""Keyed digests: what stands for an id or a name where it must not stand in clear, and seals that the key takes off.

Without the key, nobody can confirm a guess. The key lies in the store itself, so a digest protects what leaves the
store (a list, an answer, a file beside it). Whoever has the whole store, with the key, can still confirm a guess.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["keyed_digest", "seal", "unseal", "unveil", "veil"]

#: The hexadecimal digits of a digest: 128 bits.
_DIGITS = 32
_ROUNDS = 4


@lru_cache(maxsize=4096)
def keyed_digest(key: bytes, *words: str) -> str:
    """128 bits of the HMAC of the words, in hex. By custom, the first word says what the others are."""
    text = "\x00".join(words).encode("utf-8", "surrogatepass")
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:_DIGITS]


def seal(key: bytes, digest: str) -> str:
    """A digest of 32 hexadecimal digits as 32 others, from which only the key leads back."""
    return _turned(key, digest, range(_ROUNDS))


def unseal(key: bytes, sealed: str) -> str:
    """The digest that `seal` was given."""
    half = _DIGITS // 2
    swapped = sealed[half:] + sealed[:half]
    found = _turned(key, swapped, reversed(range(_ROUNDS)))
    return found[half:] + found[:half]


def _turned(key: bytes, digits: str, rounds: Iterable[int]) -> str:
    """The rounds of a Feistel network, whose halves change places after each."""
    half = _DIGITS // 2
    left, right = int(digits[:half], 16), int(digits[half:], 16)
    for number in rounds:
        mixed = int(keyed_digest(key, "seal", str(number), f"{right:016x}")[:half], 16)
        left, right = right, left ^ mixed
    return f"{left:016x}{right:016x}"


def veil(key: bytes, name: str, text: str) -> str:
    """A text that only the key makes legible again; `name` must differ from text to text."""
    return base64.b64encode(_covered(key, name, text.encode("utf-8", "surrogatepass"))).decode("ascii")


def unveil(key: bytes, name: str, veiled: str) -> str:
    """The text of `veil`."""
    return _covered(key, name, base64.b64decode(veiled)).decode("utf-8", "surrogatepass")


def _covered(key: bytes, name: str, content: bytes) -> bytes:
    blocks = range(-(-len(content) // 32))
    names = (f"veil\x00{name}\x00{block}".encode("utf-8", "surrogatepass") for block in blocks)
    stream = b"".join(hmac.digest(key, one, "sha256") for one in names)
    return bytes(one ^ other for one, other in zip(content, stream, strict=False))
