"""NoEmbedder: stands in for a model that cannot run any more, so that searches in its index go by words alone.

Questions and texts get fixed vectors at a right angle, so the cosine of a text that is stored now is 0, and that of an
older one is about 0. Nothing that is stored so may be found by meaning later: the index must be filled anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.domain.errors import EmbedderError
from forgetless.ports.embedder import EmbeddingTask

__all__ = ["NO_EMBEDDER", "NoEmbedder"]

#: The address that stands for it.
NO_EMBEDDER = "none:"


class NoEmbedder:
    """See `forgetless.ports.embedder.Embedder`. It never fails but when it is asked whether it is there."""

    def __init__(self, model: str, *, dimensions: int) -> None:
        self._model = model
        self._dimensions = dimensions

    def embed(self, texts: Sequence[str], task: EmbeddingTask, *, owner: str = "") -> list[list[float]]:
        del owner
        place = 0 if task is EmbeddingTask.QUERY else 1
        return [[float(number == place) for number in range(self._dimensions)] for _ in texts]

    def ping(self) -> None:
        raise EmbedderError(f"the model {self._model} does not run: searches go by words alone")

    def close(self) -> None:
        """Nothing to release."""
