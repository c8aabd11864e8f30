"""`make kill-test`: the kill tests with more runs, also with SIGKILL at times that nobody chose; prints counts."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.faults.killing import ACTS, Outcome, Runner
from tests.faults.stage import queue_server
from tests.faults.watching import Fate, Way


def main() -> int:
    """Run, print one line for each process and way, and fail when anything was lost or doubled."""
    parser = argparse.ArgumentParser(prog="make kill-test ARGS=", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each step and way (default 3)")
    parser.add_argument("--random", type=int, default=100, help="SIGKILLs at random times (default 100)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the random times")
    options = parser.parse_args()
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
    with tempfile.TemporaryDirectory() as folder, queue_server(Path(folder)) as endpoint:
        runner = Runner(Path(folder), endpoint)
        total: list[Outcome] = []
        for name, outcomes in _all(runner, options.runs, options.random, options.seed):
            _print(name, outcomes)
            total += outcomes
    _print("all", total)
    return 0 if all(outcome.same for outcome in total) else 1


def _all(runner: Runner, runs: int, randoms: int, seed: int) -> Iterator[tuple[str, list[Outcome]]]:
    for act in ACTS:
        steps = runner.steps(act)
        for way in Way:
            outcomes = [runner.disturbed(act, Fate(step, way)) for step in steps for _ in range(runs)]
            yield f"{act}: {len(steps)} steps x {way} x {runs} runs", outcomes
    steps = runner.steps("queued")
    gone = [runner.disturbed("queued", Fate(step, Way.KILL), retry=False) for step in steps for _ in range(runs)]
    yield f"queued, client never asks again: {len(steps)} steps x kill x {runs} runs", gone
    yield f"one message to two workers: {10 * runs} runs", [runner.two_workers() for _ in range(10 * runs)]
    chance = random.Random(seed)
    killed = [runner.killed_after(chance.choice(ACTS), chance.uniform(0, 0.15)) for _ in range(randoms)]
    yield f"SIGKILL at random times (seed {seed}): {randoms} runs", killed


def _print(name: str, outcomes: list[Outcome]) -> None:
    lost, doubled = sum(one.lost for one in outcomes), sum(one.doubled for one in outcomes)
    differing = sum(not one.same for one in outcomes)
    print(f"{name}: {len(outcomes)} done, lost {lost}, doubled {doubled}, differing {differing}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
