"""Errors of embedder and LLM in each dialect: permanent ones as 502, passing ones as 503 with Retry-After."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from forgetless.adapters.embedder_http import HttpEmbedder
from forgetless.adapters.llm_http import HttpLlm
from forgetless.domain.errors import DependencyError
from forgetless.domain.jobs import JobState
from forgetless.ports.embedder import EmbeddingTask
from forgetless.ports.llm import ChatMessage
from forgetless.service.jobs.ingest import JobHeldError
from tests.fakes.clock import FakeClock
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.test_mcp import refusal
from tests.unit.servers import Answer, in_turn, serve

#: Server's answer, then our status, code and Retry-After.
FOR_GOOD = [
    (Answer(400), 502, "provider_bad_request", None),
    (Answer(401), 502, "provider_auth_failed", None),
    (Answer(403), 502, "provider_auth_failed", None),
    (Answer(404), 502, "provider_bad_request", None),
    (Answer(413), 502, "provider_bad_request", None),
    (Answer(422), 502, "provider_bad_request", None),
    (Answer(200, b"<html>"), 502, "provider_bad_reply", None),
    (Answer(200, {"data": [{"index": 0, "embedding": [1.0, 0.0]}]}), 502, "provider_bad_reply", None),
]
PASSING = [
    (Answer(429, headers={"retry-after": "7.2"}), 503, "8"),
    (Answer(429), 503, "2"),
    (Answer(500), 503, "2"),
    (Answer(503, headers={"retry-after": "9"}), 503, "9"),
    (Answer(hang_up=True), 503, "2"),
]
EVERY = [*FOR_GOOD, *((answer, status, "unavailable", wait) for answer, status, wait in PASSING)]
CASES = pytest.mark.parametrize(("answer", "status", "code", "wait"), EVERY)


@dataclass(frozen=True)
class Call:
    """One request that needs the provider."""

    method: str
    path: str
    body: dict[str, Any]


SAID = {"messages": [{"role": "user", "content": "a secret"}], "user_id": "alice"}
QUERY = {"query": "a secret", "filters": {"user_id": "alice"}}
NEEDS_VECTORS = [
    Call("POST", "/memories", {**SAID, "infer": False}),
    Call("PUT", "/memories/{id}", {"text": "a secret"}),
    Call("POST", "/search", QUERY),
    Call("POST", "/v3/memories/add/", {**SAID, "infer": False}),
    Call("POST", "/v1/memories/", {**SAID, "infer": False}),
    Call("PUT", "/v1/memories/{id}/", {"text": "a secret"}),
    Call("POST", "/v3/memories/search/", QUERY),
    Call("POST", "/v2/memories/search/", QUERY),
    Call("POST", "/v1/memories/search/", {"query": "a secret", "user_id": "alice"}),
    Call("PUT", "/v1/batch/", {"memories": [{"memory_id": "{id}", "text": "a secret"}]}),
]
NEEDS_LLM = [
    Call("POST", "/memories", SAID),
    Call("POST", "/v3/memories/add/", {**SAID, "async_mode": False}),
    Call("POST", "/v1/memories/", {**SAID, "async_mode": False}),
    Call("POST", "/generate-instructions", {"use_case": "a secret"}),
    Call("POST", "/v1/summary/", {"filters": {"user_id": "alice"}}),
]


def error_of_embedder(answer: Answer) -> DependencyError:
    """What the real adapter makes of a server's answer."""
    with serve(in_turn(answer)) as server:
        adapter = HttpEmbedder(server.url, model="m", api_key="key-secret", dimensions=3, clock=FakeClock())
        with pytest.raises(DependencyError) as raised:
            adapter.embed(["a secret"], EmbeddingTask.QUERY)
    return raised.value


@pytest.fixture
def asking_llm(new_api: NewApi) -> Iterator[Callable[[Answer], Api]]:
    """Makes an API whose LLM is the real adapter against a server with this one answer."""
    stack: list[Any] = []

    def make(answer: Answer) -> Api:
        context = serve(in_turn(answer))
        stack.append(context)
        llm = HttpLlm(context.__enter__().url, model="m", api_key="key-secret", clock=FakeClock(), retries=1)

        def reply(messages: Sequence[ChatMessage]) -> str:
            return llm.complete(messages, deadline_s=5)

        return new_api(reply, mcp=True)

    yield make
    for context in stack:
        context.__exit__(None, None, None)


