"""An embedder without a model: hashed bags of words, so that texts that share words are near."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Sequence

from forgetless.domain.errors import DependencyError, EmbedderTextError
from forgetless.ports.embedder import EmbeddingTask

__all__ = ["FakeEmbedder"]

_WORDS = re.compile(r"\w+")


class FakeEmbedder:
    """Deterministic vectors; equal texts have cosine 1, texts without a common word about 0.

    Set `failure` to have every call raise it, `meanwhile` to let something happen during every call, and `refuses` to a
    function that says whether a text is refused: then it has no vector, or `refusal` is raised for the whole call.
    `calls` holds the texts and the task of each call.
    """

    def __init__(self, dimensions: int = 64) -> None:
        self.dimensions = dimensions
        self.failure: DependencyError | None = None
        self.refuses: Callable[[str], bool] = lambda _text: False
        self.refusal: DependencyError | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        self.calls: list[tuple[tuple[str, ...], EmbeddingTask]] = []
        self.closed = False

    def embed(self, texts: Sequence[str], task: EmbeddingTask, *, owner: str = "") -> list[list[float]]:
        self.calls.append((tuple(texts), task))
        self.ping()
        if any(map(self.refuses, texts)):
            raise self.refusal or self._without_some(texts)
        self.meanwhile()
        return [self._vector(text) for text in texts]

    def ping(self) -> None:
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        self.closed = True

    def _without_some(self, texts: Sequence[str]) -> EmbedderTextError:
        vectors = [None if self.refuses(text) else self._vector(text) for text in texts]
        return EmbedderTextError(f"the embedder has no vector for {vectors.count(None)} texts", vectors)

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self.dimensions
        for word in _WORDS.findall(text.lower()):
            digest = zlib.crc32(word.encode("utf-8", "surrogatepass"))
            vector[digest % self.dimensions] += 1.0 if digest & 0x10000 else -1.0
        norm = math.hypot(*vector)
        if norm == 0.0:
            return [1.0] + [0.0] * (self.dimensions - 1)
        return [number / norm for number in vector]
