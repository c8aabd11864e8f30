"""Runs a kill test: a scenario in which one process is disturbed after one step, compared with an undisturbed run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import count, takewhile
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.faults.fault_injection import HERE, STEPS, WRITE, Fault, Step, Way
from tests.faults.harness import Harness, Left, join, receive, wait_at_step
from tests.faults.ledgers import NewLedger
from tests.faults.shared_stores import LIFE_STORY, long_talk

__all__ = ["LONG", "MANY", "TASKS", "Outcome", "Runner", "compare"]

#: The tasks whose process is disturbed: it accepts (and for `inline` and `verbatim` does) an add, or is the worker.
TASKS = ("queued", "ingest", "inline", "verbatim")

#: The worker with an add whose events DynamoDB stores in many writes; each of them is a step.
MANY = "ingest-many"

#: The worker with an add whose messages are too long for one call of the LLM.
LONG = "ingest-long"
_CALLS = 3

_KEY = "the-only-try"
#: The tasks of workers, whose adds were accepted before.
_WORKERS = ("ingest", MANY, LONG)
_ADD = ("I moved to Hanoi and like tea", _KEY)
_ADDS = {MANY: (f"Let me tell you {LIFE_STORY}", _KEY), LONG: (long_talk(_CALLS), _KEY)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The number of lost and doubled memories and index rows, compared with the undisturbed run."""

    lost: int
    doubled: int
    same: bool


