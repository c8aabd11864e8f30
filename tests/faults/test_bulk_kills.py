"""Whatever process of a bulk job dies after whatever step: the job ends, with every row done and none of them twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from forgetless.domain.bulk_jobs import BulkKind
from tests.faults.bulk_scenarios import BulkHarness, BulkLeft, disturbed, portions_undisturbed
from tests.faults.fault_injection import BULK_STEPS, Fault, Step, Way
from tests.faults.harness import queue_server
from tests.faults.ledgers import NewLedger, dynamodb_ledgers, ledgers

if TYPE_CHECKING:
    from tests.dynamo_server import DynamoServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NewHarness = Callable[..., BulkHarness]

DONE = ("SUCCEEDED", 10, 0, None)
TEXTS = tuple(sorted([f"tea {number}" for number in range(6)] + [f"milk {number}" for number in range(4)]))


def harnesses(folder: Path, endpoint: str, new_ledger: NewLedger) -> NewHarness:
    numbers = count()

    def new(kind: BulkKind = BulkKind.REINDEX) -> BulkHarness:
        number = next(numbers)
        home = folder / f"bulk-{number}"
        home.mkdir()
        return BulkHarness(home, endpoint, f"bulk-{number}", new_ledger(home), kind)

    return new


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewHarness]:
    folder = tmp_path_factory.mktemp("bulk-kill")
    with queue_server(folder) as endpoint, ledgers("sqlite") as new_ledger:
        yield harnesses(folder, endpoint, new_ledger)


@pytest.fixture
def dynamo_new(tmp_path: Path, dynamo_server: DynamoServer) -> Iterator[NewHarness]:
    with queue_server(tmp_path) as endpoint, dynamodb_ledgers(dynamo_server) as new_ledger:
        yield harnesses(tmp_path, endpoint, new_ledger)


def wrong(ended: bool, left: BulkLeft) -> str:
    """What is wrong with the state in the end, or ""."""
    whole = len(left.rows) == 10 == len(set(left.rows)) and left.texts == left.said == TEXTS
    fine = ended and left.job == DONE and whole and (left.pending, left.messages, left.half_written) == (0, 0, 0)
    return "" if fine else f"ended: {ended}, {left}"


def wrong_delete(ended: bool, left: BulkLeft) -> str:
    """The same of a delete. What a worker removed that died before its record is not counted."""
    state, done, set_aside, error = left.job
    kept = tuple(text for text in TEXTS if text.startswith("milk"))
    whole = len(left.rows) == len(kept) == len(set(left.rows)) and left.texts == left.said == kept
    counted = (state, set_aside, error) == ("SUCCEEDED", 0, None) and 0 <= done <= 6
    fine = ended and whole and counted and (left.pending, left.messages, left.half_written) == (0, 0, 0)
    return "" if fine else f"ended: {ended}, {left}"


def test_an_undisturbed_job_takes_several_portions_and_every_step_that_only_it_takes(new: NewHarness) -> None:
    portions, left = portions_undisturbed(new())
    assert wrong(True, left) == ""
    assert len(portions) >= 2
    assert {step.call for steps in portions for step in steps} >= BULK_STEPS


@pytest.mark.parametrize("way", [Way.KILL, Way.STALL])
def test_a_worker_disturbed_after_any_step_loses_and_doubles_nothing(new: NewHarness, way: Way) -> None:
    portions, _ = portions_undisturbed(new())
    # The last portion, whose record ends the job; and the first one, after which others do all the rest.
    number = len(portions) - 1 if way is Way.KILL else 0
    outcomes = {
        str(step): wrong(*disturbed(new(), task="bulk", before=number, fault=Fault(step, way)))
        for step in portions[number]
    }
    assert {name: outcome for name, outcome in outcomes.items() if outcome} == {}


@pytest.mark.parametrize("way", [Way.KILL, Way.STALL])
def test_a_start_or_a_sweep_disturbed_after_any_step_starts_one_job_that_ends(new: NewHarness, way: Way) -> None:
    steps = [Step("ledger.put_document", 1), Step("bulk_queue.send", 1)]
    outcomes = {
        f"{task}: {step}": wrong(*disturbed(new(), task=task, before=0, fault=Fault(step, way)))
        for task in ("start", "sweep")
        for step in steps
    }
    assert {name: outcome for name, outcome in outcomes.items() if outcome} == {}


@pytest.mark.parametrize(
    "step", [Step("ledger.put_document", 1), Step("index.insert", 1), Step("ledger.put_document", 2)], ids=str
)
def test_a_worker_killed_over_dynamodb_loses_and_doubles_nothing(dynamo_new: NewHarness, step: Step) -> None:
    fault = Fault(step, Way.KILL)
    assert wrong(*disturbed(dynamo_new(), task="bulk", before=1, fault=fault)) == ""


def test_one_message_in_the_hands_of_two_workers_is_done_once(new: NewHarness) -> None:
    harness = new()
    harness.run("start")
    records = harness.receive()
    stalled = harness.start("bulk", {"Records": records}, Fault(Step("ledger.put_document", 1), Way.STALL))
    assert stalled[1].poll(180)
    stalled[1].recv()
    answer, steps = harness.run("bulk", {"Records": records})
    tried = [Step("ledger.acquire_lease", 1)]
    assert (answer, steps) == ({"batchItemFailures": []}, tried), "another worker has the lane, so it sends nothing"
    stalled[1].send("go on")
    assert stalled[1].recv() == ("done", {"batchItemFailures": []})
    harness.settle(records, answer)
    while harness.portion() is not None:
        pass
    assert wrong(harness.job().finished, harness.left()) == ""


def test_an_undisturbed_delete_takes_several_portions_and_counts_what_it_deletes(new: NewHarness) -> None:
    portions, left = portions_undisturbed(new(BulkKind.DELETE))
    assert wrong_delete(True, left) == ""
    assert left.job == ("SUCCEEDED", 6, 0, None)
    assert len(portions) == 2


@pytest.mark.parametrize(("way", "number"), [(Way.KILL, 0), (Way.KILL, 1), (Way.STALL, 0)])
def test_a_delete_by_filter_disturbed_after_any_step_deletes_all_and_leaves_nothing_of_it(
    new: NewHarness, way: Way, number: int
) -> None:
    portions, _ = portions_undisturbed(new(BulkKind.DELETE))
    outcomes = {
        str(step): wrong_delete(*disturbed(new(BulkKind.DELETE), task="bulk", before=number, fault=Fault(step, way)))
        for step in portions[number]
    }
    assert {name: outcome for name, outcome in outcomes.items() if outcome} == {}


@pytest.mark.parametrize(
    "step", [Step("ledger.append", 1), Step("index.drop_older", 1), Step("ledger.put_document", 2)], ids=str
)
def test_a_delete_by_filter_killed_over_dynamodb_deletes_all_and_leaves_nothing_of_it(
    dynamo_new: NewHarness, step: Step
) -> None:
    harness = dynamo_new(BulkKind.DELETE)
    assert wrong_delete(*disturbed(harness, task="bulk", before=0, fault=Fault(step, Way.KILL))) == ""


@pytest.mark.parametrize("way", [Way.KILL, Way.STALL])
def test_a_retention_disturbed_after_any_step_deletes_what_has_expired_and_nothing_else(
    new: NewHarness, way: Way
) -> None:
    portions, left = portions_undisturbed(new(BulkKind.RETENTION))
    assert wrong_delete(True, left) == ""
    outcomes = {
        str(step): wrong_delete(*disturbed(new(BulkKind.RETENTION), task="bulk", before=0, fault=Fault(step, way)))
        for step in portions[0]
    }
    assert {name: outcome for name, outcome in outcomes.items() if outcome} == {}


def test_a_retention_killed_over_dynamodb_deletes_what_has_expired_and_nothing_else(dynamo_new: NewHarness) -> None:
    fault = Fault(Step("ledger.append", 1), Way.KILL)
    assert wrong_delete(*disturbed(dynamo_new(BulkKind.RETENTION), task="bulk", before=0, fault=fault)) == ""
