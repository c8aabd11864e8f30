"""The embedder port: turns texts into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

__all__ = ["Embedder", "EmbeddingTask"]


class EmbeddingTask(StrEnum):
    """What a vector is used for. jina-v3 has an adapter for each task; other models ignore it."""

    QUERY = "retrieval.query"
    PASSAGE = "retrieval.passage"


class Embedder(Protocol):
    """Gives vectors of L2 norm 1, all of the model's dimension."""

    def embed(self, texts: Sequence[str], task: EmbeddingTask, *, owner: str = "") -> list[list[float]]:
        """One vector per text, in order. Of a text that is too long for the model, only the beginning is embedded.

        With an owner, the service may cache the vectors for a while for later calls of the same owner.
        Raises EmbedderError when the service does not answer in time, is overloaded or fails, and ProviderError when
        it refuses the call or its reply is invalid, in which case a retry does not help.
        """

    def ping(self) -> None:
        """Raise EmbedderError or ProviderError unless it is ready now."""

    def close(self) -> None:
        """Release connections."""
