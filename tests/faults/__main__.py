"""`make kill-test` runs the kill tests more often, also with SIGKILL at random times, and prints counts."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from tests.faults.fault_injection import Fault, Way
from tests.faults.harness import queue_server
from tests.faults.kill_runner import LONG, MANY, TASKS, Outcome, Runner
from tests.faults.ledgers import KINDS, ledgers

#: Runs of each step, SIGKILLs at random times, and ways, where the options name none: moto's DynamoDB is ten times
#: slower than SQLite, and cannot tell a process that ends itself from one that is killed.
RUNS = {"sqlite": 3, "dynamodb": 1}
RANDOM = {"sqlite": 100, "dynamodb": 20}
WAYS = {"sqlite": tuple(Way), "dynamodb": (Way.KILL, Way.STALL)}


def main() -> int:
    """Run, print one line for each process and kind of fault, and fail when anything was lost or doubled."""
    parser = argparse.ArgumentParser(prog="make kill-test ARGS=", description=__doc__)
    parser.add_argument("--ledger", choices=KINDS, help="use only this ledger (default: both in turn)")
    parser.add_argument("--runs", type=int, help=f"runs of each step and way (default {RUNS})")
    parser.add_argument("--random", type=int, help=f"SIGKILLs at random times (default {RANDOM})")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="seed of the random times")
    options = parser.parse_args()
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
    kinds = (options.ledger,) if options.ledger else KINDS
    same = [_over(kind, options.runs, options.random, options.seed) for kind in kinds]
    return 0 if all(same) else 1


def _over(kind: str, runs: int | None, randoms: int | None, seed: int) -> bool:
    """Run everything over one ledger; return whether all results are the same."""
    runs = RUNS[kind] if runs is None else runs
    randoms = RANDOM[kind] if randoms is None else randoms
    total: list[Outcome] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runner = Runner(folder, stack.enter_context(queue_server(folder)), stack.enter_context(ledgers(kind)))
        scenarios = _all(runner, WAYS[kind], runs, randoms, seed)
        for name, outcomes in chain(scenarios, _many(runner, runs) if kind == "dynamodb" else ()):
            _print(f"{kind}, {name}", outcomes)
            total += outcomes
    _print(f"{kind}, all", total)
    return all(outcome.same for outcome in total)


def _all(
    runner: Runner, ways: Sequence[Way], runs: int, randoms: int, seed: int
) -> Iterator[tuple[str, list[Outcome]]]:
    for task in (*TASKS, LONG):
        steps = runner.steps(task)
        for way in ways:
            outcomes = [runner.disturbed(task, Fault(step, way)) for step in steps for _ in range(runs)]
            yield f"{task}: {len(steps)} steps x {way} x {runs} runs", outcomes
    steps = runner.steps("queued")
    gone = [runner.disturbed("queued", Fault(step, Way.KILL), retry=False) for step in steps for _ in range(runs)]
    yield f"queued, client never asks again: {len(steps)} steps x kill x {runs} runs", gone
    yield f"one message to two workers: {10 * runs} runs", [runner.two_workers() for _ in range(10 * runs)]
    steps = runner.steps("ingest")
    again = [runner.redelivered(step) for step in steps for _ in range(runs)]
    yield f"redelivered while its job runs: {len(steps)} steps x {runs} runs", again
    chance = random.Random(seed)
    killed = [runner.killed_after(chance.choice(TASKS), chance.uniform(0, 1)) for _ in range(randoms)]
    yield f"SIGKILL at random times (seed {seed}): {randoms} runs", killed


def _many(runner: Runner, runs: int) -> Iterator[tuple[str, list[Outcome]]]:
    """Run an append of several transactions, and disturb its worker after each write."""
    writes = runner.staged_writes()
    for way in (Way.KILL, Way.STALL):
        outcomes = [runner.disturbed(MANY, Fault(write, way)) for write in writes for _ in range(runs)]
        yield f"one append of many events: {len(writes)} writes x {way} x {runs} runs", outcomes


def _print(name: str, outcomes: list[Outcome]) -> None:
    lost, doubled = sum(one.lost for one in outcomes), sum(one.doubled for one in outcomes)
    differing = sum(not one.same for one in outcomes)
    print(f"{name}: {len(outcomes)} done, lost {lost}, doubled {doubled}, differing {differing}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