class Runner:
    """Runs scenarios, each in a harness of its own."""

    def __init__(self, folder: Path, endpoint: str, new_ledger: NewLedger) -> None:
        self._folder = folder
        self._endpoint = endpoint
        self._new_ledger = new_ledger
        self._names = (f"scenario-{number}" for number in count())
        self.undisturbed: Callable[[str], tuple[Left, list[Step]]] = cache(self._undisturbed)
        self.seconds: Callable[[str], float] = cache(self._seconds)

    def harness(self) -> Harness:
        """Make a harness in which the service knows that Alice lives in Hue."""
        folder = Path(mkdtemp(dir=self._folder))
        harness = Harness(folder, self._endpoint, next(self._names), self._new_ledger(folder))
        harness.run("inline", ("I live in Hue", "before"))
        harness.later(1)
        return harness

    def steps(self, task: str) -> list[Step]:
        """Return every step of the undisturbed process."""
        return self.undisturbed(task)[1]

    def staged_writes(self) -> list[Step]:
        """Return the DynamoDB writes of one `append` of many events."""
        steps = self.steps(MANY)
        before = reversed(steps[: steps.index(Step("ledger.append", 1))])
        return list(takewhile(lambda step: step.call == WRITE, before))[::-1]

    def disturbed(self, task: str, fault: Fault, *, retry: bool = True) -> Outcome:
        """Run the scenario with a fault in the process of `task`; with `retry` the client asks until it is answered."""
        harness, argument, records = self._before(task)
        process, line = harness.start(task, argument, fault)
        wait_at_step(process, line, fault.way)
        whole = self._whole(task, harness)
        finished = self._after(harness, task, records, retry=retry)
        if fault.way is Way.STALL:
            line.send("go on")
            join(process, line)
            finished = harness.recover()
        line.close()
        harness.redeliver(3)
        left = harness.left()
        if task == LONG:
            # Only the call after which the process was disturbed may have been made in vain.
            in_flight = fault.step.call == "llm.complete" or fault.way is Way.STALL
            finished = finished and len(harness.calls_of_llm()) <= _CALLS + in_flight
        if fault.way is Way.STALL:
            # A process that goes on after sweep has indexed its work inserts the same rows again: the index port
            # allows doubles, and its readers take them for one.
            left = replace(left, rows=sorted(set(left.rows)))
        return compare(self.undisturbed(task)[0], left, finished and whole)

    def killed_after(self, task: str, share: float) -> Outcome:
        """Run the scenario with SIGKILL after a share of the time that the process usually takes."""
        harness, argument, records = self._before(task)
        process, line = harness.start(task, argument)
        process.join(share * self.seconds(task))
        process.kill()
        process.join()
        line.close()
        whole = self._whole(task, harness)
        finished = self._after(harness, task, records, retry=True)
        harness.redeliver(3)
        return compare(self.undisturbed(task)[0], harness.left(), finished and whole)

    def two_workers(self) -> Outcome:
        """Give one message to two workers at the same time."""
        harness = self.harness()
        harness.run("queued", _ADD)
        records = harness.receive()
        workers = [harness.start("ingest", {"Records": records}) for _ in range(2)]
        answers = [join(*worker) for worker in workers]
        assert all(answer is not None and answer[1] == {"batchItemFailures": []} for answer in answers), answers
        harness.settle_batch(records, answers[0][1])
        finished = harness.recover()
        return compare(self.undisturbed("ingest")[0], harness.left(), finished)

    def redelivered(self, step: Step) -> Outcome:
        """End the visibility of a message while its worker waits after a step; a second worker starts, then both go on.

        No time passes, so the lease and the claim of the first one stay valid.
        """
        harness = self.harness()
        harness.run("queued", _ADD)
        records = harness.receive()
        first = harness.start("ingest", {"Records": records}, Fault(step, Way.STALL))
        wait_at_step(*first, Way.STALL)
        harness.show(records)
        again = harness.receive()
        assert [one["messageId"] for one in again] == [one["messageId"] for one in records]
        # It tries to get the lease, or finds that the job is done.
        second = harness.start("ingest", {"Records": again}, Fault(Step("ledger.acquire_lease", 1), Way.STALL))
        answer = receive(second[1])
        for worker in (first, second) if answer == HERE else (first,):
            worker[1].send("go on")
        answers = [join(*first), join(*second) if answer == HERE else answer]
        assert answers == [("done", {"batchItemFailures": []})] * 2
        for handed in (records, again):
            harness.settle_batch(handed, answers[0][1])
        finished = harness.recover()
        harness.redeliver(3)
        assert harness.dead() == []
        return compare(self.undisturbed("ingest")[0], harness.left(), finished)

    def _before(self, task: str) -> tuple[Harness, Any, list[dict[str, Any]]]:
        harness = self.harness()
        if task not in _WORKERS:
            return harness, _ADD, []
        harness.run("queued", _ADDS.get(task, _ADD))
        records = harness.receive()
        return harness, {"Records": records}, records

    def _after(self, harness: Harness, task: str, records: list[dict[str, Any]], *, retry: bool) -> bool:
        # Lambda's event source sees that the function has ended, and the client that its connection has.
        harness.settle_batch(records, None)
        if task not in _WORKERS and retry:
            harness.later()
            harness.run(task, _ADD)
        return harness.recover()

    def _whole(self, task: str, harness: Harness) -> bool:
        """Return whether all of the add is visible or nothing, before any repair."""
        return harness.memories() in {1, len(self.undisturbed(task)[0].memories)}

    def _seconds(self, task: str) -> float:
        harness, argument, _ = self._before(task)
        start = time.monotonic()
        join(*harness.start(task, argument))
        return time.monotonic() - start

    def _undisturbed(self, task: str) -> tuple[Left, list[Step]]:
        harness, argument, records = self._before(task)
        answer, steps = harness.run(task, argument)
        if task in _WORKERS:
            harness.settle_batch(records, answer)
            steps = [*steps, Step("handler", 1)]
        assert harness.recover()
        assert {step.call for step in steps} <= set(STEPS)
        return harness.left(), steps


def compare(expected: Left, found: Left, finished: bool) -> Outcome:
    """Count missing and additional items."""
    lost = doubled = 0
    for name in ("memories", "histories", "jobs", "rows"):
        wanted, there = Counter(getattr(expected, name)), Counter(getattr(found, name))
        lost += (wanted - there).total()
        doubled += (there - wanted).total()
    return Outcome(lost, doubled, finished and expected == found)
