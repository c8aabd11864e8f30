"""How far the checker's search goes, counted in steps: it must grow with the history, not with possible orders."""

from __future__ import annotations

import random

import pytest

from tests.histories.anomalies import AnomalyKind
from tests.histories.checker import check
from tests.histories.history_script import Script, event, state
from tests.histories.random_histories import Shape, run


@pytest.mark.parametrize("clients", [3, 30])
@pytest.mark.parametrize("versions", [True, False], ids=["versions", "no versions"])
def test_steps_grow_as_operations_do(clients: int, *, versions: bool) -> None:
    for operations in (500, 4000):
        judgement = check(run(11, Shape(operations, clients=clients, unknown=0.02, versions=versions)))

        assert judgement.good
        assert judgement.explored <= 30 * operations


def updates_at_once(count: int, *, known: bool) -> Script:
    """All in flight together, in an order that the ends do not tell; `known`: answers tell the versions."""
    script = Script()
    script.add((0, 1), "m", "text 0")
    for place in random.Random(1).sample(range(count), count):
        answer = place + 2 if known else None
        script.update((2 + place / 1e4, 10 - place / 1e4), "m", answer, text=f"text {place + 1}")
    for place in range(count // 10):
        version = place * 10 + 2
        script.get((5, 6), "m", state("m", f"text {version - 1}", version))
    told = [event("ADD", "m", "text 0", 1)]
    told += [event("UPDATE", "m", f"text {place + 1}", place + 2) for place in range(count)]
    script.tell((20, 21), "m", *told)
    return script


@pytest.mark.parametrize("known", [True, False], ids=["versions in answers", "versions in the history alone"])
def test_hundreds_of_changes_of_one_memory_at_once_take_few_steps(*, known: bool) -> None:
    count = 300

    judgement = check(updates_at_once(count, known=known).history())

    assert judgement.good
    # Each change is tried after each other, and each read beside each change, not in each order.
    assert judgement.explored <= 2 * count**2


def test_unknown_changes_that_nobody_saw_cost_little() -> None:
    script = Script()
    script.add((0, 1), "m", "tea")
    for place in range(200):
        script.update((2 + place, None), "m", text=f"text {place}")
    for place in range(200):
        script.get((3 + place, 3.5 + place), "m", state("m", "tea", 1))

    judgement = check(script.history())

    assert judgement.good
    assert judgement.explored <= 1000


def test_an_anomaly_among_hundreds_of_changes_is_found_and_not_given_up() -> None:
    script = updates_at_once(200, known=True)
    script.get((22, 23), "m", state("m", "text 100", 101))
    script.get((24, 25), "m", state("m", "text 200", 201))

    judgement = check(script.history())

    assert [anomaly.kind for anomaly in judgement.anomalies] == [AnomalyKind.STALE_READ]
    assert judgement.undecided == []
