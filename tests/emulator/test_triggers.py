"""Batches, schedules and retries without processes."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from local.emulator.invocation import InvokeResult, ThrottledError, invoke_async
from local.emulator.specs import NotHereError, Place, ScheduleSpec, Target
from local.emulator.sqs.messages import Received
from local.emulator.template.expressions import parse_expression
from local.emulator.triggers.batch import batch_event, fits, processed
from local.emulator.triggers.schedule import schedule_event
from tests.emulator.fidelity import documented, own


def message(key: str) -> Received:
    return Received(key, f"handle-{key}", f"body {key}", {}, 1.0, 2.0, 1, group="g", sequence="1")


BATCH = [message("a"), message("b")]


def failures(*ids: object) -> bytes:
    return json.dumps({"batchItemFailures": [{"itemIdentifier": key} for key in ids]}).encode()


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"null", "ab"),
        (b"{}", "ab"),
        (b'{"batchItemFailures": null}', "ab"),
        (failures(), "ab"),
        (failures("a"), "b"),
        (failures("a", "b"), ""),
        (failures("unknown"), ""),
        (failures(""), ""),
        (failures(None), ""),
        (b'{"batchItemFailures": [{"id": "a"}]}', ""),
        (b"no json", ""),
        (b'"text"', ""),
    ],
)
@documented("Lambda: services-sqs-errorhandling")
def test_reported_failures_stay_and_a_malformed_report_fails_all(answer: bytes, kept: str) -> None:
    done = processed(BATCH, InvokeResult(answer), report_failures=True)
    assert "".join(item.message_id for item in done) == kept


@documented("Lambda: services-sqs-errorhandling")
def test_a_report_is_ignored_unless_the_mapping_asks_for_it() -> None:
    assert processed(BATCH, InvokeResult(failures("a")), report_failures=False) == BATCH


@documented("Lambda: services-sqs-errorhandling")
def test_an_error_processes_nothing() -> None:
    assert processed(BATCH, InvokeResult(b"{}", error="Unhandled"), report_failures=False) == []


@documented("Lambda: with-sqs")
def test_a_record_carries_what_sqs_says_of_a_message() -> None:
    record = json.loads(batch_event(BATCH, "arn:q", "us-east-1"))["Records"][0]
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == "arn:q"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["attributes"]["MessageGroupId"] == "g"
    assert record["attributes"]["SentTimestamp"] == "1000"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate(5 minutes)", "2026-11-24T09:35:30"),
        ("rate(1 day)", "2026-11-25T09:30:30"),
        ("cron(0/15 * * * ? *)", "2026-11-24T09:45:00"),
        ("cron(0 9 ? * MON-FRI *)", "2026-11-25T09:00:00"),
        ("cron(0 0 1 1 ? *)", "2027-01-01T00:00:00"),
        ("at(2026-12-01T00:00:00)", "2026-12-01T00:00:00"),
        ("at(2020-12-01T00:00:00)", None),
        ("cron(0 0 1 1 ? 2020)", None),
    ],
)
@documented("EventBridge: eb-scheduled-rule-pattern")
def test_the_next_firing(text: str, expected: str | None) -> None:
    moment = parse_expression(text)(datetime(2026, 11, 24, 9, 30, 30, tzinfo=UTC))
    assert (moment.isoformat()[:19] if moment else None) == expected


@pytest.mark.parametrize(
    ("body", "pattern", "expected"),
    [
        ('{"kind": "order", "total": 5}', {"body": {"kind": ["order"]}}, True),
        ('{"kind": "refund"}', {"body": {"kind": ["order"]}}, False),
        ('{"kind": "order"}', {"body": {"total": [{"exists": False}]}}, True),
        ("plain", {"body": ["plain"]}, True),
        ("plain", {"body": {"kind": [{"exists": False}]}}, False),
        ('{"kind": "order"}', {"body": ["plain"]}, False),
        ("plain", {"attributes": {"MessageGroupId": ["g"]}}, True),
        ("plain", {"messageAttributes": {"kind": {"stringValue": ["order"]}}}, False),
    ],
)
@documented("Lambda: with-sqs-filtering")
def test_a_filter_sees_a_body_as_json_if_it_is(body: str, pattern: dict[str, object], expected: bool) -> None:
    assert fits(replace(message("a"), body=body), (pattern,)) is expected
    assert fits(replace(message("a"), body=body), ({"body": ["nothing like it"]}, pattern)) is expected


@pytest.mark.parametrize("text", ["rate(0 minutes)", "cron(* * *)", "cron(0 0 X * ? *)", "every day"])
@own("errors")
def test_other_expressions_are_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=text.split("(", maxsplit=1)[0]):
        parse_expression(text)


@pytest.mark.parametrize("field", ["L", "3W", "LW", "2#1", "FRI#2"])
@own("errors")
def test_expressions_with_letters_of_calendars_are_not_here(field: str) -> None:
    with pytest.raises(NotHereError, match=re.escape(f"cron(0 0 {field} * ? *): {field} is not emulated")):
        parse_expression(f"cron(0 0 {field} * ? *)")


@documented("EventBridge: eb-create-rule-schedule")
def test_a_schedules_event_is_its_input_alone_or_the_services_own() -> None:
    now, spec = datetime(2026, 11, 24, tzinfo=UTC), ScheduleSpec(Target("function", "F"), "n", "rate(1 day)")
    assert schedule_event(replace(spec, payload='{"a":1}'), Place(), now) == b'{"a":1}'
    event = json.loads(schedule_event(spec, Place(), now))
    assert (event["source"], event["time"], event["detail"]) == ("aws.events", "2026-11-24T00:00:00Z", {})


class Script:
    """A function whose answers are given; None stands for throttling."""

    def __init__(self, *answers: InvokeResult | None) -> None:
        self.answers = list(answers)

    def submit(self, payload: bytes, *, trace_id: str = "", client_context: str = "") -> asyncio.Future[InvokeResult]:
        answer = self.answers.pop(0)
        if answer is None:
            raise ThrottledError("no environment")
        future = asyncio.get_running_loop().create_future()
        future.set_result(answer)
        return future


BAD, GOOD = InvokeResult(b"{}", error="Unhandled"), InvokeResult(b"null")


@pytest.mark.parametrize(
    ("answers", "succeeds", "waits"),
    [([GOOD], True, []), ([None, BAD, GOOD], True, [60.0, 120.0]), ([BAD, BAD, BAD], False, [60.0, 120.0])],
)
@documented("Lambda: invocation-async")
def test_an_asynchronous_invocation_is_tried_three_times(
    answers: list[InvokeResult | None], succeeds: bool, waits: list[float]
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    function, lines = Script(*answers), []
    assert asyncio.run(invoke_async(function, b"{}", lines.append, sleep)) is succeeds
    assert (slept, function.answers) == (waits, [])
