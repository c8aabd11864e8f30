"""Samples: one line for each answer, as k6.js and locustfile.py write them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Sample", "Tail", "parts_of", "read_samples"]

_PART = re.compile(r"([\w-]+);dur=([\d.]+)")


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: when it was sent (seconds since the start and since the epoch), and what came of it."""

    at: float
    sent: float
    kind: str
    ms: float
    status: int
    ok: bool
    timing: str = ""

    @property
    def ended(self) -> float:
        """Seconds since the epoch when the answer was there."""
        return self.sent + self.ms / 1000


def parts_of(timing: str) -> dict[str, float]:
    """Milliseconds by part of a Server-Timing header."""
    return {part: float(ms) for part, ms in _PART.findall(timing)}


class Tail:
    """Reads what has been added to a file of samples since the last time; half a line waits for its end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._place = 0

    def read(self) -> list[Sample]:
        """The new samples."""
        if not self._file.exists():
            return []
        with self._file.open("rb") as stream:
            stream.seek(self._place)
            read = stream.read()
        whole = read[: read.rfind(b"\n") + 1]
        self._place += len(whole)
        return [_sample(line) for line in whole.decode("utf-8").splitlines() if line.startswith("{")]


def read_samples(file: Path) -> list[Sample]:
    """All samples of a finished run."""
    return Tail(file).read()


def _sample(line: str) -> Sample:
    found = json.loads(line)
    return Sample(
        at=found["at"] / 1000,
        sent=found["sent"] / 1000,
        kind=found["kind"],
        ms=found["ms"],
        status=found["status"],
        ok=found["ok"],
        timing=found["timing"],
    )
