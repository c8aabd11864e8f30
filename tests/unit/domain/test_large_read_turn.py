"""The turn of large reads goes from tenant to tenant, and few requests of one wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from forgetless.domain import large_read_turn, loaded_bytes
from forgetless.domain.large_read_turn import LargeReadTurn
from forgetless.domain.loaded_bytes import await_turn, count_loaded, loading

_LONG = 60.0


class Queue:
    """Requests that wait for a turn, and the order in which they had it."""

    def __init__(self) -> None:
        self.turn = LargeReadTurn()
        self.had: list[str] = []
        self._threads: list[threading.Thread] = []

    def wait(self, tenant: str) -> None:
        """A request of the tenant that waits, when this returns, has the turn then, and gives it back."""

        def work() -> None:
            assert self.turn.take(tenant, patience_s=_LONG)
            self.had.append(tenant)
            self.turn.give(tenant)

        before = self.waiting()
        self.begin(work)
        until(lambda: self.waiting() == before + 1)

    def begin(self, work: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=work))
        self._threads[-1].start()

    def waiting(self) -> int:
        return sum(map(len, self.turn._waiting.values()))

    def end(self) -> None:
        for thread in self._threads:
            thread.join(_LONG)


def until(done: Callable[[], bool]) -> None:
    give_up = time.monotonic() + _LONG
    while not done():
        assert time.monotonic() < give_up
        time.sleep(0.001)


@contextmanager
def held(tenant: str) -> Iterator[Queue]:
    """A queue whose turn this tenant has until the end of the block."""
    queue = Queue()
    assert queue.turn.take(tenant, patience_s=0.0)
    yield queue
    queue.turn.give(tenant)
    queue.end()


def test_a_tenant_with_many_requests_lets_the_others_in_between() -> None:
    with held("many") as queue:
        for tenant in ("many", "many", "many", "one", "two"):
            queue.wait(tenant)
    assert queue.had == ["one", "two", "many", "many", "many"]


def test_of_one_tenant_few_requests_wait_and_the_others_fail_at_once() -> None:
    with held("many") as queue:
        for _ in range(large_read_turn._WAITING_EACH):
            queue.wait("many")
        began = time.monotonic()
        assert not queue.turn.take("many", patience_s=10.0)
        assert time.monotonic() - began < 5.0
        queue.wait("one")
    assert queue.had[0] == "one"


def test_who_does_not_get_the_turn_in_time_leaves_the_queue() -> None:
    with held("many") as queue:
        assert not queue.turn.take("one", patience_s=0.01)
        assert queue.waiting() == 0
    assert queue.turn.take("two", patience_s=0.0)


def test_between_two_portions_another_tenant_has_the_turn() -> None:
    with held("many") as queue:
        queue.wait("many")
        queue.wait("one")
        assert queue.turn.share("many", patience_s=_LONG)
        assert queue.had == ["one"], "its own other requests come later"
    assert queue.had == ["one", "many"]


def test_nobody_gives_the_turn_to_a_request_of_the_same_tenant() -> None:
    with held("many") as queue:
        queue.wait("many")
        assert queue.turn.share("many", patience_s=_LONG)
        assert queue.had == []


def test_few_requests_wait_with_what_they_have_read() -> None:
    """Each may hold as much as an answer can, so beyond this number a request goes on to its end."""
    with held("0") as queue:
        paused = large_read_turn._PAUSED
        for place in range(1, paused + 1):

            def work(tenant: str = str(place)) -> None:
                assert queue.turn.take(tenant, patience_s=_LONG)
                queue.had.append(tenant)
                assert queue.turn.share(tenant, patience_s=_LONG)
                queue.had.append(f"{tenant} again")
                queue.turn.give(tenant)

            queue.begin(work)
            until(lambda place=place: queue.waiting() == place)  # type: ignore[misc]
        queue.wait("last")
        assert queue.turn.share("0", patience_s=_LONG)
    # The first one let "1" in, which let "2" in, so two were paused, and "2" went on to its end.
    assert queue.had[:3] == ["1", "2", "2 again"]


def test_one_tenants_reads_leave_the_turn_to_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever one tenant asks for meanwhile, another one reads as soon as a portion has ended."""
    monkeypatch.setattr(loaded_bytes, "_LIGHT", 1000)
    found = list[str]()
    with loading("many"):
        count_loaded(b"x" * 5000)
        await_turn()

        def other() -> None:
            with loading("one"):
                count_loaded(b"x" * 5000)
                await_turn()
                found.append("one")

        thread = threading.Thread(target=other)
        thread.start()
        until(lambda: bool(loaded_bytes._turn._waiting))
        await_turn()
        assert found == ["one"]
        thread.join(_LONG)
