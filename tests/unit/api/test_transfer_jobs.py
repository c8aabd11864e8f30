"""The routes of imports and exports that a client drives."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import uuid4

import pytest

from forgetless.domain.bulk_jobs import BULK_JOB
from forgetless.domain.limits import PORTION_BYTES
from forgetless.domain.webhook_deliveries import DELIVERY, Delivery
from forgetless.service.transfer import import_check
from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api
from tests.unit.api.test_import_quotas import superseded
from tests.unit.api.test_quotas import limit

ID = "4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a01"
LINES = b"".join(
    json.dumps({"id": number, "memory": f"fact {number}", "user_id": "alice"}).encode() + b"\n" for number in range(4)
)


def send(
    api: Api, lines: bytes, line: int = 1, *, key: str = ADMIN, type_: str | None = None, **query: object
) -> object:
    headers = {"Content-Type": type_} if type_ else {}
    return api.call(
        "POST", f"/import-jobs/{ID}/lines", params={"line": line, **query}, content=lines, headers=headers, key=key
    )


@pytest.mark.parametrize("type_", ["application/x-ndjson", "application/json", None])
def test_an_import_of_two_portions(api: Api, type_: str | None) -> None:
    begun = api.post("/import-jobs", {"id": ID, "file": "mem0.jsonl", "lines": 4})
    assert (begun.status_code, begun.json()["line"]) == (200, 1)
    first, second = LINES.splitlines(keepends=True)[:2], LINES.splitlines(keepends=True)[2:]
    place = send(api, b"".join(first), type_=type_).json()
    assert (place["line"], place["memories"], place["ended"], place["problems"]) == (3, 2, False, [])
    assert api.post("/import-jobs", {"id": ID}).json() == place
    ended = send(api, b"".join(second), 3, before=place["digest"], last=True, type_=type_).json()
    assert (ended["line"], ended["ended"]) == (5, True)
    assert len(api.texts()) == 4


def _mem0(id_: int, user: str, run: str) -> bytes:
    return json.dumps({"id": id_, "memory": f"fact {id_}", "user_id": user, "run_id": run}).encode() + b"\n"


def _announced(api: Api) -> list[tuple[object, int]]:
    deliveries = api.world.ledger.documents("default", DELIVERY, limit=10)[0]
    found = (Delivery.of(document).summary for document in deliveries)
    return [(dict(one.scope), one.count) for one in found if one is not None]


@pytest.fixture
def hooked(api: Api) -> Api:
    asked = {"url": "https://hooks.example.test/", "name": "all", "event_types": ["memory_add"]}
    project = api.get("/v1/ping/").json()["project_id"]
    assert api.post(f"/api/v1/webhooks/projects/{project}/", asked).status_code == 201
    return api


def test_the_end_of_an_import_is_announced_with_the_ids_that_all_new_memories_share(hooked: Api) -> None:
    hooked.post("/import-jobs", {"id": ID})
    send(hooked, _mem0(1, "alice", "r1") + _mem0(2, "alice", "r2"))
    send(hooked, _mem0(3, "alice", "r1"), 3)
    send(hooked, _mem0(3, "alice", "r1"), 4, last=True)  # it is there already
    assert _announced(hooked) == [({"user_id": "alice"}, 3)]


def test_what_was_stored_before_a_quota_stopped_the_portion_is_announced_too(hooked: Api) -> None:
    limit(hooked, adds_per_day=1)
    hooked.world.clock.advance(31)  # then the process knows of it
    lines = [one for number in range(2) for one in superseded(number)]
    exported = [{"format": "forgetless-events", "version": 1}, *lines]
    hooked.post("/import-jobs", {"id": ID})
    content = b"".join(json.dumps(line).encode() + b"\n" for line in exported)
    assert send(hooked, content).status_code == 429
    hooked.world.clock.advance(86_400)
    assert send(hooked, content, last=True).json()["memories"] == 2
    assert _announced(hooked) == [({"user_id": "alice"}, 2)]


def test_an_import_in_progress_keeps_no_ids_of_its_memories(hooked: Api) -> None:
    hooked.post("/import-jobs", {"id": ID})
    send(hooked, _mem0(1, "alice", "r1") + _mem0(2, "alice", "r1"))
    [job] = [one for one in hooked.world.ledger.documents("default", BULK_JOB, limit=10)[0] if one.id == ID]
    assert "alice" not in str(job.body)
    hooked.delete("/entities/user/alice")
    send(hooked, _mem0(3, "bob", "r1"), 3, last=True)
    assert _announced(hooked) == [({}, 3)], "what was erased is not announced by name"


def test_an_import_that_an_earlier_version_began_goes_on(hooked: Api) -> None:
    hooked.post("/import-jobs", {"id": ID})
    send(hooked, _mem0(1, "alice", "r1"))
    [job] = [one for one in hooked.world.ledger.documents("default", BULK_JOB, limit=10)[0] if one.id == ID]
    cursor = {name: value for name, value in job.body["cursor"].items() if name not in {"new_memory", "shared"}}
    before = replace(job, body={**job.body, "cursor": {**cursor, "new_ids": {"user_id": "alice"}}})
    assert hooked.world.ledger.put_document(replace(before, version=job.version + 1))
    assert send(hooked, _mem0(2, "alice", "r1"), 2, last=True).json()["ended"]
    assert _announced(hooked) == [({}, 2)]


def test_an_export_of_two_portions(api: Api) -> None:
    api.say("one", "two")
    assert api.post("/export-jobs", {"id": ID}).json() == {"cursor": None, "bytes": 0, "events": 0, "ended": False}
    first = api.post(f"/export-jobs/{ID}/lines", {"cursor": None})
    assert (first.headers["content-type"], first.headers["X-Events"]) == ("application/x-ndjson", "2")
    assert first.content == api.get("/export").content
    last = api.post(f"/export-jobs/{ID}/lines", {"cursor": first.headers["X-Next-Cursor"]})
    assert (last.content, "X-Next-Cursor" in last.headers) == (b"", False)


def test_an_import_can_be_checked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.post("/import-jobs", {"id": ID})
    send(api, LINES, last=True)
    more = LINES + b'\n{"id": "9", "memory": "x", "user_id": "bob", "run_id": "r"}\n{"id": "8"}\n7\n'
    counts = {"user_id": {"alice": [4, 4], "bob": [1, 0]}, "run_id": {"r": [1, 0]}}
    answer = api.call("POST", "/import-checks", content=more)
    assert answer.json() == {"memories": 7, "found": 4, "by_id": counts}
    assert len(api.texts()) == 4
    monkeypatch.setattr(import_check, "PORTION_S", 0.0)
    late = api.call("POST", "/import-checks", content=b"7\n" * 450)
    assert (late.json()["memories"], late.json()["lines"]) == (200, 200), "it ends in time, and says what it has read"
    broken = api.call("POST", "/import-checks", content=LINES + b"{")
    assert (broken.status_code, "line 5" in broken.json()["detail"]) == (400, True)
    assert api.call("POST", "/import-checks", content=b"\n" * (PORTION_BYTES + 1)).status_code == 413
    assert api.call("POST", "/import-checks", content=LINES, key=MEMBER).status_code == 403
    assert api.call("POST", "/import-checks", content=LINES, key=STRANGER).json()["found"] == 0


def test_only_administrators_of_the_tenant_may(api: Api) -> None:
    for path in ("/import-jobs", "/export-jobs"):
        assert api.post(path, {"id": ID}, key=MEMBER).status_code == 403
        assert api.post(path, {"id": str(uuid4())}).status_code == 200
    api.post("/import-jobs", {"id": ID})
    assert send(api, LINES, key=MEMBER).status_code == 403
    assert send(api, LINES, key=STRANGER).status_code == 404
    assert api.texts() == []


def test_a_portion_has_at_most_4_mb(api: Api) -> None:
    api.post("/import-jobs", {"id": ID})
    assert send(api, b" " * PORTION_BYTES).status_code == 200
    answer = send(api, b" " * (PORTION_BYTES + 1))
    assert (answer.status_code, str(PORTION_BYTES) in answer.json()["detail"]) == (413, True)


@pytest.mark.parametrize(
    ("lines", "line", "status", "says"),
    [
        (b'{"id": 1,\n', 1, 400, "line 1: not JSON"),
        (LINES, 2, 409, "next line of this import is 1"),
        (LINES, 0, 422, ""),
    ],
)
def test_refusals_say_what_is_wrong(api: Api, lines: bytes, line: int, status: int, says: str) -> None:
    api.post("/import-jobs", {"id": ID})
    answer = send(api, lines, line)
    assert (answer.status_code, says in str(answer.json()["detail"])) == (status, True)


@pytest.mark.parametrize("path", ["/import-jobs", "/export-jobs"])
def test_an_id_is_a_uuid(api: Api, path: str) -> None:
    assert api.post(path, {"id": "mine"}).status_code == 422
