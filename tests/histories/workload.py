"""The load of an episode: many clients, each choosing what to do next at random, from a seed."""

from __future__ import annotations

import itertools
import random
import threading
import time
import traceback
from collections.abc import Callable

from tests.histories.asking import Asker
from tests.histories.board import Board
from tests.histories.client import Client
from tests.histories.recorder import Recorder
from tests.histories.world import Tenant, World

__all__ = ["Load"]

#: How often each is done beside the others.
WEIGHTS = {
    "verbatim": 10.0,
    "inferred": 7.0,
    "superseding": 6.0,
    "update": 26.0,
    "delete": 5.0,
    "delete scope": 1.0,
    "delete matching": 1.0,
    "get": 16.0,
    "list": 9.0,
    "search": 12.0,
    "history": 5.0,
    "export": 1.0,
}
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
        self.board = Board(users=2)
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
        asker = Asker(world.urls(), tenant.key, chance=random.Random(chance.random()), going_on=self.going_on)
        client = Client(
            number,
            asker,
            self.board,
            self._recorder,
            chance,
            word=lambda: f"k{number}n{next(count)}",
            queued=(lambda job: world.queued_job(tenant.name, job)) if world.queued else None,
        )

        def work() -> None:
            acts = _acts(client, self.board, chance)
            try:
                while self.going_on():
                    acts[chance.choices(list(acts), [WEIGHTS[act] for act in acts])[0]]()
                    if len(self._recorder.waiting) > _UNATTENDED:
                        client.look_after_events()
            except Exception:  # noqa: BLE001 - whatever it is, it is the harness that fails: the run must say so
                self.errors.append(traceback.format_exc())
                self._stopped.set()
            finally:
                asker.close()

        return threading.Thread(target=work, name=f"client-{number}", daemon=True)


def _acts(client: Client, board: Board, chance: random.Random) -> dict[str, Callable[[], None]]:
    """What there is to do, by its name in WEIGHTS."""

    def scope() -> dict[str, str]:
        return dict(chance.choice(board.scopes))

    def make_room_or(add: Callable[[], None], whose: dict[str, str]) -> None:
        if board.is_full(whose):
            known = board.pick(chance, whose)
            chance.choice([lambda: client.delete_scope(whose), lambda: known and client.delete(known.id)])()
        else:
            add()

    def verbatim() -> None:
        whose = scope()
        make_room_or(lambda: client.add(whose, infer=False), whose)

    def inferred() -> None:
        whose = scope()
        make_room_or(lambda: client.add(whose, infer=True), whose)

    def superseding() -> None:
        known = board.pick(chance)
        if known is not None:
            client.add(known.scope, infer=True, replacing=known.word)

    def update() -> None:
        known = board.pick(chance)
        if known is not None:
            client.update(known.id, known.scope, known.version if chance.random() < 0.3 else None)

    def of_one(act: Callable[[str], None]) -> Callable[[], None]:
        def do() -> None:
            known = board.pick(chance)
            if known is not None:
                act(known.id)

        return do

    def search() -> None:
        found = board.word(chance)
        if found is not None:
            client.search(*found)

    return {
        "verbatim": verbatim,
        "inferred": inferred,
        "superseding": superseding,
        "update": update,
        "delete": of_one(client.delete),
        "delete scope": lambda: client.delete_scope(scope()),
        "delete matching": lambda: client.delete_matching(scope()),
        "get": of_one(client.get),
        "list": lambda: client.list(scope()),
        "search": search,
        "history": of_one(client.history),
        "export": client.export,
    }
