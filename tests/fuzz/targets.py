"""What a target of the fuzzer is, and how it says that something is wrong."""

from __future__ import annotations

import random
from typing import Protocol

__all__ = ["FaultFoundError", "Target"]


class FaultFoundError(AssertionError):
    """A case that must not happen: the text holds the input and what came of it."""


class Target(Protocol):
    """Something that takes random input."""

    #: Its name on the command line.
    name: str

    def case(self, rng: random.Random) -> str:
        """Try one random input and return how it ended, for the counts; raises FaultFoundError."""

    def close(self) -> None:
        """End what it started."""
