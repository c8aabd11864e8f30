"""Imported jobs that have not ended: they run here, whoever had them elsewhere, and ask for what an add can ask for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from forgetless.domain.jobs import JobState
from forgetless.domain.limits import RequestLimits
from forgetless.ports.trace import TRACE, current_trace
from forgetless.service.requests import AddRequest, IncomingMessage
from forgetless.service.transfer.event_import import EventImport, ImportReport
from forgetless.service.writing.finished_calls import FinishedCalls
from tests.unit.service.transfer.test_event_transfer import exported, take
from tests.unit.service.world import ALICE, World, facts

FAR = "9999-12-31T23:59:59.000000+00:00"
#: All that an add can ask for.
_ASKED: dict[str, Any] = {
    "metadata": {"a": 1},
    "expiration_date": "2027-01-01",
    "immutable": True,
    "memory_type": "procedural_memory",
    "prompt": "p",
    "agent_prompt": "p",
    "includes": "i",
    "excludes": "e",
    "categories": {"food": "what they eat"},
    "categorised": True,
    "source_key": "k",
}


def take_one(world: World, line: dict[str, Any]) -> ImportReport:
    """Import a file with this line alone."""
    header = {"format": "forgetless-events", "version": 1}
    return take(world, b"\n".join(json.dumps(one).encode() for one in (header, line)))


def open_add(world: World, **asked: Any) -> dict[str, Any]:
    """The line of a queued add of this ledger."""
    said = (IncomingMessage("user", "I like tea.", attachments=({"type": "image_url"},)),)
    world.services.add.add(AddRequest(ALICE, said, infer=True, queued=True, **asked))
    lines = [json.loads(line) for line in exported(world).splitlines()]
    found: dict[str, Any] = next(line for line in lines if line.get("type") == "job")
    return found


@pytest.fixture
def line(new_world: Callable[..., World]) -> dict[str, Any]:
    return open_add(new_world([facts("x")]), **_ASKED)


def test_the_messages_of_an_imported_job_have_a_bound_together(new_world: Callable[..., World]) -> None:
    """All of them are read together. What a request can add, which has 6 MB, is below it."""
    world = new_world()
    line = {**open_add(new_world([facts("x")])), "state": "SUCCEEDED", "request": {}}
    [message] = line["messages"]

    def said(count: int, chars: int) -> dict[str, Any]:
        return {**line, "messages": [{**message, "position": at, "content": "x" * chars} for at in range(count)]}

    for refused in (said(7, 900_000), said(10_001, 1)):
        [problem] = take_one(world, refused).problems
        assert "messages: the job" in problem
    assert take_one(world, said(6, 1_000_000)).refused == 0
    assert take_one(new_world(), said(10_000, 1)).refused == 0


def test_what_an_add_can_ask_for_is_taken(new_world: Callable[..., World], line: dict[str, Any]) -> None:
    assert set(line["request"]) == {*_ASKED, "attachments"}
    assert take_one(new_world(), line).refused == 0


@pytest.mark.parametrize("name", [*_ASKED, "attachments", "retried"])
def test_nothing_of_another_type_is(new_world: Callable[..., World], line: dict[str, Any], name: str) -> None:
    target = new_world()
    line["request"][name] = [5]
    report = take_one(target, line)
    assert (report.jobs, report.refused) == (0, 1)
    assert f"job.request.{name}: expected " in report.problems[0]
    assert take_one(target, {**line, "state": "SUCCEEDED"}).refused == 0, "what has ended is only kept"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attachments", {"0": {"type": "image_url"}}),
        ("attachments", {"0": [5]}),
        ("categories", {"food": 5}),
        ("expiration_date", "tomorrow"),
        ("includes", "i" * 20_001),
        ("prompt", "p" * 20_001),
        ("retried", {"at": 5}),
        ("source_key", "a\nb"),
    ],
)
def test_nothing_of_another_form_is(
    new_world: Callable[..., World], line: dict[str, Any], name: str, value: object
) -> None:
    line["request"][name] = value
    assert take_one(new_world(), line).refused == 1


def test_a_trace_that_no_request_had_goes_into_no_call(new_world: Callable[..., World]) -> None:
    seen: list[dict[str, str]] = []

    def reply(_messages: object) -> str:
        trace = current_trace()
        assert trace is not None
        seen.append(trace.ids())
        return facts("She likes tea.")

    target = new_world(reply)
    line = open_add(new_world([facts("x")]))
    for number, trace in enumerate(
        (["a\n\u001b[31m", 'b"}'], ["ok", "b"], ["a\n", "b" * 32], ["r"], "r", [5, 6], {"a": "b"})
    ):
        poisoned = {**line, "id": str(UUID(int=number)), "request": {TRACE: trace}}
        assert take_one(target, poisoned).refused == 0
        target.services.ingest.run("default", poisoned["id"], seconds=30)
        job = target.ledger.job("default", poisoned["id"])
        assert job is not None
        assert job.state is JobState.SUCCEEDED
    assert len(seen) == 7
    assert all(set(ids) == {"trace_id", "job_id", "tenant"} for ids in seen)
    assert all(len(ids["trace_id"]) == 32 for ids in seen)


def test_one_from_whose_id_no_memory_can_be_named_is_refused(
    new_world: Callable[..., World], line: dict[str, Any]
) -> None:
    for name in ("job-1", line["id"].upper(), line["id"].replace("-", "")):
        assert take_one(new_world(), {**line, "id": name}).problems == [
            "line 2: job.id: expected a UUID, from which the ids of its memories are made"
        ]


def test_one_that_has_ended_keeps_only_what_this_ledger_would_have_kept(
    new_world: Callable[..., World], line: dict[str, Any]
) -> None:
    """The rest would outlive the erasure of its scope."""
    target = new_world()
    results = [{"id": "m", "event": "marked", "memory": "marked"}, {"id": "n", "event": "ADD"}]
    ended = {**line, "state": "SUCCEEDED", "results": results, "error": "marked", "lease_owner": "marked"}
    assert take_one(target, ended).refused == 0
    job = target.ledger.job("default", line["id"])
    assert job is not None
    assert (job.scope, job.request, job.error, job.lease_owner) == (ALICE, {}, None, None)
    assert job.results == ({"id": "m", "event": "ADD"}, {"id": "n", "event": "ADD"})


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
@pytest.mark.parametrize("said", [[], [{"scope": {"user_id": "somebody"}}]])
def test_nobody_is_named_by_one_that_has_ended_without_messages_of_its_scope(
    new_world: Callable[..., World], line: dict[str, Any], state: str, said: list[dict[str, Any]]
) -> None:
    target = new_world()
    messages = [{**message, **changed} for message, changed in zip(line["messages"], said, strict=False)]
    ended = {**line, "state": state, "messages": messages, "error": "provider_bad_request: marked"}
    assert take_one(target, ended).refused == 0
    job = target.ledger.job("default", line["id"])
    assert job is not None
    assert (job.scope.ids(), job.request) == ({}, {})
    assert "marked" not in str(job.error)


@pytest.mark.parametrize("said", [[], [{"scope": {"user_id": "somebody"}}]])
def test_one_that_has_not_ended_needs_a_message_of_its_scope(
    new_world: Callable[..., World], line: dict[str, Any], said: list[dict[str, Any]]
) -> None:
    messages = [{**message, **changed} for message, changed in zip(line["messages"], said, strict=False)]
    report = take_one(new_world(), {**line, "messages": messages})
    assert report.problems == ["line 2: messages: expected one of the scope of the job, which has not ended"]


def test_no_time_or_number_of_the_file_keeps_it_running_for_ever(new_world: Callable[..., World]) -> None:
    target, line = new_world(), open_add(new_world([facts("x")]))
    assert take_one(target, {**line, "attempts": -1}).refused == 1
    assert take_one(target, {**line, "started_at": FAR}).refused == 0
    job = target.ledger.job("default", line["id"])
    assert job is not None
    assert job.started_at is not None
    assert job.started_at[:4] == target.clock.now()[:4], "a day of failing counts from then on"


@pytest.mark.parametrize(
    "held",
    [
        {"state": "RUNNING", "lease_owner": "worker-1", "lease_until": FAR, "attempts": 1},
        {"state": "RUNNING", "lease_owner": "worker-1", "lease_until": FAR, "attempts": 1, "updated_at": FAR},
        {"state": "PENDING", "lease_until": FAR, "updated_at": FAR},
    ],
    ids=["held by a worker", "held, and of the future", "waiting for its next try"],
)
def test_no_worker_of_another_ledger_holds_an_imported_job(
    new_world: Callable[..., World], held: dict[str, Any]
) -> None:
    source, target = new_world([facts("x")]), new_world([facts("She likes tea.")])
    job = source.say("I like tea.", infer=True, queued=True).job
    lines = [json.loads(line) for line in exported(source).splitlines()]
    take(target, b"\n".join(json.dumps(line | (held if line.get("type") == "job" else {})).encode() for line in lines))
    arrived = target.services.reads.job("default", job.id)
    assert arrived is not None
    assert (arrived.state, arrived.lease_owner, arrived.next_try_at) == (JobState.PENDING, None, None)
    target.clock.advance(3600)
    assert target.services.sweep.sweep().requeued == 1
    target.services.ingest.run("default", job.id, seconds=30)
    assert target.services.reads.job("default", job.id).state is JobState.SUCCEEDED  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"zz": [[]]}, "job.request.zz: this Forgetless knows no such field; a later one wrote the file"),
        ({"metadata": {"a": [[]] * 25_000}}, "job.request.metadata: expected at most 1,048,576 bytes of JSON"),
        ({"metadata": {"a": "x" * 1_048_576}}, "job.request.metadata: expected at most 1,048,576 bytes of JSON"),
        ({"categories": {"a": "x" * 1_048_576}}, "job.request.categories: expected at most 1,048,576 bytes of JSON"),
        ({"attachments": {"0": [{}] * 25_000}}, "job.request.attachments: expected at most 1,048,576 bytes of JSON"),
        ({"retried": {"a" * 1_048_576: "b"}}, "job.request.retried: expected at most 1,048,576 bytes of JSON"),
        ({"memory_type": "m" * 256}, "job.request.memory_type: expected a text of at most 255 characters, or null"),
    ],
)
@pytest.mark.parametrize("state", ["PENDING", "FAILED"])
def test_one_that_may_run_here_asks_for_no_more_than_a_request_can(
    new_world: Callable[..., World], line: dict[str, Any], state: str, changed: dict[str, Any], told: str
) -> None:
    report = take_one(new_world(), {**line, "state": state, "request": {**line["request"], **changed}})
    assert (report.jobs, report.refused) == (0, 1)
    assert told in report.problems[0]


@pytest.mark.parametrize(("name", "value"), [("role", "r" * 256), ("name", "n" * 256), ("content", "c" * 1_000_001)])
def test_its_messages_have_the_lengths_of_a_request(
    new_world: Callable[..., World], line: dict[str, Any], name: str, value: str
) -> None:
    report = take_one(new_world(), {**line, "messages": [{**line["messages"][0], name: value}]})
    assert (report.jobs, report.refused) == (0, 1)
    assert f"messages.{name}: " in report.problems[0]


def test_a_longer_message_is_taken_where_a_request_may_have_it(
    new_world: Callable[..., World], line: dict[str, Any]
) -> None:
    target, limits = new_world(), RequestLimits(message_chars=1_000_001)
    long = {**line, "messages": [{**line["messages"][0], "content": "c" * 1_000_001}]}
    records = [(1, {"format": "forgetless-events", "version": 1}), (2, long)]
    imports = EventImport(ledger=target.ledger, clock=target.clock, limits=limits)
    assert imports.take("default", records).refused == 0


def test_an_error_is_no_longer_than_one_of_ours(new_world: Callable[..., World], line: dict[str, Any]) -> None:
    for state in ("PENDING", "FAILED", "SUCCEEDED"):
        report = take_one(new_world(), {**line, "state": state, "error": "e" * 20_001})
        assert report.problems == ["line 2: job.error: expected a text of at most 20,000 characters, or null"]


def test_what_a_ledger_elsewhere_noted_for_its_workers_stays_there(
    new_world: Callable[..., World], line: dict[str, Any]
) -> None:
    """A receipt of its queue, and what calls of the LLM have given, which anybody may have written."""
    target = new_world()
    call = {"facts": [["forged", "user", [], [0], []]], "next": [0, 1], "memories": ["m"] * 9, "messages": [0]}
    calls = {"done": 1, "left": 2, "context": 9, "refused": True, "calls": [call]}
    noted = {"receipt": {"receipt": "r", "asked": False}, "llm_calls": calls, TRACE: ["r", "b" * 32]}
    assert take_one(target, {**line, "request": {**line["request"], **noted}}).refused == 0
    job = target.ledger.job("default", line["id"])
    assert job is not None
    assert job.llm_calls == (0, 3)
    assert FinishedCalls.of(job) == FinishedCalls()
    assert job.request == {**line["request"], "llm_calls": job.request["llm_calls"], TRACE: ["r", "b" * 32]}


@pytest.mark.parametrize("calls", [[5], {}, {"done": -9, "left": 3}, {"done": 1, "left": 10**9}, {"done": "1"}])
def test_calls_that_no_add_has_made_are_left_out(
    new_world: Callable[..., World], line: dict[str, Any], calls: object
) -> None:
    target = new_world()
    assert take_one(target, {**line, "request": {"llm_calls": calls}}).refused == 0
    job = target.ledger.job("default", line["id"])
    assert job is not None
    assert job.request == {}
