"""Planted anomalies are found and named, and their shortest history is found in a long one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.histories import planted_changes, planted_reads
from tests.histories.checker import check
from tests.histories.history import History, Kind, Operation
from tests.histories.history_script import Script, Write
from tests.histories.random_histories import Shape, run
from tests.histories.shrink import shrink

PLANTED = {**planted_changes.PLANTED, **planted_reads.PLANTED}


def history_of(plant: Write) -> History:
    script = Script()
    plant(script)
    return script.history()


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_anomaly_is_found_and_named(plant: Write) -> None:
    judgement = check(history_of(plant))

    assert [anomaly.kind for anomaly in judgement.anomalies] == [PLANTED[plant]]
    assert not judgement.undecided


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_its_shortest_history_is_found_in_a_long_one(plant: Write) -> None:
    """Among hundreds of operations on other memories."""
    planted = history_of(plant)
    noise = run(3, Shape(300))
    others = tuple(replace(one, index=one.index + 1000, client=one.client + 10) for one in noise.operations)
    whole = replace(planted, operations=planted.operations + _afterwards(others))
    judgement = check(whole)
    (anomaly,) = judgement.anomalies

    short = shrink(whole, anomaly)

    assert anomaly.kind is PLANTED[plant]
    assert [one.index for one in short.operations if one.index >= 1000] == []
    assert len(short.operations) + len(short.start) <= len(planted.operations)
    assert PLANTED[plant] in {one.kind for one in check(short).anomalies}
    assert shrink(whole, anomaly) == short


def _afterwards(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """After all else, without exports, which would have to show what is planted."""
    known = [one for one in operations if one.kind is not Kind.EXPORT]
    return tuple(
        replace(one, started=one.started + 1e6, ended=None if one.ended is None else one.ended + 1e6) for one in known
    )
