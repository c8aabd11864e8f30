"""One run of a kill test: a story in which one process is disturbed after one step, and what is left of it."""

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

from tests.faults.ledgers import NewLedger
from tests.faults.parts import LIFE_STORY
from tests.faults.stage import Left, Stage, join, receive, wait_at_step
from tests.faults.watching import HERE, STEPS, WRITE, Fate, Step, Way

__all__ = ["ACTS", "MANY", "Outcome", "Runner", "compare"]

#: Whose process is disturbed: the one that accepts (and for `inline` and `verbatim` does) an add, or the worker.
ACTS = ("queued", "ingest", "inline", "verbatim")

#: The worker again, on an add whose events DynamoDB takes in many writes; each of them is a step.
MANY = "ingest-many"

_KEY = "the-only-try"
#: The workers, whose adds were accepted before.
_WORKERS = ("ingest", MANY)
_ADD = ("I moved to Hanoi and like tea", _KEY)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many memories and index rows a run lost or holds twice, against the undisturbed run."""

    lost: int
    doubled: int
    same: bool


class Runner:
    """Runs stories, each on a stage of its own."""

    def __init__(self, folder: Path, endpoint: str, new_ledger: NewLedger) -> None:
        self._folder = folder
        self._endpoint = endpoint
        self._new_ledger = new_ledger
        self._names = (f"story-{number}" for number in count())
        self.undisturbed: Callable[[str], tuple[Left, list[Step]]] = cache(self._undisturbed)
        self.seconds: Callable[[str], float] = cache(self._seconds)

    def stage(self) -> Stage:
        """A stage on which Alice lives in Hue."""
        folder = Path(mkdtemp(dir=self._folder))
        stage = Stage(folder, self._endpoint, next(self._names), self._new_ledger(folder))
        stage.act("inline", ("I live in Hue", "before"))
        stage.later(1)
        return stage

    def steps(self, act: str) -> list[Step]:
        """Every step that the process takes when nothing happens."""
        return self.undisturbed(act)[1]

    def staged_writes(self) -> list[Step]:
        """The writes of DynamoDB that the one `append` of many events consists of."""
        steps = self.steps(MANY)
        before = reversed(steps[: steps.index(Step("ledger.append", 1))])
        return list(takewhile(lambda step: step.call == WRITE, before))[::-1]

    def disturbed(self, act: str, fate: Fate, *, retry: bool = True) -> Outcome:
        """The story with the process of `act` meeting its fate; `retry`: the client asks again until it is answered."""
        stage, argument, records = self._before(act)
        process, line = stage.start(act, argument, fate)
        wait_at_step(process, line, fate.way)
        whole = self._whole(act, stage)
        finished = self._after(stage, act, records, retry=retry)
        if fate.way is Way.STALL:
            line.send("go on")
            join(process, line)
            finished = stage.recover()
        line.close()
        stage.redeliver(3)
        left = stage.left()
        if fate.way is Way.STALL:
            # Who goes on after sweep has indexed its work inserts the same rows again: the index port allows doubles,
            # and its readers take them for one.
            left = replace(left, rows=sorted(set(left.rows)))
        return compare(self.undisturbed(act)[0], left, finished and whole)

    def killed_after(self, act: str, share: float) -> Outcome:
        """The story with SIGKILL after a share of the time that the process takes, wherever it stands then."""
        stage, argument, records = self._before(act)
        process, line = stage.start(act, argument)
        process.join(share * self.seconds(act))
        process.kill()
        process.join()
        line.close()
        whole = self._whole(act, stage)
        finished = self._after(stage, act, records, retry=True)
        stage.redeliver(3)
        return compare(self.undisturbed(act)[0], stage.left(), finished and whole)

    def two_workers(self) -> Outcome:
        """One message to two workers at the same time."""
        stage = self.stage()
        stage.act("queued", _ADD)
        records = stage.receive()
        workers = [stage.start("ingest", {"Records": records}) for _ in range(2)]
        answers = [join(*worker) for worker in workers]
        assert all(answer is not None and answer[1] == {"batchItemFailures": []} for answer in answers), answers
        stage.settle_batch(records, answers[0][1])
        finished = stage.recover()
        return compare(self.undisturbed("ingest")[0], stage.left(), finished)

    def redelivered(self, step: Step) -> Outcome:
        """A message whose visibility ends while its worker stands after a step: a second worker joins, then both go on.

        No time passes, so that lease and claim of the first one hold.
        """
        stage = self.stage()
        stage.act("queued", _ADD)
        records = stage.receive()
        first = stage.start("ingest", {"Records": records}, Fate(step, Way.STALL))
        wait_at_step(*first, Way.STALL)
        stage.show(records)
        again = stage.receive()
        assert [one["messageId"] for one in again] == [one["messageId"] for one in records]
        # It tries for the lease, whatever comes of it, or finds the job done.
        second = stage.start("ingest", {"Records": again}, Fate(Step("ledger.acquire_lease", 1), Way.STALL))
        answer = receive(second[1])
        for worker in (first, second) if answer == HERE else (first,):
            worker[1].send("go on")
        answers = [join(*first), join(*second) if answer == HERE else answer]
        assert answers == [("done", {"batchItemFailures": []})] * 2
        for handed in (records, again):
            stage.settle_batch(handed, answers[0][1])
        finished = stage.recover()
        stage.redeliver(3)
        assert stage.dead() == []
        return compare(self.undisturbed("ingest")[0], stage.left(), finished)

    def _before(self, act: str) -> tuple[Stage, Any, list[dict[str, Any]]]:
        stage = self.stage()
        if act not in _WORKERS:
            return stage, _ADD, []
        stage.act("queued", (f"Let me tell you {LIFE_STORY}", _KEY) if act == MANY else _ADD)
        records = stage.receive()
        return stage, {"Records": records}, records

    def _after(self, stage: Stage, act: str, records: list[dict[str, Any]], *, retry: bool) -> bool:
        # Lambda's event source sees that the function is gone; the client that its connection is.
        stage.settle_batch(records, None)
        if act not in _WORKERS and retry:
            stage.later()
            stage.act(act, _ADD)
        return stage.recover()

    def _whole(self, act: str, stage: Stage) -> bool:
        """Whether all of the add is to be seen or nothing, before anybody has repaired anything."""
        return stage.memories() in {1, len(self.undisturbed(act)[0].memories)}

    def _seconds(self, act: str) -> float:
        stage, argument, _ = self._before(act)
        start = time.monotonic()
        join(*stage.start(act, argument))
        return time.monotonic() - start

    def _undisturbed(self, act: str) -> tuple[Left, list[Step]]:
        stage, argument, records = self._before(act)
        answer, steps = stage.act(act, argument)
        if act in _WORKERS:
            stage.settle_batch(records, answer)
            steps = [*steps, Step("handler", 1)]
        assert stage.recover()
        assert {step.call for step in steps} <= set(STEPS)
        return stage.left(), steps


def compare(expected: Left, found: Left, finished: bool) -> Outcome:
    """Count what is missing and what is too much."""
    lost = doubled = 0
    for name in ("memories", "histories", "jobs", "rows"):
        wanted, there = Counter(getattr(expected, name)), Counter(getattr(found, name))
        lost += (wanted - there).total()
        doubled += (there - wanted).total()
    return Outcome(lost, doubled, finished and expected == found)
