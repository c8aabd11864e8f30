"""Runs episodes in one world, one after the other, and checks the history of each."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.histories.anomalies import Anomaly, AnomalyKind
from tests.histories.anomaly_report import report
from tests.histories.checker import check
from tests.histories.emulator_world import EmulatorWorld
from tests.histories.episode import Episode, Plan
from tests.histories.history import save
from tests.histories.processes import WorldError
from tests.histories.uvicorn_world import DynamoWorld, SqliteWorld
from tests.histories.world import OURS, Checkout, World

__all__ = ["PLANS", "WORLDS", "Run", "Tally", "plan_of"]

#: The constructor of each world by its name: from a folder, a checkout and a seed.
WORLDS: dict[str, Callable[[Path, Checkout, int], World]] = {
    "sqlite": lambda folder, checkout, _: SqliteWorld(folder, checkout),
    "emulator": lambda folder, checkout, _: EmulatorWorld(folder, checkout),
    "dynamodb": lambda folder, checkout, seed: DynamoWorld(folder, checkout, seed=seed),
}
#: The load is longer where a restart takes longer.
PLANS = {
    "sqlite": Plan(seconds=45, clients=8),
    "emulator": Plan(seconds=60, clients=8),
    "dynamodb": Plan(seconds=60),
}
#: Seconds for the work of a tenant to end.
REST_S = 180.0
#: The folder for histories that show an anomaly.
RESULTS = OURS / "history-results"


@dataclass
class Tally:
    """The counts of a run so far."""

    operations: int = 0
    faults: int = 0
    episodes: int = 0
    anomalies: int = 0
    undecided: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    operations_by_kind: Counter[str] = field(default_factory=Counter)
    faults_by_name: Counter[str] = field(default_factory=Counter)


class Run:
    """A run in one world; `tell` takes lines for people."""

    def __init__(self, kind: str, *, seed: int, checkout: Checkout, tell: Callable[[str], None], plan: Plan) -> None:
        self.kind = kind
        self.seed = seed
        self.tally = Tally()
        self._checkout = checkout
        self._tell = tell
        self._plan = plan

    def run(self, *, going_on: Callable[[Tally], bool]) -> Tally:
        """Run episodes while the condition holds. Raises WorldError when the world cannot be started."""
        folder = Path(tempfile.mkdtemp(prefix="forgetless-histories-"))
        began = time.monotonic()
        world = WORLDS[self.kind](folder, self._checkout, self.seed)
        try:
            world.start()
            while going_on(self.tally) and self._episode(world):
                pass
        finally:
            world.stop()
        self.tally.seconds = time.monotonic() - began
        if not self.tally.anomalies:
            shutil.rmtree(folder, ignore_errors=True)
        return self.tally

    def _episode(self, world: World) -> bool:
        """Run one episode; return whether the world can be used for another one."""
        tally = self.tally
        tally.episodes += 1
        episode = Episode(world, seed=self.seed, number=tally.episodes, plan=self._plan)
        wrong = ""
        try:
            episode.run()
            if not episode.rest(seconds=REST_S):
                wrong = f"the tenant did not come to rest within {REST_S:g} s"
            elif said := world.check():
                wrong = f"forgetless check: {said}"
        except WorldError as error:
            wrong = f"the service is not well after what was done to it: {error}"
        self._count(episode)
        self._judge(episode, wrong, world.folder)
        self._tell(
            f"{self.kind}: {tally.episodes} episodes, {tally.operations:,} operations, {tally.faults:,} faults, "
            f"{tally.anomalies} anomalies"
        )
        return not wrong

    def _count(self, episode: Episode) -> None:
        tally, recorder = self.tally, episode.recorder
        tally.operations += recorder.operations + len(recorder.waiting)
        tally.faults += recorder.faults
        for draft in recorder.drafts():
            tally.operations_by_kind[draft.kind.value] += 1
            tally.outcomes[draft.outcome.value] += 1
        tally.faults_by_name += recorder.faults_begun()

    def _judge(self, episode: Episode, wrong: str, folder: Path) -> None:
        history = episode.history()
        judgement = check(history)
        self.tally.anomalies += len(judgement.anomalies) + bool(wrong)
        self.tally.undecided += len(judgement.undecided)
        if judgement.good and not wrong:
            return
        judgement.anomalies = _each_kind_first(judgement.anomalies)
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.kind}-seed{self.seed}-episode{episode.number}.jsonl"
        save(history, path)
        lines = [
            f"{self.kind}, seed {self.seed}, episode {episode.number}: {wrong}".rstrip(": "),
            *report(history, judgement),
            f"judge it again: python -m tests.histories.check {path}",
            f"logs: {folder / 'logs'}",
        ]
        self._tell("\n".join(lines))


def _each_kind_first(anomalies: Iterable[Anomaly]) -> list[Anomaly]:
    """The same, with one of each kind before the second of any: a report shows the first few in full."""
    seen: Counter[AnomalyKind] = Counter()
    ranked = []
    for anomaly in anomalies:
        ranked.append((seen[anomaly.kind], anomaly))
        seen[anomaly.kind] += 1
    return [anomaly for _, anomaly in sorted(ranked, key=lambda one: one[0])]


def plan_of(kind: str, **given: Any) -> Plan:
    """A world's plan with what was given (None: not) in place of its own."""
    return replace(PLANS[kind], **{name: value for name, value in given.items() if value is not None})
