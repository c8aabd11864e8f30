"""A cache of vectors: a message is embedded as a memory first, and again as context of the messages that follow it.

Only texts of requests that name a `user` are cached, and only requests of the same user find them. Otherwise the time
that an answer takes would tell what somebody else had embedded.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["VectorCache"]

Key = bytes


class VectorCache:
    """The vectors of the `size` texts that were used last; none if `size` is 0. It serves one thread only."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._vectors: OrderedDict[Key, NDArray[np.float32]] = OrderedDict()

    def keys(self, user: str | None, group: str, rows: Sequence[Sequence[int]]) -> list[Key]:
        """Return the keys of rows of token ids; none if these rows are not to be cached."""
        if not user or not self._size:
            return []
        whose = hashlib.blake2b(f"{len(user)}:{user}{group}".encode("utf-8", "surrogatepass"), digest_size=16)
        return [_with(whose.copy(), row) for row in rows]

    def find(self, keys: Sequence[Key]) -> dict[int, NDArray[np.float32]]:
        """Return the cached vectors by the positions of their keys."""
        found: dict[int, NDArray[np.float32]] = {}
        for place, key in enumerate(keys):
            if (vector := self._vectors.get(key)) is not None:
                self._vectors.move_to_end(key)
                found[place] = vector
        return found

    def put(self, key: Key, vector: NDArray[np.float32]) -> None:
        """Store a copy; if the cache is full, it drops the vector that was not used for the longest time."""
        self._vectors[key] = vector.copy()
        if len(self._vectors) > self._size:
            self._vectors.popitem(last=False)


def _with(digest: hashlib.blake2b, row: Sequence[int]) -> Key:
    digest.update(array("q", row).tobytes())
    return digest.digest()
