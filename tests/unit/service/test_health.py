"""Health: each part is checked within a second, except for the first time in a process."""

from __future__ import annotations

import threading

import pytest

from forgetless.domain.errors import LedgerError
from forgetless.service.health import HealthService


def test_the_first_check_may_take_longer_as_its_client_is_loaded_then() -> None:
    never = threading.Event()
    health = HealthService({"index": lambda: never.wait(0.5) and None}, timeout_s=0.05, first_timeout_s=30, kept_s=0)
    assert health.check() == {"index": "ok"}
    assert health.check() == {"index": "no answer within 0.05 s"}, "from now on it must be quick"


def test_a_part_whose_first_check_hangs_keeps_its_time_and_holds_up_nobody_for_ever() -> None:
    go = threading.Event()
    health = HealthService({"index": lambda: go.wait() and None}, timeout_s=30, first_timeout_s=0.05, kept_s=0)
    for _ in range(2):
        assert health.check() == {"index": "no answer within 0.05 s"}
    go.set()


def test_a_part_that_fails_at_first_has_been_loaded() -> None:
    failures: list[Exception | None] = [LedgerError("down"), None]
    wait = threading.Event()

    def check() -> None:
        if failure := failures.pop(0):
            raise failure
        wait.wait(30)

    health = HealthService({"ledger": check}, timeout_s=0.05, first_timeout_s=30, kept_s=0)
    assert health.check() == {"ledger": "down"}
    assert health.check() == {"ledger": "no answer within 0.05 s"}
    wait.set()


@pytest.mark.parametrize("parts", [2, 5])
def test_parts_that_hang_are_waited_for_together(parts: int) -> None:
    go = threading.Event()
    begun = threading.Barrier(parts + 1)

    def hang() -> None:
        begun.wait(30)
        go.wait(30)

    health = HealthService({str(number): hang for number in range(parts)}, first_timeout_s=0.2)
    answers: list[dict[str, str]] = []
    asking = threading.Thread(target=lambda: answers.append(health.check()))
    asking.start()
    begun.wait(30)  # all of them run at once
    asking.join(30)
    go.set()
    assert answers == [{str(number): "no answer within 0.2 s" for number in range(parts)}]


def test_whoever_asks_often_or_at_once_costs_one_check() -> None:
    checks: list[None] = []
    begun, go = threading.Event(), threading.Event()

    def check() -> None:
        checks.append(None)
        begun.set()
        go.wait(30)

    health = HealthService({"ledger": check}, kept_s=600)
    askers = [threading.Thread(target=health.check) for _ in range(20)]
    for asker in askers:
        asker.start()
    begun.wait(30)
    go.set()
    for asker in askers:
        asker.join(30)
    assert [health.check() for _ in range(100)] == [{"ledger": "ok"}] * 100
    assert len(checks) == 1
