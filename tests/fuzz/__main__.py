"""`python -m tests.fuzz --minutes 10`: random input for routes, tools, webhooks, the embedder and the emulator."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.run import TARGETS, for_seconds, fuzz, report
from tests.fuzz.targets import FaultFoundError


def main() -> int:
    """Run all targets, or those that are named; return 1 when one found a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="for all targets together (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="repeat a run (default: a new one)")
    parser.add_argument("--cases", type=int, default=0, help="instead of minutes: so many cases of each target")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], help=f"default: {' '.join(TARGETS)}")
    options = parser.parse_args()
    seed = int(time.time()) if options.seed is None else options.seed
    names = options.targets or list(TARGETS)
    print(f"seed {seed}", flush=True)
    faults = 0
    for name in names:
        more = (
            (lambda number: number < options.cases) if options.cases else for_seconds(options.minutes * 60 / len(names))
        )
        try:
            print(report(name, fuzz(name, seed, more)), flush=True)
        except FaultFoundError as fault:
            faults += 1
            print(f"FAULT {fault}", file=sys.stderr, flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
