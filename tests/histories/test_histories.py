"""A minute of `make test-histories`: one short episode in each world, the same choices every time."""

from __future__ import annotations

import dataclasses

import pytest

from tests.histories.run import PLANS, Run, Tally
from tests.histories.world import Checkout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: What clients and nemesis choose; when which of them comes first is not theirs to choose.
SEED = 14
#: The end of an episode; so that it says as much on a slow machine as on a quick one. DynamoDB's stand-in is slow.
OPERATIONS = {"sqlite": 140, "emulator": 110, "dynamodb": 24}


@pytest.mark.parametrize("world", OPERATIONS)
def test_nothing_that_was_acknowledged_is_lost_or_seen_wrong(world: str) -> None:
    told: list[str] = [f"seed {SEED}; more of the same: make test-histories ARGS='--world {world} --seed {SEED}'"]
    plan = dataclasses.replace(PLANS[world], operations=OPERATIONS[world], seconds=300.0)
    run = Run(world, seed=SEED, checkout=Checkout(), tell=told.append, plan=plan)
    tally: Tally = run.run(going_on=lambda tally: tally.episodes == 0)
    print(told[0])
    assert (tally.anomalies, tally.undecided) == (0, 0), "\n".join(told)
    assert tally.operations >= OPERATIONS[world]
    assert tally.faults > 0
