"""Replay saved histories through the checker: python -m tests.histories.check FILE..."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.histories.anomaly_report import report
from tests.histories.checker import check
from tests.histories.history import load
from tests.histories.linearizability import BUDGET

__all__ = ["main"]

_FOUND, _UNDECIDED = 1, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a report for each file; return 1 after an anomaly, 3 without one if not everything was decided."""
    parser = argparse.ArgumentParser(prog="python -m tests.histories.check", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--budget", type=int, default=BUDGET, help="steps tried for one memory (default %(default)s)")
    options = parser.parse_args(arguments)
    worst = 0
    for file in options.files:
        history = load(file)
        judgement = check(history, budget=options.budget)
        print("\n".join([f"{file}:", *report(history, judgement)]))
        if judgement.anomalies:
            worst = _FOUND
        elif judgement.undecided:
            worst = worst or _UNDECIDED
    return worst


if __name__ == "__main__":
    sys.exit(main())
