"""One episode: a tenant of its own, clients and a nemesis for a while, a restart, the state at rest, the verdict."""

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
    """How large episodes are."""

    clients: int = 6
    #: The end of the load, whichever comes first.
    operations: int | None = None
    seconds: float = 40.0
    #: Between two faults.
    shortest: float = 0.3
    longest: float = 2.5
    #: Those faults alone whose name has a match.
    faults: str = ""


class Episode:
    """Played once; its history is complete once the tenant has come to rest."""

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

    def play(self) -> None:
        """The load and the faults, and then a restart: what was acknowledged must have reached the disk.

        Raises WorldError when the service is not well after it.
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
        """Read what is there once nothing is left to do; whether the tenant came to rest within `seconds`."""
        settled = self._world.settle(self._tenant, seconds=seconds)
        if settled.open_jobs or settled.pending:
            return False
        recorder, chance = self.recorder, self._chance
        requester = Requester(self._world.urls(), self._tenant.key, chance=chance, timeout_s=60.0)
        try:
            # Whatever was accepted has ended now, or never will.
            for event in list(recorder.waiting):
                ask_after(event, requester, recorder, repeat=True)
            named = named_by_llm(self._world.llm_log)
            recorder.amend(superseded(recorder.drafts(), settled.ledger, named))
            self.rested = read_rest(requester, settled, self._load.knowledge.scopes, recorder.drafts(), chance)
        finally:
            requester.close()
        return True

    def history(self) -> History:
        """All that is known of it by now."""
        return self.recorder.history(self.rested)
