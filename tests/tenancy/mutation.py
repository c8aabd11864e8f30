"""One mutation: a check that is taken out, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["PACKAGES", "Mutation"]

_ROOT = Path(__file__).parents[2]
#: Where the packages are that mutations change.
PACKAGES = {
    "forgetless": _ROOT / "layers/core/python/forgetless",
    "embedder": _ROOT / "embedder_container/embedder",
    "local": _ROOT / "local",
}


@dataclass(frozen=True)
class Mutation:
    """`old` becomes `new` in `file` of the package; `tests` are pytest's arguments for what must fail then."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    package: str = "forgetless"
