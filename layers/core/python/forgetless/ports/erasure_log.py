"""The port of the log of erasures: it stands outside the ledger, so that no copy of the ledger contains it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from forgetless.domain.erasure_log import LogLine

__all__ = ["ErasureLog"]


class ErasureLog(Protocol):
    """An append-only log. Every method raises LedgerError if the log cannot be reached, read or written."""

    def key(self) -> bytes:
        """The key of its digests. It is made at random with the log, which the first call creates."""

    def write(self, line: LogLine) -> None:
        """Append a line; it is durable when this returns. A line may be there twice: readers go by its ids."""

    def lines(self) -> Iterator[LogLine]:
        """All lines, in any order. For operators only: the work grows with the log."""

    def close(self) -> None:
        """Close files and connections."""
