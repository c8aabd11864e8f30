"""`make test-histories` runs clients, a nemesis and a checker against the service, for a chosen time."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.histories.processes import WorldError
from tests.histories.run import WORLDS, Run, Tally, plan_of
from tests.histories.world import Checkout

#: Exit codes: no anomaly; some anomalies; the harness or the service could not be started.
OK, ANOMALIES, BROKEN = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worlds one after the other and print the results."""
    options = _parser().parse_args(arguments)
    worlds = options.world or list(WORLDS)
    checkout = Checkout(options.checkout.resolve()) if options.checkout else Checkout()
    print(f"seed {options.seed}, {options.minutes:g} minutes: {', '.join(worlds)}", flush=True)
    tallies: dict[str, Tally] = {}
    for kind in worlds:
        given = {name: getattr(options, name) for name in ("operations", "seconds", "clients", "faults")}
        plan = plan_of(kind, **given)
        run = Run(kind, seed=options.seed, checkout=checkout, tell=_say, plan=plan)
        tallies[kind] = run.tally
        try:
            run.run(going_on=_until(options.minutes / len(worlds), options.episodes))
        except WorldError as error:
            print(f"{kind}: {error}", file=sys.stderr, flush=True)
            return BROKEN
    print(table(tallies))
    return ANOMALIES if any(tally.anomalies or tally.undecided for tally in tallies.values()) else OK


def table(tallies: dict[str, Tally]) -> str:
    """Return the figures of each world, and how often each fault was injected."""
    head = ("world", "minutes", "episodes", "operations", "ok", "failed", "unknown", "faults", "anomalies", "undecided")
    rows = [head, *(_row(kind, tally) for kind, tally in tallies.items())]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    for kind, tally in tallies.items():
        lines += ["", f"{kind}: {_counts(tally.operations_by_kind)}", f"{kind}: {_counts(tally.faults_by_name)}"]
    return "\n".join(lines)


def _counts(counter: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))


def _row(kind: str, tally: Tally) -> tuple[str, ...]:
    outcomes = (f"{tally.outcomes[name]:,}" for name in ("ok", "failed", "unknown"))
    counts = (f"{tally.faults:,}", str(tally.anomalies), str(tally.undecided))
    return (kind, f"{tally.seconds / 60:.1f}", str(tally.episodes), f"{tally.operations:,}", *outcomes, *counts)


def _until(minutes: float, episodes: int | None) -> Callable[[Tally], bool]:
    """Return a condition that allows at least one episode, and then more until the time is over."""
    end = time.monotonic() + minutes * 60
    return lambda tally: (
        not tally.episodes or (time.monotonic() < end and (episodes is None or tally.episodes < episodes))
    )


def _say(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make test-histories ARGS=", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=6.0, help="minutes for all worlds together (default: %(default)g)")
    add(
        "--seed",
        type=int,
        default=random.randrange(10**6),
        help="seed of what clients and nemesis choose (default: random)",
    )
    add("--world", action="append", choices=list(WORLDS), help="only this world; may be given several times")
    add("--episodes", type=int, help="most episodes of each world")
    add("--operations", type=int, help="most operations of an episode")
    add("--seconds", type=float, help="seconds of load of an episode (default: 45 to 60)")
    add("--clients", type=int, help="concurrent clients (default: 6)")
    add("--faults", metavar="REGEX", help="only faults whose name matches (default: all of the world)")
    add("--checkout", type=Path, help="test the code of another checkout (default: this one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
