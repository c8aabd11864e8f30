"""Vectors kept for whoever asks again: a message is a memory first, and then the context of those that follow it.

Only what a request asked for in the name of a `user` is kept, and only requests of the same user find it: how fast an
answer comes must not tell what somebody else had embedded.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kept"]

Key = bytes


class Kept:
    """The vectors of the `size` texts that were asked for last; of none, if `size` is 0. For one thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._vectors: OrderedDict[Key, NDArray[np.float32]] = OrderedDict()

    def keys(self, user: str | None, group: str, rows: Sequence[Sequence[int]]) -> list[Key]:
        """What the rows of token ids stand under; nothing, where nothing is kept."""
        if not user or not self._size:
            return []
        whose = hashlib.blake2b(f"{len(user)}:{user}{group}".encode("utf-8", "surrogatepass"), digest_size=16)
        return [_with(whose.copy(), row) for row in rows]

    def find(self, keys: Sequence[Key]) -> dict[int, NDArray[np.float32]]:
        """The vectors that are there, by their place among the keys."""
        found: dict[int, NDArray[np.float32]] = {}
        for place, key in enumerate(keys):
            if (vector := self._vectors.get(key)) is not None:
                self._vectors.move_to_end(key)
                found[place] = vector
        return found

    def keep(self, key: Key, vector: NDArray[np.float32]) -> None:
        """Keep a copy; the one that was asked for longest ago leaves."""
        self._vectors[key] = vector.copy()
        if len(self._vectors) > self._size:
            self._vectors.popitem(last=False)


def _with(digest: hashlib.blake2b, row: Sequence[int]) -> Key:
    digest.update(array("q", row).tobytes())
    return digest.digest()
