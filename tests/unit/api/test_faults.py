"""Faults of mem0's server that must not occur here; the numbers are those of the list in mem0-api.md."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.domain.errors import LlmUnavailableError
from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api
from tests.unit.api.conftest import NewApi
from tests.unit.service.world import facts

ADD = {"messages": [{"role": "user", "content": "I like tea"}], "user_id": "alice"}


@pytest.mark.parametrize("key", [ADMIN, MEMBER, STRANGER])
def test_1_a_wildcard_is_no_identifier(api: Api, key: str) -> None:
    api.say("tea")
    answers = [
        api.get("/memories?user_id=*", key=key),
        api.get("/memories?user_id=alice&run_id=*", key=key),
        api.post("/search", {"query": "tea", "filters": {"user_id": "*"}}, key=key),
        api.post("/search", {"query": "tea", "user_id": "*"}, key=key),
        api.post("/memories", {**ADD, "user_id": "*"}, key=key),
    ]
    if key != MEMBER:
        answers += [api.delete("/memories?user_id=*", key=key), api.delete("/entities/user/*", key=key)]
    assert {answer.status_code for answer in answers} == {400}
    assert api.texts() == ["tea"]


def test_2_an_unknown_memory_is_null_with_200(api: Api) -> None:
    answer = api.get("/memories/unknown")
    assert (answer.status_code, answer.text) == (200, "null")


def test_3_no_rows_are_no_rows(api: Api) -> None:
    api.say("tea")
    assert api.texts("user_id=alice&top_k=0") == []
    assert api.get("/memories?top_k=0").json() == {"results": []}
    assert api.found("tea", top_k=0) == []


def test_4_a_null_identifier_in_a_filter_is_refused(api: Api) -> None:
    assert api.post("/search", {"query": "x", "filters": {"user_id": None}}).status_code == 400


def test_5_a_refused_configuration_changes_nothing(api: Api) -> None:
    before = api.get("/configure").json()
    assert api.post("/configure", {"vector_store": {"provider": "milvus"}}).status_code == 403
    assert api.get("/configure").json() == before


@pytest.mark.parametrize("reply", ["not JSON", "", '{"memory": 3}', '{"memory": [3]}', '{"other": "tea"}'])
def test_6_nonsense_of_the_llm_is_an_error_that_the_caller_sees(new_api: NewApi, reply: str) -> None:
    api = new_api([reply, reply])
    answer = api.post("/memories", ADD)
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_bad_reply")
    assert set(answer.json()) == {"detail", "code", "request_id"}
    assert api.texts() == []
    assert [job.state.value for job in api.world.ledger.jobs("default", limit=10)[0]] == ["FAILED"]


def test_7_parallel_identical_adds_store_one_copy(new_api: NewApi) -> None:
    api = new_api(lambda _messages: facts("Alice likes tea"), inline=False, clock=SystemClock())
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: api.post("/memories", ADD), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(len(answer.json()["results"]) for answer in answers) == 1
    assert api.texts() == ["Alice likes tea"]


def test_8_an_identifier_with_white_space_other_than_a_space_is_400_everywhere(api: Api) -> None:
    for id_ in ("a\u00a0b", "a\u3000b"):
        answers = [
            api.post("/memories", {**ADD, "user_id": id_}),
            api.get(f"/memories?user_id={id_}"),
            api.post("/search", {"query": "tea", "filters": {"user_id": id_}}),
            api.delete(f"/memories?user_id={id_}"),
            api.delete(f"/entities/user/{id_}"),
        ]
        assert {answer.status_code for answer in answers} == {400}


def test_9_an_overloaded_llm_is_503_with_the_time_to_wait(new_api: NewApi) -> None:
    def overloaded(_messages: object) -> str:
        raise LlmUnavailableError("the LLM answered 429", retry_after=20)

    answer = new_api(overloaded).post("/memories", ADD)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "20")
