"""One memory by its id, batches, deletions of scopes with and without `*`, and ids that a path must transmit whole."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

import pytest

from forgetless.api.platform.routes import batch
from forgetless.domain.limits import RequestLimits
from forgetless.service.writing.erase_memories import MemoryEraser
from tests.unit.api.client import MEMBER, STRANGER, Api
from tests.unit.api.conftest import NewApi
from tests.unit.service.world import facts

UNKNOWN = str(uuid.UUID(int=7))


def add(api: Api, text: str, **ids: Any) -> str:
    """Store one text; returns its id."""
    api.world.clock.advance(1)
    body = {"messages": text, "infer": False, **(ids or {"user_id": "alice"})}
    id_: str = api.post("/v3/memories/add/", body).json()["results"][0]["id"]
    return id_


def texts(api: Api, filters: dict[str, Any] | None = None) -> list[str]:
    answer = api.post("/v3/memories/", {"filters": filters or {"OR": [{"user_id": "*"}, {"agent_id": "*"}]}})
    return [one["memory"] for one in answer.json()["results"]]


def test_a_memory_is_shown_with_all_keys_and_its_run_under_both_names(api: Api) -> None:
    id_ = add(api, "I like tea.", user_id="alice", run_id="r1", app_id="app")
    memory = api.get(f"/v1/memories/{id_}/").json()
    assert (memory["run_id"], memory["session_id"], memory["app_id"], memory["agent_id"]) == ("r1", "r1", "app", None)
    assert (memory["metadata"], memory["categories"], memory["lifecycle_state"]) == (None, None, "active")


def test_an_update_answers_the_memory_and_null_clears_the_expiration(api: Api) -> None:
    id_ = add(api, "I like tea.")
    path = f"/v1/memories/{id_}/"
    body = {"text": "I like coffee.", "metadata": {"a": 1}, "expiration_date": "2030-01-01", "timestamp": 1_700_000_000}
    changed = api.put(path, body).json()
    assert (changed["memory"], changed["metadata"], changed["expiration_date"]) == (
        "I like coffee.",
        {"a": 1},
        "2030-01-01",
    )
    assert changed["created_at"].startswith("2023-11-14")
    assert changed["recorded_at"].startswith("2026-01-01")
    assert api.put(path, {"expiration_date": None}).json()["expiration_date"] is None
    assert api.get(path).json()["metadata"] == {"a": 1}
    assert texts(api, {"AND": [{"user_id": "alice"}, {"created_at": "2023-11-14"}]}) == ["I like coffee."]


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PUT", {"text": "x"}), ("DELETE", None)])
@pytest.mark.parametrize(
    ("id_", "status", "said"),
    [("id1", 400, "memory_id should be a valid UUID"), (UNKNOWN, 404, "Memory not found!")],
)
def test_an_unknown_memory_is_refused_in_the_platforms_words(
    api: Api, method: str, body: Any, id_: str, status: int, said: str
) -> None:
    answer = api.call(method, f"/v1/memories/{id_}/", json=body)
    assert (answer.status_code, answer.json()) == (status, {"error": said, "detail": said})


def test_another_tenants_memory_does_not_exist(api: Api) -> None:
    id_ = add(api, "Mine.")
    for method, path, body in (
        ("GET", f"/v1/memories/{id_}/", None),
        ("GET", f"/v1/memories/{id_}/history/", None),
        ("PUT", f"/v1/memories/{id_}/", {"text": "x"}),
        ("DELETE", f"/v1/memories/{id_}/", None),
        ("PUT", "/v1/batch/", {"memories": [{"memory_id": id_, "text": "x"}]}),
        ("DELETE", "/v1/batch/", {"memories": [{"memory_id": id_}]}),
        ("POST", "/v1/feedback/", {"memory_id": id_, "feedback": "POSITIVE"}),
    ):
        assert api.call(method, path, json=body, key=STRANGER).status_code == 404, path
    api.delete("/v1/memories/?user_id=*", key=STRANGER)
    assert texts(api) == ["Mine."]


def test_history_shows_what_was_said(api: Api) -> None:
    id_ = add(api, "I like tea.")
    api.put(f"/v1/memories/{id_}/", {"text": "I like coffee."})
    first, second = api.get(f"/v1/memories/{id_}/history/").json()
    assert first["input"] == [{"role": "user", "content": "I like tea."}]
    assert (first["event"], first["old_memory"], first["new_memory"]) == ("ADD", None, "I like tea.")
    assert (second["event"], second["old_memory"], second["new_memory"]) == ("UPDATE", "I like tea.", "I like coffee.")
    assert second["user_id"] == "alice"


def test_a_change_that_names_nothing_is_refused_in_the_words_of_its_route(api: Api) -> None:
    id_ = add(api, "I like tea.")
    alone = api.put(f"/v1/memories/{id_}/", {"other": 1})
    assert alone.status_code == 400
    assert "At least one of text, metadata, timestamp, or expiration_date must be provided." in alone.text
    batch = api.put("/v1/batch/", {"memories": [{"memory_id": id_, "text": "Tea."}, {"memory_id": id_}]})
    assert batch.status_code == 400
    assert "memories[1]: give text or metadata." in batch.text
    assert texts(api) == ["I like tea."]


def test_a_batch_is_checked_before_anything_changes(api: Api) -> None:
    ids = [add(api, "one"), add(api, "two")]
    changes = [{"memory_id": ids[0], "text": "ONE"}, {"memory_id": UNKNOWN, "text": "x"}]
    answer = api.put("/v1/batch/", {"memories": changes})
    assert answer.status_code == 404
    assert UNKNOWN in answer.json()["error"]
    assert texts(api) == ["two", "one"]
    twice = [*changes[:1], {"memory_id": ids[1], "metadata": {"a": 2}}, {"memory_id": ids[1], "metadata": {"a": 1}}]
    done = api.put("/v1/batch/", {"memories": twice})
    assert done.json() == {"message": "Successfully updated 2 memories"}
    assert texts(api) == ["two", "ONE"]
    assert api.get(f"/v1/memories/{ids[1]}/").json()["metadata"] == {"a": 1}
    assert next(hit["memory"] for hit in api.post("/search", found("ONE")).json()["results"]) == "ONE"
    gone = api.call("DELETE", "/v1/batch/", json={"memories": [{"memory_id": id_} for id_ in ids]})
    assert gone.json() == {"message": "Successfully deleted 2 memories"}
    assert texts(api) == []


def found(query: str) -> dict[str, Any]:
    return {"query": query, "filters": {"user_id": "alice"}, "threshold": 0}


def test_one_memory_twice_in_a_batch_gets_both_changes(api: Api) -> None:
    id_ = add(api, "one")
    changes = [{"memory_id": id_, "text": "ONE"}, {"memory_id": id_, "metadata": {"a": 1}}]
    assert api.put("/v1/batch/", {"memories": changes}).status_code == 200
    memory = api.get(f"/v1/memories/{id_}/").json()
    assert (memory["memory"], memory["metadata"]) == ("ONE", {"a": 1})


def test_a_batch_stores_no_more_than_an_add(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = api.say("é" * 60, "tea")
    changes = [{"memory_id": id_, "metadata": {"a": 1}} for id_ in ids]
    monkeypatch.setattr(batch, "ADD_BYTES", 122)
    refused = api.put("/v1/batch/", {"memories": changes})
    assert (refused.status_code, api.get(f"/v1/memories/{ids[1]}/").headers["ETag"]) == (400, '"1"')
    assert "the texts of these have 123 bytes together; at most 122" in refused.json()["error"]
    monkeypatch.setattr(batch, "ADD_BYTES", 123)
    assert api.put("/v1/batch/", {"memories": changes}).status_code == 200


def test_a_batch_counts_what_it_has_deleted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [add(api, "one"), add(api, "two"), add(api, "three")]
    twice = {"memories": [{"memory_id": ids[0]}, {"memory_id": ids[0]}]}
    assert api.call("DELETE", "/v1/batch/", json=twice).json() == {"message": "Successfully deleted 1 memories"}
    erase = MemoryEraser.erase

    def overtaken(*arguments: Any, **named: Any) -> None:
        monkeypatch.setattr(MemoryEraser, "erase", erase)
        assert api.delete(f"/v1/memories/{ids[1]}/").status_code == 200
        erase(*arguments, **named)

    monkeypatch.setattr(MemoryEraser, "erase", overtaken)
    rest = {"memories": [{"memory_id": id_} for id_ in ids[1:]]}
    assert api.call("DELETE", "/v1/batch/", json=rest).json() == {"message": "Successfully deleted 1 memories"}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_batch_holds_a_thousand_at_most(api: Api, method: str) -> None:
    answer = api.call(method, "/v1/batch/", json={"memories": [{"memory_id": UNKNOWN}] * 1001})
    assert answer.status_code == 400
    assert "Maximum of 1000 memories" in answer.json()["error"]


def test_a_deletion_without_anybody_is_refused(api: Api) -> None:
    assert api.delete("/v1/memories/").status_code == 400
    assert api.delete("/v1/memories/?org_id=o").status_code == 400


def test_a_wildcard_deletes_all_of_its_kind_and_nothing_else(api: Api) -> None:
    add(api, "of alice", user_id="alice")
    add(api, "of bob in a run", user_id="bob", run_id="r")
    add(api, "of a robot", agent_id="robot")
    assert api.delete("/v1/memories/?user_id=*&run_id=r").json()["deleted"] == 1
    assert texts(api) == ["of a robot", "of alice"]
    assert api.delete("/v1/memories/?user_id=*").json()["deleted"] == 1
    assert texts(api) == ["of a robot"]
    assert api.delete("/v1/memories/?user_id=*&agent_id=*&app_id=*&run_id=*").json()["deleted"] == 1
    assert texts(api) == []


def test_a_wildcard_takes_messages_too_from_which_nothing_was_learnt(new_api: NewApi) -> None:
    api = new_api(lambda _messages: facts())
    answer = api.post("/v3/memories/add/", {"messages": "SECRET", "user_id": "alice", "async_mode": False}).json()
    assert answer["results"] == []
    assert api.world.ledger.job_messages("default", answer["event_id"])
    api.delete("/v1/memories/?user_id=*")
    assert api.world.ledger.job_messages("default", answer["event_id"]) == []


def test_deletion_by_metadata_and_by_filters_as_python_clients_write_them(api: Api) -> None:
    for place, topic in enumerate(("tea", "coffee", "tea")):
        add(api, f"{place} {topic}", user_id="alice")
    ids = {one["memory"]: one["id"] for one in api.get("/v1/memories/?user_id=alice").json()}
    for text, id_ in ids.items():
        api.put(f"/v1/memories/{id_}/", {"metadata": {"topic": text.split()[1]}})
    api.call("DELETE", "/v1/memories/", params={"user_id": "alice", "metadata": '{"topic": "coffee"}'})
    assert texts(api) == ["2 tea", "0 tea"]
    api.call("DELETE", "/v1/memories/", params={"filters": repr({"AND": [{"user_id": "alice"}, {"keywords": "0"}]})})
    assert texts(api) == ["2 tea"]
    assert api.call("DELETE", "/v1/memories/", params={"filters": "open('x')"}).status_code == 400


def test_a_member_may_not_delete_scopes_nor_read_everybody(api: Api) -> None:
    assert api.delete("/v1/memories/?user_id=alice", key=MEMBER).status_code == 403
    assert api.delete("/v2/entities/user/alice/", key=MEMBER).status_code == 403
    assert api.post("/v3/memories/", {"filters": {"user_id": "*"}}, key=MEMBER).status_code == 403
    assert api.post("/v3/memories/", {"filters": {"user_id": "alice"}}, key=MEMBER).status_code == 200


def test_a_large_delete_by_filter_names_the_event_that_ends_when_all_is_deleted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetless.service.jobs.delete_matching.ERASE_IN_REQUEST_S", -1.0)
    monkeypatch.setattr("forgetless.service.jobs.removal.STEP", 1)
    for text in ("one", "two", "three"):
        add(api, text, user_id="alice")
    filters = '{"keywords": {"icontains": "t"}}'
    answer = api.call("DELETE", "/v1/memories/", params={"user_id": "alice", "filters": filters}).json()
    assert answer["deleted"] == 1
    event = f"/v1/event/{answer['event_id']}/"
    shown = api.get(event).json()
    assert (shown["event_type"], shown["status"], shown["payload"]) == ("DELETE", "PENDING", {"user_id": "alice"})
    while api.world.services.bulk_worker.turn():
        pass
    shown = api.get(event).json()
    assert (shown["status"], shown["metadata"]) == ("SUCCEEDED", {"done": 2, "total": 2, "set_aside": 0})
    assert texts(api) == ["one"]
    assert answer["event_id"] in [one["id"] for one in api.get("/v1/events/").json()["results"]]
    assert api.delete(event).status_code == 409


def test_a_linked_delete_of_too_many_names_the_limit(new_api: NewApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api = new_api([facts("lives in Lisbon"), facts({"text": "lives in Porto", "supersedes": [1]})])
    *_, new = (
        api.post("/v3/memories/add/", {"messages": text, "user_id": "alice", "async_mode": False}).json()["results"][0]
        for text in ("I live in Lisbon.", "I moved to Porto.")
    )
    monkeypatch.setattr(api.world.services, "limits", RequestLimits(batch=1))
    refused = api.delete(f"/v1/memories/{new['id']}/?delete_linked=true")
    assert refused.status_code == 400
    assert "at most 1 memories" in refused.text
    assert texts(api) == ["lives in Porto"]


def test_delete_linked_takes_what_the_memory_superseded(new_api: NewApi) -> None:
    api = new_api([facts("The user lives in Lisbon"), facts({"text": "The user lives in Porto", "supersedes": [1]})])
    old, new = (
        api.post("/v3/memories/add/", {"messages": text, "user_id": "alice", "async_mode": False}).json()["results"][0]
        for text in ("I live in Lisbon.", "I moved to Porto.")
    )
    before = api.get(f"/v1/memories/{old['id']}/").json()
    assert (before["lifecycle_state"], before["replaced_by"]) == ("superseded", new["id"])
    listed = {"filters": {"user_id": "alice"}}
    assert api.post("/v3/memories/", listed).json()["count"] == 1
    assert api.post("/v3/memories/", {**listed, "latest_only": False}).json()["count"] == 2
    assert api.delete(f"/v1/memories/{new['id']}/?delete_linked=true").json()["cascade_count"] == 1
    assert api.get(f"/v1/memories/{old['id']}/").status_code == 404


@pytest.mark.parametrize("name", ["alice x", "a/b", "50%", "ü", "a/history", "x/profile"])
def test_an_entitys_id_is_decoded_once_whatever_it_holds(api: Api, name: str) -> None:
    add(api, "kept", user_id="other")
    add(api, "gone", user_id=name)
    path = f"user/{quote(name, safe='')}/"
    listed = api.get(f"/v1/memories/{path}").json()
    assert [one["memory"] for one in listed["results"]] == ["gone"]
    assert api.delete(f"/v2/entities/{path}").json()["deleted"] == 1
    assert texts(api) == ["kept"]


def test_raw_slashes_and_spaces_of_old_clients_are_understood(api: Api) -> None:
    add(api, "gone", user_id="a b/c")
    assert api.delete("/v2/entities/user/a%20b/c/").json()["deleted"] == 1


def test_an_entity_goes_by_its_number_too(api: Api) -> None:
    add(api, "gone", user_id="alice")
    add(api, "kept", agent_id="alice")
    users = {one["type"]: one for one in api.get("/v1/entities/").json()["results"]}
    assert isinstance(users["user"]["id"], int)
    assert api.delete(f"/v1/entities/agent/{users['user']['id']}/").status_code == 404
    assert api.delete("/v1/entities/user/alice/").json()["error"] == "Invalid entity ID. Must be an integer."
    number = users["user"]["id"]
    api.say("I like tea.", user_id=f"{number}")
    answer = api.delete(f"/v1/entities/user/{number}/")
    assert (answer.status_code, "of this name, too" in answer.json()["error"]) == (400, True)
    assert api.delete(f"/v2/entities/user/{number}/").status_code == 200
    assert api.delete(f"/v1/entities/user/{number}/").status_code == 200
    assert texts(api) == ["kept"]


def test_entities_are_counted_by_kind_and_paged(api: Api) -> None:
    for name in ("a", "b", "c"):
        add(api, name, user_id=name, app_id="app")
    answer = api.get("/v1/entities/?page=2&page_size=3").json()
    assert (answer["count"], len(answer["results"]), answer["next"]) == (4, 1, None)
    assert (answer["total_users"], answer["total_apps"], answer["total_agents"]) == (3, 1, 0)
    assert api.get("/v2/entities/app/app/").json()[0]["total_memories"] == 3
    assert api.get("/v2/entities/thing/x/").json()["message"] == "Invalid entity type"


@pytest.mark.parametrize("name", ["50%25", "%2F", "%252F"])
def test_an_id_that_mangum_decodes_twice_is_taken_from_the_event(api: Api, name: str) -> None:
    from mangum import Mangum  # noqa: PLC0415

    from forgetless.api.app import create_app  # noqa: PLC0415
    from tests.unit.api.client import ADMIN  # noqa: PLC0415
    from tests.unit.servers import event_loop  # noqa: PLC0415

    add(api, "gone", user_id=name)
    path = f"/v2/entities/user/{name}/"  # as the gateway hands it on: decoded once
    http = {"method": "DELETE", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "x"}
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"authorization": f"Token {ADMIN}", "host": "localhost"},
        "requestContext": {"http": http, "requestId": "r", "stage": "$default"},
        "isBase64Encoded": False,
    }
    with event_loop():
        handler = Mangum(create_app(lambda: api.world.services, inline=True), lifespan="off")
        answer = handler(event, None)  # type: ignore[arg-type]
    assert '"deleted":1' in answer["body"]
