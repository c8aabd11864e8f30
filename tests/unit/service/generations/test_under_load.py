"""A model is changed, and changed back, while processes search, write, delete and erase: nothing fails or is lost."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from forgetless.domain.generations import Phase
from forgetless.domain.scope import Scope
from tests.fakes.clock import FakeClock
from tests.unit.service.generations.place import ANNA, NEW, OLD, Place, find, known, say, upkeep, work

_USERS = ("bea", "cid", "dan")
_MOST_STEPS = 120


class _Load:
    """Threads of clients, each of which asks any process. `kept` is what was acknowledged and not deleted."""

    def __init__(self, place: Place, processes: int = 3) -> None:
        self.processes = [place.process() for _ in range(processes)]
        self.stopped, self.failed = threading.Event(), threading.Event()
        self.kept: list[str] = []
        self.gone: list[str] = []
        self.searches = 0
        self._began = [0, 0, 0]

    def wait_for_all(self) -> None:
        """Let every client end what it is doing, so that no request lasts longer than requests may."""
        before = list(self._began)
        while any(now <= then for now, then in zip(self._began, before, strict=True)) and not self.failed.is_set():
            time.sleep(0.001)

    def guarded(self, client: Callable[[int], None], seed: int) -> None:
        try:
            client(seed)
        finally:
            if not self.stopped.is_set():
                self.failed.set()

    def keep(self, seed: int) -> None:
        """Write, and look for it in another process at once; delete some."""
        # A scope of its own: a deletion takes words from the context of what is said next, and then sweep indexes that.
        rng, number, scope = random.Random(seed), 0, Scope("acme", user_id=f"client {seed}")
        while not self.stopped.is_set():
            number += 1
            self._began[seed] += 1
            text = f"w{seed}x{number} stands beside v{seed}x{number}."
            [id_] = say(rng.choice(self.processes), text, scope=scope)
            assert text in find(rng.choice(self.processes), text, scope=scope, top_k=10), f"{text} was acknowledged"
            self.searches += 1
            if number % 3:
                self.kept.append(text)
                continue
            rng.choice(self.processes)().changes.delete("acme", id_)
            assert text not in find(rng.choice(self.processes), text, scope=scope)
            self.gone.append(text)

    def erase(self, seed: int) -> None:
        """Write for a user, and erase everything of it."""
        rng, number = random.Random(seed), 0
        while not self.stopped.is_set():
            number += 1
            self._began[seed] += 1
            scope = Scope("acme", user_id=rng.choice(_USERS))
            said = [f"secret{number} of {scope.user_id} {part}." for part in range(3)]
            say(rng.choice(self.processes), *said, scope=scope)
            rng.choice(self.processes)().changes.delete_scope("acme", scope.ids())
            assert find(rng.choice(self.processes), said[0], scope=scope) == []
            self.gone += said


def test_a_change_of_model_and_back_under_load_loses_nothing(place: Place, clock: FakeClock) -> None:
    place.by_itself = False
    load = _Load(place)
    before = [f"b{number} was there before, c{number}." for number in range(40)]
    say(load.processes[0], *before)
    driver = load.processes[0]

    def until(phase: Phase) -> None:
        for _ in range(_MOST_STEPS):
            if known(driver).phase is phase:
                return
            work(driver)
            load.wait_for_all()
            clock.advance(9)
            if load.failed.is_set():
                break
        raise AssertionError(f"it is still {known(driver)}")

    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(load.guarded, load.keep, seed) for seed in (0, 1)]
        clients.append(pool.submit(load.guarded, load.erase, 2))
        try:
            upkeep(driver).begin(switching=True)
            until(Phase.OLD)
            assert known(driver).serving == NEW
            for text in before[::7]:
                assert text in find(load.processes[1], text, top_k=10)
            upkeep(driver).back()
            until(Phase.OLD)
        finally:
            load.stopped.set()
            for client in clients:
                client.result()
    assert known(driver).serving == OLD
    assert load.searches > 20
    for _ in range(8):
        clock.advance(60)
        work(driver)
    expected = sorted([*before, *load.kept])
    assert place.rows(OLD) == expected
    assert place.rows(NEW) == expected
    assert not set(load.gone) & set(place.rows(OLD) + place.rows(NEW))
    tally = place.ledger.tally(limit=10_000)
    assert (tally.pending, tally.behind, tally.set_aside) == (0, 0, 0)
    assert find(driver, "tea", scope=ANNA, top_k=1000)
