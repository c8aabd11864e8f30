"""The load of an episode: many clients, each with random requests from a seed."""

from __future__ import annotations

import itertools
import random
import threading
import time
import traceback

from tests.histories.client import Client
from tests.histories.generator import OperationGenerator
from tests.histories.recorder import Recorder
from tests.histories.requester import Requester
from tests.histories.shared_knowledge import SharedKnowledge
from tests.histories.world import Tenant, World

__all__ = ["Load"]

#: Queued adds that a client leaves unattended before it asks after them.
_UNATTENDED = 3


class Load:
    """Clients in threads, from `start` until enough operations are recorded, the time is over, or `stop`."""

    def __init__(
        self,
        world: World,
        tenant: Tenant,
        recorder: Recorder,
        *,
        name: str,
        clients: int,
        operations: int | None,
        seconds: float,
    ) -> None:
        self.knowledge = SharedKnowledge(users=2)
        self._recorder = recorder
        self._operations = operations
        self._seconds = seconds
        self._stopped = threading.Event()
        self._began = time.monotonic()
        self.errors: list[str] = []
        self._threads = [self._thread(world, tenant, name, number) for number in range(clients)]

    def start(self) -> None:
        """Let the clients begin."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def going_on(self) -> bool:
        """Whether clients begin anything new."""
        enough = self._operations is not None and self._recorder.operations >= self._operations
        return not (self._stopped.is_set() or enough or time.monotonic() - self._began > self._seconds)

    def running(self) -> bool:
        """Whether any client waits for an answer yet."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Let the clients end; returns when they have."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _thread(self, world: World, tenant: Tenant, name: str, number: int) -> threading.Thread:
        chance = random.Random(f"{name}, client {number}")
        count = itertools.count(1)
        requester = Requester(world.urls(), tenant.key, chance=random.Random(chance.random()), going_on=self.going_on)
        client = Client(
            number,
            requester,
            self.knowledge,
            self._recorder,
            chance,
            word=lambda: f"k{number}n{next(count)}",
            queued=(lambda job: world.queued_job(tenant.name, job)) if world.queued else None,
        )

        def work() -> None:
            choices = OperationGenerator(client, self.knowledge, chance)
            try:
                while self.going_on():
                    choices.one()
                    if len(self._recorder.waiting) > _UNATTENDED:
                        client.look_after_events()
            except Exception:  # noqa: BLE001 - whatever it is, it is the harness that fails: the run must say so
                self.errors.append(traceback.format_exc())
                self._stopped.set()
            finally:
                requester.close()

        return threading.Thread(target=work, name=f"client-{number}", daemon=True)
