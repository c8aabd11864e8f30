"""Projects, members, webhooks, exports, summaries, feedback and profiles: small documents of a tenant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forgetless.domain.documents import Document
from forgetless.domain.erasures import Target
from forgetless.domain.schema_exports import EXPORT
from forgetless.service.jobs.erase_exports import erase_exports
from forgetless.service.transfer import schema_export
from forgetless.service.transfer.person_export import PersonExport
from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.platform.test_memories import add

FACTS = {"type": "object", "properties": {"facts": {"type": "array", "items": {"type": "string"}}}}
ALICE = {"user_id": "alice"}


def place(api: Api, key: str = ADMIN) -> str:
    """The path of the key's own project."""
    ping = api.get("/v1/ping/", key=key).json()
    return f"/api/v1/orgs/organizations/{ping['org_id']}/projects/{ping['project_id']}/"


def hooks(api: Api, key: str = ADMIN) -> str:
    return f"/api/v1/webhooks/projects/{api.get('/v1/ping/', key=key).json()['project_id']}/"


HOOK = {"name": "n", "url": "http://localhost:9/hook", "event_types": ["memory_add", "memory_add"]}


def test_ping_names_what_is_stable_and_no_address(api: Api) -> None:
    first = api.get("/v1/ping/").json()
    assert {**first, "role": "write"} == api.get("/v1/ping/", key=MEMBER).json()
    assert (first["role"], first["limited"]) == ("admin", False)
    assert (first["status"], first["user_email"]) == ("ok", None)
    other = api.get("/v1/ping/", key=STRANGER).json()
    assert first["org_id"] != other["org_id"]
    assert first["project_id"] != other["project_id"]
    assert api.get("/v1/ping/", key=None).status_code == 401


def test_a_project_keeps_its_settings_and_shows_the_fields_asked_for(api: Api) -> None:
    path = place(api)
    body = {"custom_instructions": "x", "custom_categories": [{"a": "b"}]}
    assert api.call("PATCH", path, json=body).json() == {"message": "Project updated successfully"}
    api.call("PATCH", path, json={"multilingual": False})
    project = api.get(path).json()
    assert (project["custom_instructions"], project["multilingual"], project["is_default"]) == ("x", False, True)
    assert api.get(f"{path}?fields=custom_categories&fields=name").json() == {
        "custom_categories": [{"a": "b"}],
        "name": "default",
    }


def test_a_project_is_its_tenants_and_its_administrators(api: Api) -> None:
    path = place(api)
    for method in ("GET", "PATCH", "DELETE"):
        answer = api.call(method, path, json={"name": "x"} if method == "PATCH" else None, key=STRANGER)
        assert (answer.status_code, answer.json()["message"]) == (404, "Organization or project not found")
    assert api.call("PATCH", path, json={"name": "x"}, key=MEMBER).status_code == 403
    assert api.delete(path).status_code == 403
    assert api.call("PATCH", path, json={"unknown": 1}).status_code == 400
    assert api.call("PATCH", path, json={"custom_categories": "x"}).status_code == 400


def test_further_projects_come_and_go(api: Api) -> None:
    path = place(api)
    home = path[: path.index("/projects/") + len("/projects/")]
    made = api.post(home, {"name": "second"}).json()
    other = f"{home}{made['project_id']}/"
    assert api.get(other).json()["name"] == "second"
    assert api.delete(other).json()["message"].startswith("Project and related data deleted")
    assert api.get(other).status_code == 404
    assert api.post(home, {}).json()["message"].startswith("name:")


def test_members_are_listed_changed_and_removed(api: Api) -> None:
    path = f"{place(api)}members/"
    body = {"email": "a@b.c", "role": "READER"}
    assert api.put(path, body).status_code == 404
    assert api.post(path, body).status_code == 200
    api.put(path, {**body, "role": "OWNER"})
    assert api.get(path).json() == {"members": [{"username": "a@b.c", "role": "OWNER"}]}
    assert api.delete(f"{path}?email=a@b.c").status_code == 200
    assert api.get(path).json() == {"members": []}


