"""Items of the DynamoDB ledger with a time to live: TTL removes them late, so those that are over count as gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.adapters.ledger_dynamodb.attribute_values import from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.expiry import seconds_of
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.memory import Memory
from forgetless.domain.times import later
from forgetless.ports.request_ledger import IdempotencyRecord
from tests.contract.ledger.making import a_job, a_memory, a_message, add, at, delete, job_id
from tests.fakes.clock import FakeClock

Open = Callable[..., DynamoLedger]

KEPT_S = 1000.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(at(0))


@pytest.fixture
def ledger(dynamo: Open, clock: FakeClock) -> Any:
    with closing(dynamo(succeeded_jobs_s=KEPT_S, clock=clock)) as ledger:
        yield ledger


def items(ledger: DynamoLedger) -> list[dict[str, Any]]:
    answer = ledger._client.call("scan", TableName=ledger._client.table)
    return [from_wire(item) for item in answer["Items"]]


def remove_expired(ledger: DynamoLedger, now: str) -> int:
    """What TTL does."""
    over = [item for item in items(ledger) if item.get("expires_at", float("inf")) <= seconds_of(now)]
    for item in over:
        key = to_wire({"pk": item["pk"], "sk": item["sk"]})
        ledger._client.call("delete_item", TableName=ledger._client.table, Key=key)
    return len(over)


def done(name: str, second: int = 0) -> Job:
    return a_job(name, state=JobState.SUCCEEDED, second=second)


def test_a_succeeded_job_is_gone_when_its_time_is_over_and_its_memory_and_messages_stay(
    ledger: DynamoLedger, clock: FakeClock
) -> None:
    memory, said = a_memory("a"), a_message("a")
    ledger.append(add(memory), completing=done("a"), messages=[said])
    assert ledger.job("acme", job_id("a")) == done("a")
    clock.set(later(at(0), KEPT_S))
    for _ in range(2):  # before TTL has removed anything, and afterwards
        assert ledger.job("acme", job_id("a")) is None
        assert ledger.jobs("acme", limit=9) == ([], None)
        assert ledger.messages_without_job("acme", limit=9) == ([said], None)
        assert ledger.read("acme", [memory.id]) == {memory.id: memory}
        assert ledger.job_messages("acme", job_id("a")) == [said]
        remove_expired(ledger, clock.now())
    assert remove_expired(ledger, clock.now()) == 0


def test_job_and_entry_expire_together_also_when_the_job_ran_for_a_while(
    ledger: DynamoLedger, clock: FakeClock
) -> None:
    ledger.put_job(a_job("a"), [])
    assert not [item for item in items(ledger) if "expires_at" in item]
    running = ledger.claim_job("acme", job_id("a"), owner="me", now=at(1), until=at(9))
    assert running is not None
    ledger.append([], completing=replace(running, state=JobState.SUCCEEDED, updated_at=at(5)))
    ends = [item["expires_at"] for item in items(ledger) if "expires_at" in item]
    assert ends == [seconds_of(later(at(5), KEPT_S))] * 2
    clock.set(later(at(5), KEPT_S))
    assert remove_expired(ledger, clock.now()) == 2
    assert [item["sk"] for item in items(ledger)] == ["SCHEMA"]


def test_jobs_go_on_after_a_page_whose_jobs_are_gone_but_not_yet_their_entries(ledger: DynamoLedger) -> None:
    for second, name in enumerate("abcde"):
        ledger.put_job(done(name, second), [])
    for name in "de":
        key = to_wire({"pk": f"J#acme#{job_id(name)}", "sk": "JOB"})
        ledger._client.call("delete_item", TableName=ledger._client.table, Key=key)
    found: list[Job] = []
    page, cursor = ledger.jobs("acme", limit=2)
    found += page
    while cursor is not None:
        page, cursor = ledger.jobs("acme", limit=2, cursor=cursor)
        found += page
    assert [job.id for job in found] == [job_id(name) for name in "cba"]


def test_an_add_with_the_id_of_an_expired_job_is_new_even_before_ttl_removed_the_job(
    ledger: DynamoLedger, clock: FakeClock
) -> None:
    ledger.put_job(done("a"), [])
    clock.set(later(at(0), KEPT_S))
    again = replace(a_job("a"), created_at=clock.now(), updated_at=clock.now())
    assert ledger.put_job(again, []) == again
    assert ledger.jobs("acme", limit=9) == ([again], None)
    assert remove_expired(ledger, clock.now()) == 0


def test_the_parts_of_a_long_answer_expire_with_its_record(ledger: DynamoLedger) -> None:
    runs = IdempotencyRecord("f", at(9))
    ledger.begin_request("acme", "name", runs, now=at(0), expires_at=at(9))
    long = replace(runs, status=200, body="x" * 700_000)
    ledger.finish_request("acme", "name", long, began=runs, expires_at=at(9))
    remove_expired(ledger, at(9))
    assert [item["sk"] for item in items(ledger)] == ["SCHEMA"]


def answered(ledger: DynamoLedger, memory: Memory) -> None:
    """An answer that shows the memory, until second 9."""
    runs = IdempotencyRecord("f", at(9))
    ledger.begin_request("acme", "name", runs, now=at(0), expires_at=at(9))
    answer = replace(runs, status=200, body=json.dumps({"id": memory.id, "memory": memory.text}))
    ledger.finish_request("acme", "name", answer, began=runs, expires_at=at(9))


def of_answers(ledger: DynamoLedger) -> list[str]:
    """What the table holds of answers: their records and the notes about them."""
    return sorted(item["sk"][:1] for item in items(ledger) if "name" in item or "fingerprint" in item)


def test_an_answer_is_found_by_its_memory_until_ttl_has_removed_it(ledger: DynamoLedger) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    answered(ledger, memory)
    (note,) = [item for item in items(ledger) if "name" in item]
    (record,) = [item for item in items(ledger) if "fingerprint" in item]
    assert note["expires_at"] == record["expires_at"] + 86_400
    ledger.append([delete(memory)])
    assert of_answers(ledger) == []


def test_a_note_whose_answer_has_expired_goes_with_its_memory(ledger: DynamoLedger) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    answered(ledger, memory)
    assert remove_expired(ledger, at(9)) >= 1
    assert len(of_answers(ledger)) == 1
    ledger.append([delete(memory)])
    assert of_answers(ledger) == []


def test_a_lease_that_was_never_given_up_expires(ledger: DynamoLedger) -> None:
    assert ledger.acquire_lease("a", owner="who died", now=at(0), until=at(9))
    assert remove_expired(ledger, at(60)) == 0
    assert remove_expired(ledger, later(at(9), 86_400)) == 1


def test_without_a_retention_succeeded_jobs_never_expire(dynamo: Open, clock: FakeClock) -> None:
    clock.set(later(at(0), 1e9))
    with closing(dynamo(succeeded_jobs_s=None, clock=clock)) as ledger:
        ledger.put_job(done("a"), [])
        assert ledger.job("acme", job_id("a")) == done("a")
        assert remove_expired(ledger, clock.now()) == 0
