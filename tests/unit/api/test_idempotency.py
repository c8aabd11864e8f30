"""Idempotency-Key: same key and body, same answer and one effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from forgetless.api.idempotency import fingerprint
from forgetless.domain.errors import EmbedderError, LlmUnavailableError
from forgetless.domain.keys import Role
from forgetless.ports.ledger import Ledger
from tests.unit.api.client import STRANGER, Api, put_key
from tests.unit.api.conftest import NewApi
from tests.unit.service.world import facts

BODY = {"messages": [{"role": "user", "content": "tea"}], "user_id": "alice", "infer": False}


@pytest.fixture(params=["sqlite", "dynamodb"])
def open_ledger(request: pytest.FixtureRequest) -> Callable[[], Ledger | None]:
    if request.param == "sqlite":
        return lambda: None
    opener: Callable[[], Ledger] = request.getfixturevalue("dynamo")
    return opener


def _add(api: Api, idempotency_key: str, body: Any = None, **options: Any) -> httpx2.Response:
    headers = {"Idempotency-Key": idempotency_key}
    return api.post("/memories", BODY if body is None else body, headers=headers, **options)


@pytest.mark.parametrize("inline", [True, False])
def test_the_same_request_gets_the_same_answer_and_has_one_effect(new_api: NewApi, *, inline: bool) -> None:
    api = new_api(inline=inline)
    first, second = _add(api, "k1"), _add(api, "k1")
    assert (second.status_code, second.content) == (200, first.content)
    assert second.headers["content-type"] == first.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert api.texts() == ["tea"]


def test_a_limited_key_never_gets_what_became_of_anothers_request(api: Api) -> None:
    put_key(api.world, "key-of-alice", "default", Role.WRITE, "alice")
    (theirs,) = _add(api, "k1").json()["results"]
    assert api.delete(f"/memories/{theirs['id']}").status_code == 200
    (mine,) = _add(api, "k1", key="key-of-alice").json()["results"]
    assert mine["id"] != theirs["id"]
    assert api.texts(key="key-of-alice") == ["tea"]
    assert _add(api, "k1", key="key-of-alice").headers["idempotency-replayed"] == "true"
    assert _add(api, "k1").json()["results"] != [mine]


def test_every_write_takes_a_key(api: Api) -> None:
    [memory_id] = api.say("tea")
    headers = {"Idempotency-Key": "k1"}
    changes = [api.put(f"/memories/{memory_id}", {"text": "coffee"}, headers=headers) for _ in range(2)]
    assert (changes[0].status_code, changes[1].content) == (200, changes[0].content)
    assert changes[1].headers["idempotency-replayed"] == "true"
    deletions = [api.delete(f"/memories/{memory_id}", headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in deletions] == [200, 200]
    assert api.delete(f"/memories/{memory_id}").status_code == 404


def test_another_query_under_the_same_key_is_422(api: Api) -> None:
    api.say("tea", user_id="bob")
    headers = {"Idempotency-Key": "k1"}
    assert api.delete("/memories?user_id=alice", headers=headers).status_code == 200
    assert api.delete("/memories?user_id=bob", headers=headers).status_code == 422
    assert api.texts("user_id=bob") == ["tea"]


def test_the_order_of_fields_and_spaces_do_not_make_another_body(api: Api) -> None:
    _add(api, "k1")
    body = '{ "infer": false, "user_id": "alice", "messages": [{"content": "t\\u0065a", "role": "user"}] }'
    headers = {"Idempotency-Key": "k1", "Content-Type": "application/json"}
    assert api.call("POST", "/memories", content=body, headers=headers).status_code == 200
    assert api.texts() == ["tea"]


def test_another_body_under_the_same_key_is_422(api: Api) -> None:
    _add(api, "k1")
    answer = _add(api, "k1", {**BODY, "user_id": "bob"})
    assert (answer.status_code, list(answer.json())) == (422, ["detail"])
    assert "Idempotency-Key" in answer.json()["detail"]
    assert api.texts("user_id=bob") == []


def test_a_request_that_still_runs_is_409_with_retry_after(new_api: NewApi) -> None:
    answers: list[httpx2.Response] = []

    def reply(_messages: object) -> str:
        answers.append(_add(api, "k1", {**BODY, "infer": True}))
        return facts("Alice likes tea")

    api = new_api(reply)
    assert _add(api, "k1", {**BODY, "infer": True}).status_code == 200
    # The claim lasts 25 s for the LLM and 15 s for what follows.
    assert (answers[0].status_code, answers[0].headers["retry-after"]) == (409, "40")


def test_a_key_that_has_expired_may_bring_another_body(api: Api) -> None:
    _add(api, "k1")
    api.world.clock.advance(2 * 86_400)
    answer = _add(api, "k1", {**BODY, "messages": [{"role": "user", "content": "coffee"}]})
    assert answer.status_code == 200
    assert api.texts() == ["coffee", "tea"]


def test_a_failure_is_not_recorded(api: Api) -> None:
    api.world.embedder.failure = EmbedderError("down")
    assert _add(api, "k1").status_code == 503
    api.world.embedder.failure = None
    assert _add(api, "k1").status_code == 200
    assert api.texts() == ["tea"]


def test_a_refused_body_does_not_use_up_the_key(api: Api) -> None:
    for refused in ({"messages": 1}, {"messages": []}):
        assert _add(api, "k1", refused).status_code in {400, 422}
    assert _add(api, "k1").status_code == 200


def test_keys_are_per_tenant_method_and_path(api: Api) -> None:
    _add(api, "k1")
    assert "idempotency-replayed" not in _add(api, "k1", key=STRANGER).headers
    headers = {"Idempotency-Key": "k1"}
    for _ in range(2):  # a search writes nothing, not even its answer
        found = api.post("/search", {"query": "tea", "filters": {"user_id": "alice"}}, headers=headers)
        assert (found.status_code, found.headers.get("idempotency-replayed")) == (200, None)
    assert api.texts(key=STRANGER) == ["tea"]
    assert [api.get("/memories?user_id=alice", headers=headers).status_code for _ in range(2)] == [200, 200]


def test_different_keys_are_different_adds(api: Api) -> None:
    _add(api, "k1")
    _add(api, "k2")
    assert api.texts() == ["tea", "tea"]


@pytest.mark.parametrize("key", ["", " ", "a\tb", "é", "x" * 256])
def test_a_key_that_is_not_printable_or_too_long_is_400(api: Api, key: str) -> None:
    answer = api.post("/memories", BODY, headers={b"Idempotency-Key": key.encode("latin-1")})
    assert (answer.status_code, "Idempotency-Key" in answer.json()["detail"]) == (400, True)
    assert _add(api, "x" * 255).status_code == 200


def test_without_a_valid_api_key_no_stored_answer_is_told(api: Api) -> None:
    _add(api, "k1")
    assert _add(api, "k1", key=None).status_code == 401
    assert _add(api, "k1", key="unknown").status_code == 401


def test_the_fingerprint_of_what_is_no_json_is_that_of_its_bytes() -> None:
    bodies = [b"", b"{", b"\xff", b"[" * 100_000, b'"\\ud800"', b"NaN", b"1" * 5000]
    assert len({fingerprint(body) for body in bodies}) == len(bodies)
    assert fingerprint(b'{"a":1,"b":[1, 2]}') == fingerprint(b'{"b":[1,2],  "a":1}')
    assert fingerprint(b"[1,2]") != fingerprint(b"[2,1]")


def test_an_add_that_went_on_in_the_background_is_the_same_add_when_it_comes_again(new_api: NewApi) -> None:
    replies = iter([None, facts("Alice likes tea")])

    def reply(_messages: object) -> str:
        text = next(replies)
        if text is None:
            raise TimeoutError
        return text

    api = new_api(reply)
    first, second = (_add(api, "k1", {**BODY, "infer": True}) for _ in range(2))
    assert (first.status_code, second.status_code) == (504, 200)
    assert second.json()["event_id"] == first.json()["event_id"]
    assert api.texts() == ["Alice likes tea"]


def test_an_add_that_the_llm_failed_can_be_tried_again_under_its_key(new_api: NewApi) -> None:
    replies = iter([None, facts("Alice likes tea")])

    def reply(_messages: object) -> str:
        text = next(replies)
        if text is None:
            raise LlmUnavailableError("overloaded")
        return text

    api = new_api(reply)
    body = {**BODY, "infer": True}
    assert _add(api, "k1", body).status_code == 503
    assert _add(api, "k1", body).status_code == 200
    assert api.texts() == ["Alice likes tea"]


def test_a_repeat_whose_messages_have_expired_is_an_add_of_its_own(new_api: NewApi) -> None:
    replies = iter(["no JSON", "no JSON", facts("Alice likes tea")])
    api = new_api(lambda _messages: next(replies))
    body = {**BODY, "infer": True}
    assert _add(api, "k1", body).status_code == 502
    api.world.clock.advance(100 * 86_400.0)
    assert api.world.ledger.expire_messages(before=api.world.clock.now(), limit=100) == 1
    assert _add(api, "k1", body).json()["results"][0]["memory"] == "Alice likes tea", "it reads what the repeat says"
    assert api.texts() == ["Alice likes tea"]
    api.delete("/entities/user/alice")
    assert api.get("/v1/events/?user_id=alice").json()["results"] == [], "an erasure finds the job"


def test_the_answer_of_a_retry_does_not_outlive_whose_add_it_was(new_api: NewApi) -> None:
    api = new_api("no JSON")
    _add(api, "k1", {**BODY, "infer": True, "metadata": {"note": "epilepsy"}})
    event = api.get("/v1/events/?user_id=alice").json()["results"][0]["id"]
    headers = {"Idempotency-Key": "k2"}
    assert "epilepsy" in api.post(f"/v1/event/{event}/retry/", {}, headers=headers).text
    api.delete("/entities/user/alice")
    again = api.post(f"/v1/event/{event}/retry/", {}, headers=headers)
    assert "idempotency-replayed" not in again.headers
    assert "epilepsy" not in again.text
    assert "alice" not in again.text


def test_the_answer_about_a_memory_that_no_erasure_would_find_is_not_stored(api: Api) -> None:
    """Exports of earlier versions may have ids of any form, and are imported as they are."""
    [memory_id] = api.say("tea")
    odd = api.get("/export").text.replace(memory_id, memory_id.upper())
    api.post("/import-jobs", {"id": memory_id})
    query = {"line": 1, "last": True}
    assert api.call("POST", f"/import-jobs/{memory_id}/lines", params=query, content=odd).json()["memories"] == 1
    headers = {"Idempotency-Key": "k3"}
    path = f"/v1/memories/{memory_id.upper()}/"
    assert api.put(path, {"text": "Alice has epilepsy"}, headers=headers).status_code == 200
    api.delete("/entities/user/alice")
    assert "epilepsy" not in api.put(path, {"text": "Alice has epilepsy"}, headers=headers).text


def test_ids_in_a_clients_words_tell_nothing_of_the_memories_that_they_name(api: Api) -> None:
    put_key(api.world, "key-limited-to-mallory", "default", Role.WRITE, "mallory")
    [of_bob] = api.say("tea", user_id="bob")
    [own] = api.say("milk", user_id="mallory")
    body = {"metadata": {"x": of_bob, "id": of_bob, "results": [{"id": of_bob}]}}

    def is_a_repeat(name: str) -> bool:
        headers = {"Idempotency-Key": name}
        answer = api.put(f"/v1/memories/{own}/", body, key="key-limited-to-mallory", headers=headers)
        return answer.headers.get("idempotency-replayed") == "true"

    assert [is_a_repeat("a") for _ in range(2)] == [False, True]
    api.delete(f"/memories/{of_bob}")
    assert is_a_repeat("a")
    assert [is_a_repeat("b") for _ in range(2)] == [False, True]
    api.delete(f"/memories/{own}")
    assert not is_a_repeat("a"), "the answer went with the memory that it shows"


def test_an_answer_that_only_reads_does_not_outlive_what_it_quotes(api: Api) -> None:
    """Such answers were stored once: a repeat showed the words of a user who had been erased."""
    [memory_id] = api.say("Alice has epilepsy")
    schema = {"type": "object", "properties": {"notes": {"type": "array", "items": {"type": "string"}}}}
    asked: dict[str, Any] = {"filters": {"user_id": "alice"}}
    export = api.post("/v1/exports/", {"schema": schema, **asked}).json()["id"]
    reason = {"memory_id": memory_id, "feedback": "NEGATIVE", "feedback_reason": "Alice has no epilepsy"}
    requests = [("/v1/summary/", asked), ("/v1/exports/get/", {"memory_export_id": export}), ("/v1/feedback/", reason)]
    headers = {"Idempotency-Key": "k11"}
    for path, body in requests:
        assert "epilepsy" in api.post(path, body, headers=headers).text
    assert api.delete("/entities/user/alice").status_code == 200
    for path, body in requests:
        again = api.post(path, body, headers=headers)
        assert "idempotency-replayed" not in again.headers
        assert "epilepsy" not in again.text


def test_an_answer_with_a_secret_is_not_stored(api: Api) -> None:
    headers = {"Idempotency-Key": "w1"}
    body = {"name": "hook", "url": "https://example.com/hook", "event_types": ["memory_add"]}
    refused = api.post("/api/v1/webhooks/projects/default/", body, headers=headers)
    assert (refused.status_code, "Idempotency-Key" in refused.text) == (400, True)