def test_a_webhook_is_registered_listed_changed_and_deleted(api: Api) -> None:
    made = api.post(hooks(api), HOOK)
    assert made.status_code == 201
    webhook = made.json()
    assert webhook["event_types"] == ["memory_add"]
    assert webhook["secret"].startswith("whsec_")
    path = f"/api/v1/webhooks/{webhook['webhook_id']}/"
    assert api.put(path, {"name": "z", "is_active": False}).json() == {"message": "Webhook updated successfully"}
    (listed,) = api.get(hooks(api)).json()
    assert (listed["name"], listed["is_active"], "secret" in listed) == ("z", False, False)
    for method in ("PUT", "DELETE"):
        assert api.call(method, path, json={"name": "y"}, key=STRANGER).json()["error"] == "Webhook not found"
    assert api.delete(path).json() == {"message": "Webhook deleted successfully"}
    assert api.get(hooks(api)).json() == []


def test_the_address_of_a_webhook_is_kept_in_ascii(api: Api) -> None:
    webhook = api.post(hooks(api), {**HOOK, "url": "http://exämple.com/ü"}).json()
    assert webhook["url"] == "http://xn--exmple-cua.com/%C3%BC"
    api.put(f"/api/v1/webhooks/{webhook['webhook_id']}/", {"url": "http://bücher.de/"})
    (listed,) = api.get(hooks(api)).json()
    assert listed["url"] == "http://xn--bcher-kva.de/"


def test_webhooks_of_another_project_are_not_shown(api: Api) -> None:
    answer = api.get(hooks(api), key=STRANGER)
    assert (answer.status_code, answer.json()["error"]) == (403, "You don't have access to this project")
    assert api.post(hooks(api), HOOK, key=MEMBER).status_code == 403


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": None}, "url"),
        ({"url": "ftp://x/"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://x:99999/"}, "url"),
        ({"url": "http://x:0/"}, "url"),
        ({"url": "http://a..b/"}, "url"),
        ({"url": f"http://{'a' * 70}.com/"}, "url"),
        ({"url": "http://☃.net/"}, "url"),
        ({"event_types": ["memory_eaten"]}, "event_types.0"),
        ({"event_types": []}, "event_types"),
        ({"name": ""}, "name"),
    ],
)
def test_a_bad_webhook_is_400_by_field(api: Api, change: dict[str, Any], field: str) -> None:
    answer = api.post(hooks(api), {**HOOK, **change})
    assert answer.status_code == 400
    assert answer.json()[field]
    missing = api.post(hooks(api), {})
    assert missing.json()["url"] == ["This field is required."]


def test_an_export_maps_memories_by_names_without_an_llm_and_says_so(api: Api) -> None:
    add(api, "I like tea.")
    made = api.post("/v1/exports/", {"schema": json.dumps(FACTS), "filters": ALICE})
    assert made.status_code == 201
    answer = api.post("/v1/exports/get/", {"memory_export_id": made.json()["id"]})
    assert answer.json() == {"facts": ["I like tea."]}
    assert "no LLM" in answer.headers["X-Forgetless-Export"]
    assert api.post("/v1/exports/get/", {"filters": ALICE}).json() == answer.json()
    (memory,) = api.get("/v1/memories/?user_id=alice").json()
    api.delete(f"/v1/memories/{memory['id']}/")
    assert api.post("/v1/exports/get/", {"filters": ALICE}).json() == {"facts": []}


def test_the_request_of_an_export_goes_with_the_user_that_its_filters_name(api: Api) -> None:
    add(api, "I like tea.")
    others = {"AND": [{"user_id": "bob"}]}
    for filters in (ALICE, others):
        assert api.post("/v1/exports/", {"schema": json.dumps(FACTS), "filters": filters}).status_code == 201
    event_id = api.delete("/v1/memories/?user_id=alice").json()["event_id"]
    while api.world.services.bulk_worker.turn():
        api.world.clock.advance(1)
    assert api.get(f"/v1/event/{event_id}/").json()["status"] == "SUCCEEDED"
    assert api.post("/v1/exports/get/", {"filters": ALICE}).status_code == 404
    assert api.post("/v1/exports/get/", {"filters": others}).json() == {"facts": []}