def check(api: Api, call: Call, memory_id: str, expected: tuple[int, str, str | None]) -> None:
    status, code, wait = expected
    path = call.path.replace("{id}", memory_id)
    body = {
        name: [{"memory_id": memory_id, "text": "a secret"}] if name == "memories" else value
        for name, value in call.body.items()
    }
    answer = api.call(call.method, path, json=body)
    assert answer.status_code == status, (call, answer.text)
    assert answer.headers.get("retry-after") == wait
    told = answer.json()
    assert code in told["code"]
    assert told["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text


@CASES
def test_what_the_embedder_answers(new_api: NewApi, answer: Answer, status: int, code: str, wait: str | None) -> None:
    api = new_api(mcp=True)
    [memory_id] = api.say("tea")
    api.world.embedder.failure = error_of_embedder(answer)
    for call in NEEDS_VECTORS:
        check(api, call, memory_id, (status, code, wait))
    assert api.texts() == ["tea"]
    for name, arguments in (
        ("search_memories", {"query": "a secret", "user_id": "alice"}),
        ("add_memory", {"text": "a secret", "user_id": "alice", "infer": False}),
    ):
        text = refusal(api, name, **arguments)
        assert text.startswith(api.world.embedder.failure.message)
        assert ("Try again in" in text) == (". Try again in" in text) == (wait is not None)
        assert text.endswith("."), "whatever follows begins a sentence"
        assert "secret" not in text


@CASES
def test_what_the_llm_answers(
    asking_llm: Callable[[Answer], Api], answer: Answer, status: int, code: str, wait: str | None
) -> None:
    api = asking_llm(answer)
    [memory_id] = api.say("tea")
    for call in NEEDS_LLM:
        check(api, call, memory_id, (status, code, wait))
    assert api.texts() == ["tea"]
    inferred = [job for job in api.world.ledger.jobs("default", limit=9)[0] if job.error is not None]
    assert {job.state for job in inferred} == {JobState.FAILED}
    assert len(inferred) == 3
    text = refusal(api, "add_memory", text="a secret", user_id="alice")
    assert ("Try again in" in text) == (wait is not None)
    assert "secret" not in text


@pytest.mark.parametrize(
    ("answer", "code"), [(Answer(400), "provider_bad_request"), (Answer(413), "provider_bad_request")]
)
def test_an_add_that_is_waited_for_tells_its_jobs_error_with_its_code(
    asking_llm: Callable[[Answer], Api], answer: Answer, code: str
) -> None:
    api = asking_llm(answer)
    event_id = api.post("/v3/memories/add/", SAID).json()["event_id"]
    api.world.services.ingest.run("default", event_id, seconds=60)
    told = api.get(f"/v1/event/{event_id}/").json()
    assert (told["status"], told["error"].partition(":")[0]) == ("FAILED", code)

    def work_it_off(_seconds: float) -> None:
        job = next(job for job in api.world.ledger.jobs("default", limit=9)[0] if job.state is JobState.PENDING)
        api.world.services.ingest.run("default", job.id, seconds=60)

    api.world.clock.sleep = work_it_off  # type: ignore[method-assign]
    awaited = api.post("/v3/memories/add/", SAID, headers={"Prefer": "wait=5"})
    assert (awaited.status_code, awaited.json()["code"]) == (502, code)
    assert awaited.json()["request_id"] == awaited.headers["x-request-id"]
    assert "retry-after" not in awaited.headers


@pytest.mark.parametrize("status", [401, 404])
def test_health_shows_the_embedders_refusal(new_api: NewApi, status: int) -> None:
    api = new_api()
    api.world.embedder.failure = error_of_embedder(Answer(status))
    answer = api.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert f"status {status}: check FORGETLESS_EMBEDDER" in answer.json()["parts"]["embedder"]
    assert "secret" not in answer.text


@pytest.mark.parametrize("status", [400, 404, 451])
def test_the_log_has_nothing_that_the_llm_wrote(
    asking_llm: Callable[[Answer], Api], caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """What it says may be the text in other words, and nothing removes it from a log."""
    said = "this organisation may not ask about Nguy%E1%BB%85n"
    api = asking_llm(Answer(status, {"error": {"message": said}}))
    answer = api.post("/memories", SAID)
    queued = api.post("/v3/memories/add/", SAID).json()["event_id"]
    with suppress(JobHeldError):
        api.world.services.ingest.run("default", queued, seconds=60)
    assert "organisation" in answer.text, "who asks is told"
    reasons = [str(vars(record)) for record in caplog.records]
    assert any(f"the LLM answered with status {status}" in reason for reason in reasons)
    assert not any("organisation" in reason for reason in reasons)
