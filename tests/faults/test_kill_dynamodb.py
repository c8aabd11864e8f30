"""A few of the kill tests over the DynamoDB ledger; `make kill-test` has every step."""

from __future__ import annotations

import pytest

from tests.faults.fault_injection import Fault, Step, Way
from tests.faults.kill_runner import LONG, MANY, Outcome, Runner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

UNHARMED = Outcome(lost=0, doubled=0, same=True)


def test_a_worker_killed_when_its_events_are_written_loses_and_doubles_nothing(dynamo_runner: Runner) -> None:
    assert dynamo_runner.disturbed("ingest", Fault(Step("ledger.append", 1), Way.KILL)) == UNHARMED


def test_a_worker_killed_between_the_writes_of_one_append_leaves_all_of_it_or_nothing(dynamo_runner: Runner) -> None:
    writes = dynamo_runner.staged_writes()
    assert len(writes) > 2
    # Nothing is staged yet, so that only sweep can notice; then some of it is.
    for write in (writes[0], writes[2]):
        assert dynamo_runner.disturbed(MANY, Fault(write, Way.KILL)) == UNHARMED, write


def test_one_message_in_the_hands_of_two_workers_is_done_once(dynamo_runner: Runner) -> None:
    assert dynamo_runner.two_workers() == UNHARMED


@pytest.mark.parametrize("call", ["llm.complete", "ledger.append"])
def test_a_message_redelivered_while_its_job_runs_is_done_once(dynamo_runner: Runner, call: str) -> None:
    assert dynamo_runner.redelivered(Step(call, 1)) == UNHARMED


@pytest.mark.parametrize("call", ["llm.complete", "ledger.update_job"])
def test_a_worker_killed_between_calls_of_the_llm_repeats_only_the_one_in_flight(
    dynamo_runner: Runner, call: str
) -> None:
    assert dynamo_runner.disturbed(LONG, Fault(Step(call, 2), Way.KILL)) == UNHARMED
