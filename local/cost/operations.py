"""What one operation takes: the figures that `make cost MEASURE=1` has stored in operations.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["STORED", "Operations", "read_operations"]

_FILE = Path(__file__).with_name("operations.json")

#: What is stored of each operation: DynamoDB's requests, units and bytes; calls and bytes of the other parts.
STORED = (
    "requests", "read_units", "write_units", "stored_bytes", "index_reads", "index_rows", "index_row_bytes",
    "index_removals", "embedder_calls", "embedded_texts", "llm_calls", "prompt_chars", "reply_chars", "answer_bytes",
    "log_bytes",
)  # fmt: skip


@dataclass(frozen=True)
class Operations:
    """The figures, and the day on which they were measured."""

    measured: str
    figures: Mapping[str, Mapping[str, float]]

    def of(self, operation: str, figure: str) -> float:
        """One figure of one operation."""
        return float(self.figures[operation][figure])

    def ingest(self, figure: str, facts: float) -> float:
        """The same of the extraction of one add from which so many facts come, along a line through 0 and 2 facts."""
        none = self.of("ingest_without_facts", figure)
        return none + (self.of("ingest_with_two_facts", figure) - none) / 2 * facts


@cache
def read_operations(file: Path = _FILE) -> Operations:
    """The stored figures."""
    content = json.loads(file.read_text(encoding="utf-8"))
    return Operations(content["measured"], content["operations"])