@pytest.mark.parametrize(
    ("user", "filters"),
    [
        ("alice", {"user_id": " alice "}),
        ("77340", {"AND": [{"user_id": 77340}]}),
        ("77340", {"user_id": {"in": [77340, "x"]}}),
        ("77340", {"AND": [{"agent_id": "x"}, {"NOT": [{"user_id": 77340.0}]}]}),
        ("jos\u00e9", {"user_id": "jose\u0301"}),
    ],
)
def test_the_request_of_an_export_goes_however_its_filters_write_the_id(
    api: Api, user: str, filters: dict[str, Any]
) -> None:
    api.say("I like tea.", user_id=user)
    assert api.post("/v1/exports/", {"schema": json.dumps(FACTS), "filters": filters}).status_code == 201
    shown = b"".join(
        PersonExport(ledger=api.world.ledger, audit=api.world.services.audit).portions("default", {"user_id": user})
    )
    assert b'"type":"export"' in shown
    api.delete("/v1/memories/", params={"user_id": user})
    while api.world.services.bulk_worker.turn():
        api.world.clock.advance(1)
    assert api.world.ledger.documents("default", EXPORT, limit=10)[0] == []


def test_a_number_that_is_no_id_is_nobody(api: Api) -> None:
    """A schema, a job or metadata have small numbers, and a user may have the id 1."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 1}}}
    filters = {"AND": [{"user_id": "bob"}, {"metadata": {"rating": 1, "customer_id": 1}}]}
    assert api.post("/v1/exports/", {"schema": schema, "filters": filters}).status_code == 201
    api.say("I like tea.", user_id="1")
    held = PersonExport(ledger=api.world.ledger, audit=api.world.services.audit)
    assert b"bob" not in b"".join(held.portions("default", {"user_id": "1"}))
    api.delete("/v1/memories/", params={"user_id": "1"})
    while api.world.services.bulk_worker.turn():
        api.world.clock.advance(1)
    assert len(api.world.ledger.documents("default", EXPORT, limit=10)[0]) == 1
    assert b"bob" not in b"".join(held.portions("default", {"user_id": "1"}))


def test_an_erasure_leaves_exports_that_have_its_id_in_another_field(api: Api) -> None:
    year = {"AND": [{"user_id": "bob"}, {"metadata": {"year": "2026"}}]}
    for filters in (year, {"run_id": "2026"}):
        assert api.post("/v1/exports/", {"schema": FACTS, "filters": filters}).status_code == 201
    api.say("I like tea.", user_id="bob", run_id="2026")
    api.delete("/v1/memories/", params={"run_id": "2026"})
    while api.world.services.bulk_worker.turn():
        api.world.clock.advance(1)
    [left] = api.world.ledger.documents("default", EXPORT, limit=10)[0]
    assert left.body["filters"] == year


def test_an_export_that_is_asked_for_while_something_is_erased_is_not_kept(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure has looked through the requests before this one is stored."""
    put = api.world.ledger.put_document

    def erased_first(document: Document) -> bool:
        if document.kind == EXPORT:
            monkeypatch.undo()
            api.delete("/v1/memories/?user_id=alice")
            while api.world.services.bulk_worker.turn():
                api.world.clock.advance(1)
        return put(document)

    monkeypatch.setattr(api.world.ledger, "put_document", erased_first)
    asked = {"schema": FACTS, "filters": ALICE}
    refused = api.post("/v1/exports/", asked)
    assert (refused.status_code, "send the request" in refused.text) == (409, True)
    assert api.world.ledger.documents("default", EXPORT, limit=10)[0] == []
    assert api.post("/v1/exports/", asked).status_code == 201


def test_the_requests_of_exports_that_are_kept_are_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_export, "MOST_KEPT", 2)
    asked = {"schema": FACTS, "filters": ALICE}
    assert [api.post("/v1/exports/", asked).status_code for _ in range(2)] == [201, 201]
    refused = api.post("/v1/exports/", asked)
    assert (refused.status_code, "requests of exports already" in refused.text, "30 days" in refused.text) == (
        409,
        True,
        True,
    )
    assert api.post("/v1/exports/get/", {"filters": ALICE}).status_code == 200
    api.world.clock.advance(30 * 86_400 + 1)
    api.world.services.sweep.sweep()
    assert api.post("/v1/exports/", asked).status_code == 201


