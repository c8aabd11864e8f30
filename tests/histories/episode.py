"""One episode: clients and a nemesis work on a new tenant, then everything is restarted and the final state is read."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from tests.histories.accepted_adds import ask_after
from tests.histories.final_state import read_rest
from tests.histories.history import History, Rest
from tests.histories.nemesis import Nemesis
from tests.histories.processes import WorldError
from tests.histories.providers import named_by_llm
from tests.histories.recorder import Recorder
from tests.histories.requester import Requester
from tests.histories.supersessions import superseded
from tests.histories.workload import Load
from tests.histories.world import World

__all__ = ["Episode", "Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of episodes."""

    clients: int = 6
    #: The load ends at the first of both.
    operations: int | None = None
    seconds: float = 40.0
    #: Seconds between two faults.
    shortest: float = 0.3
    longest: float = 2.5
    #: Only faults whose name matches this pattern.
    faults: str = ""


class Episode:
    """An episode, which runs once; its history is complete when the final state has been read."""

    def __init__(self, world: World, *, seed: int, number: int, plan: Plan) -> None:
        name = f"{world.name}, seed {seed}, episode {number}"
        self.number = number
        self.recorder = Recorder(seed, {"world": world.name, "episode": number})
        self.rested: Rest | None = None
        self._world = world
        self._plan = plan
        self._chance = random.Random(name)
        self._tenant = world.new_tenant(f"episode-{number}")
        self._load = Load(
            world,
            self._tenant,
            self.recorder,
            name=name,
            clients=plan.clients,
            operations=plan.operations,
            seconds=plan.seconds,
        )

    def run(self) -> None:
        """Run the load and the faults, then restart everything: acknowledged changes must have reached the disk.

        Raises WorldError when the service is not healthy afterwards.
        """
        plan = self._plan
        faults = [fault for fault in self._world.faults() if re.search(plan.faults, fault.name)]
        nemesis = Nemesis(faults, self.recorder, self._chance, shortest=plan.shortest, longest=plan.longest)
        self._load.start()
        nemesis.rage(self._load.running)
        self._load.stop()
        if self._load.errors:
            raise WorldError(f"a client of episode {self.number} failed:\n{self._load.errors[0]}")
        rudely = self._chance.random() < 0.5
        self.recorder.fault(f"begin restart of everything{' by SIGKILL' if rudely else ''}", "everything")
        self._world.restart(rudely=rudely)

    def rest(self, *, seconds: float) -> bool:
        """Read the final state when no work is left; return whether that was so within `seconds`."""
        settled = self._world.settle(self._tenant, seconds=seconds)
        if settled.open_jobs or settled.pending:
            return False
        recorder, chance = self.recorder, self._chance
        requester = Requester(self._world.urls(), self._tenant.key, chance=chance, timeout_s=60.0)
        try:
            # An accepted add has ended by now or will never end.
            for event in list(recorder.waiting):
                ask_after(event, requester, recorder, repeat=True)
            named = named_by_llm(self._world.llm_log)
            recorder.amend(superseded(recorder.drafts(), settled.ledger, named))
            self.rested = read_rest(requester, settled, self._load.knowledge.scopes, recorder.drafts(), chance)
        finally:
            requester.close()
        return True

    def history(self) -> History:
        """Return the history so far."""
        return self.recorder.history(self.rested)
