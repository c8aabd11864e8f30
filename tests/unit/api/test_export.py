"""GET /export: everything of the tenant in portions."""

from __future__ import annotations

import json

from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api


def export(api: Api, key: str = ADMIN) -> tuple[bytes, int]:
    lines, cursor, answers = b"", None, 0
    while True:
        answer = api.get("/export", key=key, params={"cursor": cursor} if cursor else {})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines, answers = lines + answer.content, answers + 1
        cursor = answer.headers.get("X-Next-Cursor")
        if cursor is None:
            return lines, answers


def test_the_portions_together_are_the_whole_export(api: Api) -> None:
    for number in range(30):
        api.say(*[f"{number} {'x' * 20_000}"] * 3)
    whole = b"".join(portion.lines for portion in api.world.services.event_exports.portions("default"))
    lines, answers = export(api)
    assert lines == whole
    assert answers >= 3
    assert len(whole) > 3_000_000


def test_a_tenant_exports_its_own(api: Api) -> None:
    api.say("mine")
    lines, _ = export(api, key=STRANGER)
    assert [json.loads(line) for line in lines.splitlines()] == [{"format": "forgetless-events", "version": 1}]


def test_only_administrators_export(api: Api) -> None:
    assert api.get("/export", key=MEMBER).status_code == 403


def test_a_cursor_of_somebody_else_is_refused(api: Api) -> None:
    answer = api.get("/export", params={"cursor": "nonsense"})
    assert (answer.status_code, "cursor" in answer.json()["detail"]) == (400, True)