def test_a_late_pass_takes_only_exports_that_were_accepted_before_its_erasure(api: Api) -> None:
    ledger = api.world.ledger
    erasure = ledger.begin_erasure("default", [Target({"user_id": "alice"})], at=api.world.clock.now())
    for number in (erasure.number - 1, erasure.number):
        body = {"schema": FACTS, "filters": ALICE, "instructions": None, "erasures_before": number}
        assert ledger.put_document(Document("default", EXPORT, str(number), body, api.world.clock.now()))
    earlier = {"schema": FACTS, "filters": ALICE, "instructions": None}  # of an earlier version
    assert ledger.put_document(Document("default", EXPORT, "earlier", earlier, api.world.clock.now()))
    assert erase_exports(ledger, erasure, None) is None
    assert [one.id for one in ledger.documents("default", EXPORT, limit=10)[0]] == [str(erasure.number)]


def test_an_export_is_written_by_the_llm_from_the_memories_and_the_schema(new_api: NewApi) -> None:
    api = new_api(['{"facts": ["tea"]}', "Alice likes tea."])
    add(api, "I like tea.")
    body = {"schema": FACTS, "filters": ALICE, "export_instructions": "SHORT"}
    made = api.post("/v1/exports/", body).json()
    answer = api.post("/v1/exports/get/", {"memory_export_id": made["id"]})
    assert (answer.json(), "X-Forgetless-Export" in answer.headers) == ({"facts": ["tea"]}, False)
    assert api.world.llm is not None
    rules, data = (message.content for message in api.world.llm.calls[0].messages)
    assert "SHORT" in rules
    assert "I like tea." in data
    (summary,) = api.post("/v1/summary/", {"filters": ALICE}).json()
    assert summary == {"summary": "Alice likes tea.", "memories": 1, "method": "llm"}


def test_a_summary_and_an_export_say_when_more_may_match(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("I drink tea", "I drink milk"):
        api.say(text)
    made = api.post("/v1/exports/", {"schema": FACTS, "filters": ALICE}).json()
    monkeypatch.setattr(schema_export, "MOST_MEMORIES", 1)
    (summary,) = api.post("/v1/summary/", {"filters": ALICE}).json()
    assert (summary["memories"], summary["count_is_lower_bound"]) == (1, True)
    answer = api.post("/v1/exports/get/", {"memory_export_id": made["id"]})
    assert answer.headers["X-Forgetless-Export"].endswith("; made from 1 memories; more may match")


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/exports/", {"filters": ALICE}, 400, "Schema is required and must be a valid object"),
        ("/v1/exports/", {"schema": "{", "filters": ALICE}, 400, "Schema is required"),
        ("/v1/exports/", {"schema": FACTS}, 400, "One of the filters"),
        ("/v1/exports/get/", {}, 400, "memory_export_id or filters"),
        ("/v1/exports/get/", {"memory_export_id": "x"}, 404, "No memory export request found"),
        ("/v1/summary/", {"filters": {}}, 400, "One of the filters"),
    ],
)
def test_bad_exports_are_refused(api: Api, path: str, body: dict[str, Any], status: int, said: str) -> None:
    answer = api.post(path, body)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_feedback_is_kept_once_for_each_memory_and_goes_with_it(api: Api) -> None:
    id_ = add(api, "I like tea.")
    api.post("/v1/feedback/", {"memory_id": id_, "feedback": "NEGATIVE", "feedback_reason": "no"})
    answer = api.post("/v1/feedback/", {"memory_id": id_, "feedback": "POSITIVE", "feedback_reason": "SECRET"}).json()
    (kept,) = api.get("/v1/feedback/").json()["results"]
    assert (kept["id"], kept["feedback"], kept["feedback_reason"]) == (answer["id"], "POSITIVE", "SECRET")
    assert api.get("/v1/feedback/", key=STRANGER).json() == {"results": []}
    assert api.post("/v1/feedback/", {"memory_id": id_, "feedback": "FINE"}).status_code == 400
    api.delete(f"/v1/memories/{id_}/")
    assert api.get("/v1/feedback/").json() == {"results": []}


def test_profiles_say_that_they_are_not_enabled(api: Api) -> None:
    assert api.get("/v2/entities/user/alice/profile/").json()["status"] == "not_enabled"
    assert api.post("/v2/profiles/jobs/", {"operation": "trigger"}).json()["status"] == "not_enabled"
    assert api.get("/v2/profiles/jobs/x/").status_code == 404
    assert api.post("/v2/profiles/settings/", {"enabled": True}).json()["enabled"] is False
    assert api.get("/v2/profiles/settings/").json()["enabled"] is False
