"""GET /export: everything of the tenant in portions."""

from __future__ import annotations

import base64
import json

import pytest

from forgetless.domain.limits import ANSWER_BYTES
from forgetless.domain.scope import Scope
from forgetless.service.requests import AddRequest, IncomingMessage, UpdateRequest
from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api


def export(
    api: Api, key: str = ADMIN, *, answers: list[bytes] | None = None, cursor: str | None = None
) -> tuple[bytes, int]:
    """All lines from the cursor on, and the number of answers that they came in, which are added to `answers`."""
    bodies: list[bytes] = [] if answers is None else answers
    while True:
        answer = api.get("/export", key=key, params={"cursor": cursor} if cursor else {})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/x-ndjson"
        bodies.append(answer.content)
        cursor = answer.headers.get("X-Next-Cursor")
        if cursor is None:
            return b"".join(bodies), len(bodies)


def test_the_portions_together_are_the_whole_export(api: Api) -> None:
    for number in range(30):
        api.say(*[f"{number} {'x' * 20_000}"] * 3)
    lines, answers = export(api)
    assert lines == whole_export(api)
    assert answers >= 3
    assert len(lines) > 3_000_000


def test_a_tenant_exports_its_own(api: Api) -> None:
    api.say("mine")
    lines, _ = export(api, key=STRANGER)
    assert [json.loads(line) for line in lines.splitlines()] == [{"format": "forgetless-events", "version": 1}]


def test_only_administrators_export(api: Api) -> None:
    assert api.get("/export", key=MEMBER).status_code == 403


def test_a_cursor_of_somebody_else_is_refused(api: Api) -> None:
    for cursor in ("nonsense", "jobs.", "jobs", "events@0.", "events@x.", "jobs@1.", "part.", "other."):
        answer = api.get("/export", params={"cursor": cursor})
        assert (answer.status_code, "cursor" in answer.json()["detail"]) == (400, True), cursor


def test_a_line_that_is_too_long_for_one_answer_continues_in_the_next(api: Api) -> None:
    """An add of 5.9 MB, which is one line, could never be exported: the answer was larger than Lambda allows."""
    api.say("before")
    add_long_job(api, "naïve – 好" * 400_000)
    api.say("after")
    answers: list[bytes] = []
    lines, _ = export(api, answers=answers)
    assert lines == whole_export(api)
    assert len(lines) > 10_000_000
    for body in answers:
        assert len(base64.b64encode(body)) <= ANSWER_BYTES
        body.decode()  # no answer ends within a character


def test_a_history_that_is_too_long_for_one_answer_is_divided_between_its_lines(api: Api) -> None:
    [id_] = api.say("short")
    for number in range(12):
        update = UpdateRequest("default", id_, text=str(number) + "x" * 400_000)
        api.world.services.changes.update(update)
    answers: list[bytes] = []
    lines, _ = export(api, answers=answers)
    assert lines == whole_export(api)
    assert all(body.endswith(b"\n") for body in answers)


def test_what_is_added_between_two_portions_does_not_disturb_a_divided_line(api: Api) -> None:
    add_long_job(api, "x" * 4_000_000)
    first = api.get("/export")
    api.say("meanwhile")
    rest, _ = export(api, cursor=first.headers["X-Next-Cursor"])
    texts = [
        line["memory"]["text"][:20]
        for line in map(json.loads, (first.content + rest).splitlines())
        if line.get("type") == "event"
    ]
    assert texts == ["x" * 20, "meanwhile"]


def test_what_is_erased_while_it_is_sent_ends_the_export(api: Api) -> None:
    id_ = add_long_job(api, "x" * 4_000_000)
    cursor = api.get("/export").headers["X-Next-Cursor"]
    assert api.delete(f"/memories/{id_}").status_code == 200
    answer = api.get("/export", params={"cursor": cursor})
    assert (answer.status_code, "start again" in answer.json()["detail"]) == (409, True)


_NO_PARTS = (b'{"phase": 1}', b'{"phase": ' + b"[" * 3000)


@pytest.mark.parametrize(
    "part", ["nonsense", "e30=", *(base64.urlsafe_b64encode(one).decode() for one in _NO_PARTS), "é"]
)
def test_a_cursor_within_a_line_that_no_export_gave_is_refused(api: Api, part: str) -> None:
    assert api.get("/export", params={"cursor": f"part.{part}"}).status_code == 400


def add_long_job(api: Api, text: str) -> str:
    """Store a message that is longer than a request allows today, as earlier versions did; returns the memory's id."""
    said = (IncomingMessage("user", text),)
    outcome = api.world.services.add.add(AddRequest(Scope("default", user_id="alice"), said, infer=False))
    return outcome.results[0].id


def whole_export(api: Api) -> bytes:
    return b"".join(portion.lines for portion in api.world.services.event_exports.portions("default"))
