"""Any process dies after any step: the memories are the same in the end, none lost and none doubled."""

from __future__ import annotations

import pytest

from tests.faults.fault_injection import BULK_STEPS, LONG_STEPS, STEPS, WRITE, Fault, Way
from tests.faults.kill_runner import LONG, TASKS, Outcome, Runner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

UNHARMED = Outcome(lost=0, doubled=0, same=True)


#: Every process by exit and by SIGKILL; what stalls here is the worker alone, the others do in `make kill-test`.
SHORT = [(task, way) for task in TASKS for way in Way if way is not Way.STALL or task == "ingest"]


@pytest.mark.parametrize(("task", "way"), SHORT)
def test_a_process_disturbed_after_any_step_loses_and_doubles_nothing(runner: Runner, task: str, way: Way) -> None:
    outcomes = {str(step): runner.disturbed(task, Fault(step, way)) for step in runner.steps(task)}
    assert {step: outcome for step, outcome in outcomes.items() if outcome != UNHARMED} == {}


def test_a_worker_killed_between_calls_of_the_llm_repeats_only_the_one_in_flight(runner: Runner) -> None:
    steps = [step for step in runner.steps(LONG) if step.call in {"llm.complete", *LONG_STEPS}]
    assert [step.call for step in steps] == ["llm.complete", "ledger.update_job"] * 3
    outcomes = {str(step): runner.disturbed(LONG, Fault(step, Way.KILL)) for step in steps}
    assert {step: outcome for step, outcome in outcomes.items() if outcome != UNHARMED} == {}


def test_every_step_that_leaves_a_trace_is_among_those_disturbed(runner: Runner) -> None:
    assert {step.call for task in TASKS for step in runner.steps(task)} == set(STEPS) - BULK_STEPS - LONG_STEPS - {
        WRITE
    }


def test_one_message_in_the_hands_of_two_workers_is_done_once(runner: Runner) -> None:
    assert runner.two_workers() == UNHARMED


def test_a_message_redelivered_while_its_job_runs_is_done_once(runner: Runner) -> None:
    outcomes = {str(step): runner.redelivered(step) for step in runner.steps("ingest")}
    assert {step: outcome for step, outcome in outcomes.items() if outcome != UNHARMED} == {}


def test_an_accepted_add_is_done_though_its_client_never_asks_again(runner: Runner) -> None:
    for step in runner.steps("queued"):
        assert runner.disturbed("queued", Fault(step, Way.KILL), retry=False) == UNHARMED, step
