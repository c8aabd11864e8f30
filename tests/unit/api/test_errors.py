"""Errors: one table of statuses, mem0's bodies, and no internal details."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest

from forgetless.api.errors import STATUS, answer_error
from forgetless.api.platform.error_bodies import refusal
from forgetless.domain.errors import (
    ConflictError,
    DeadlineError,
    DependencyError,
    EmbedderError,
    ForgetlessError,
    LeaseLostError,
    LlmReplyError,
    LlmUnavailableError,
    RateLimitedError,
    TooManyGuessesError,
    TooManyJobsError,
    VersionConflictError,
)
from tests.unit.api.client import ADMIN, Api
from tests.unit.api.conftest import NewApi

BODY = {"messages": [{"role": "user", "content": "secret tea"}], "user_id": "alice"}


def _walk(kind: type[ForgetlessError]) -> Iterator[type[ForgetlessError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _walk(below)


def test_every_error_class_has_its_own_line_in_the_table() -> None:
    known = {kind for kind in _walk(ForgetlessError) if kind.__module__ == ForgetlessError.__module__}
    assert set(STATUS) == known


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
def test_every_error_is_answered_with_json_and_its_status(kind: type[ForgetlessError]) -> None:
    error = kind.__new__(kind)
    error.message = "what to do"
    error.missing, error.challenge, error.retry_after, error.event_id = False, None, 3, "e1"  # type: ignore[attr-defined]
    error.limit, error.reset_s = 60, 9  # type: ignore[attr-defined]
    response = answer_error(error, "0123abcd")
    assert response.status_code == STATUS[kind]
    assert response.headers["content-type"] == "application/json"
    assert b"what to do" in bytes(response.body)
    assert (b'"request_id"' in bytes(response.body)) == (response.status_code >= 500)


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
def test_who_may_come_again_is_told_when_in_whole_seconds_and_nobody_else(kind: type[ForgetlessError]) -> None:
    error = kind.__new__(kind)
    error.message, error.missing, error.challenge = "what to do", False, None  # type: ignore[attr-defined]
    error.event_id = "e1"  # type: ignore[attr-defined]
    error.limit, error.reset_s = 60, 9  # type: ignore[attr-defined]
    told = DependencyError | ConflictError | RateLimitedError | TooManyGuessesError | TooManyJobsError
    waits = isinstance(error, told) and STATUS[kind] not in {403, 422, 502}
    if waits and not isinstance(error, ConflictError):
        error.retry_after = 7  # type: ignore[attr-defined]
    header = answer_error(error, "0").headers.get("retry-after")
    assert (header is not None and header.isdigit() and int(header) >= 1) if waits else header is None


@pytest.mark.parametrize("status", [409, 412])
@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("POST", "/memories", None),
        ("PUT", "/memories/a", None),
        ("PUT", "/v1/memories/a/", "error"),
        ("POST", "/v1/memories/", "error"),
        ("POST", "/v3/memories/add/", "message"),
        ("DELETE", "/v2/entities/user/a/", "message"),
        ("POST", "/api/v1/webhooks/projects/p/", "error"),
    ],
)
def test_a_conflict_has_the_shape_of_its_dialect(status: int, method: str, path: str, key: str | None) -> None:
    expected = {"detail": "changed"} if key is None else {key: "changed", "detail": "changed"}
    assert refusal(method, path, status, "changed") == expected
    if status == 409:
        assert (
            json.loads(bytes(answer_error(VersionConflictError("changed"), "0", method=method, path=path).body))
            == expected
        )


def test_a_subclass_that_the_table_does_not_know_gets_its_parents_status() -> None:
    class NewError(LeaseLostError):
        pass

    assert answer_error(NewError("later"), "0").status_code == 409


def test_the_embedder_down_is_503_with_retry_after_and_nothing_stored(api: Api) -> None:
    api.world.embedder.failure = EmbedderError("the embedder does not answer", retry_after=7)
    answer = api.post("/memories", {**BODY, "infer": False})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert answer.json() == {
        "detail": "the embedder does not answer",
        "code": "embedder_unavailable",
        "request_id": answer.headers["x-request-id"],
    }
    assert api.post("/search", {"query": "tea", "user_id": "alice"}).status_code == 503
    assert api.texts() == []


def test_milvus_down_is_503_for_a_search(api: Api) -> None:
    api.world.index.available = False
    answer = api.post("/search", {"query": "tea", "user_id": "alice"})
    assert (answer.status_code, answer.json()["code"]) == (503, "vector_store_unavailable")
    assert "retry-after" in answer.headers


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (LlmReplyError("the LLM refused the call"), 502, "provider_bad_reply"),
        (LlmUnavailableError("the LLM is overloaded", retry_after=9), 503, "provider_unavailable"),
    ],
)
def test_an_llm_that_fails_is_told_to_the_caller(
    new_api: NewApi, error: ForgetlessError, status: int, code: str
) -> None:
    def fail(_messages: object) -> str:
        raise error

    api = new_api(fail)
    answer = api.post("/memories", BODY)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers.get("retry-after") == ("9" if status == 503 else None)
    assert api.texts() == []


def test_an_add_that_outlasts_its_deadline_is_504_and_can_be_followed(new_api: NewApi) -> None:
    def sleep(_messages: object) -> str:
        raise TimeoutError

    api = new_api(sleep)
    answer = api.post("/memories", BODY)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
    assert "retry-after" in answer.headers
    event = api.get(f"/v1/event/{answer.json()['event_id']}/").json()
    assert event["status"] == "PENDING"


def test_a_deadline_names_its_event() -> None:
    response = answer_error(DeadlineError("later", event_id="e1"), "0")
    assert b'"event_id":"e1"' in bytes(response.body)


@pytest.mark.parametrize("inline", [True, False])
def test_an_unknown_exception_is_500_without_its_text_and_logged_with_the_request_id(
    new_api: NewApi, caplog: pytest.LogCaptureFixture, *, inline: bool
) -> None:
    api = new_api(inline=inline)
    api.world.embedder.failure = RuntimeError("secret tea")
    with caplog.at_level(logging.ERROR, "forgetless.api"):
        answer = api.post("/memories", {**BODY, "infer": False})
    request_id = answer.headers["x-request-id"]
    assert answer.status_code == 500
    assert answer.json() == {"detail": "Internal server error.", "code": "internal_error", "request_id": request_id}
    assert [request_id in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/health"), ("GET", "/entities"), ("GET", "/nothing"), ("POST", "/memories")]
)
def test_every_response_has_a_request_id_of_its_own(api: Api, method: str, path: str) -> None:
    ids = {api.call(method, path).headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)
    assert "x-request-id" in api.call(method, path, key=None).headers


@pytest.mark.parametrize("path", ["/health", "/entities", "/nothing", "/openapi.json"])
@pytest.mark.parametrize("key", [ADMIN, None])
def test_no_answer_may_be_cached_or_taken_for_another_type(api: Api, path: str, key: str | None) -> None:
    headers = api.get(path, key=key).headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_a_validation_error_does_not_send_back_what_is_large_or_unwritable(api: Api) -> None:
    for messages in ('[{"role": "' + "x" * 100_000 + '", "content": 4}]', '[{"content": "\\ud800"}]', "NaN"):
        body = f'{{"user_id": "alice", "messages": {messages}}}'
        answer = api.call("POST", "/memories", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, len(answer.content) < 3000) == (422, True)
        assert answer.json()["detail"][0]["loc"][:2] == ["body", "messages"]
