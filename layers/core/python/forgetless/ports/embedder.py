"""The embedder port: texts to vectors."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

__all__ = ["Embedder", "EmbeddingTask"]


class EmbeddingTask(StrEnum):
    """What the vector is for; jina-v3 has an adapter for each, other models ignore it."""

    QUERY = "retrieval.query"
    PASSAGE = "retrieval.passage"


class Embedder(Protocol):
    """Vectors of L2 norm 1, one dimension per model."""

    def embed(self, texts: Sequence[str], task: EmbeddingTask, *, tenant: str = "") -> list[list[float]]:
        """One vector a text, in order; texts beyond the model's length count by their beginning.

        With a tenant, the service may keep the vectors for a while, for the next calls of this tenant.
        Raises EmbedderError when the service does not answer in time, is full or fails, and ProviderError when it
        refuses the call or answers nonsense, which no repeat cures.
        """

    def ping(self) -> None:
        """Raise EmbedderError or ProviderError unless it is ready now."""

    def close(self) -> None:
        """Release connections."""
