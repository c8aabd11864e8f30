"""Openings: the index and the embedder of each generation, opened when they are first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from forgetless.domain.generations import Generation
from forgetless.domain.recipe import Recipe
from forgetless.ports.embedder import Embedder
from forgetless.ports.index import Index

__all__ = ["OpenGeneration", "Openings"]


@dataclass(frozen=True, slots=True)
class OpenGeneration:
    """What searches in a generation and writes to it, and how its rows are made."""

    index: Index
    embedder: Embedder
    recipe: Recipe


class Openings:
    """The generations that this process has opened. They stay open: a request may still use one that was dropped."""

    def __init__(self, open_: Callable[[Generation], OpenGeneration]) -> None:
        self._open = open_
        self._lock = threading.Lock()
        self._opened: dict[str, OpenGeneration] = {}

    def of(self, generation: Generation) -> OpenGeneration:
        """The opened generation."""
        with self._lock:
            found = self._opened.get(generation.collection)
            if found is None:
                found = self._opened[generation.collection] = self._open(generation)
            return found

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            opened, self._opened = list(self._opened.values()), {}
        for one in opened:
            one.index.close()
            one.embedder.close()
