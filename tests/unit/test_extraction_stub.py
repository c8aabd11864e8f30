"""Extraction through the HTTP adapter against the stub LLM: success, and every way to fail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.llm_http import HttpLlm
from forgetless.domain.errors import (
    LlmReplyError,
    LlmUnavailableError,
    ProviderAuthError,
    ProviderError,
    ProviderRequestError,
)
from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.scope import Scope
from forgetless.service.writing.extraction import (
    ExtractionRequest,
    Fact,
    extract,
    generate_instructions,
    summarise_procedure,
)
from local.llm_stub.app import BEHAVIOURS, make_app
from tests.fakes.clock import FakeClock
from tests.unit.servers import serve_app

AT = "2026-11-24T09:14:00.000000+00:00"
SCOPE = Scope("t", user_id="ann")


@pytest.fixture(scope="module")
def stub() -> Iterator[str]:
    with serve_app(make_app(latency_ms=0)) as url:
        yield url


def said(*contents: str, role: str = "user") -> list[Message]:
    return [Message(MessageRef("job", i), SCOPE, role, content, AT) for i, content in enumerate(contents)]


def ask(stub: str, model: str, *contents: str, existing: tuple[str, ...] = (), **changes: Any) -> list[Fact]:
    memories = [Memory(f"id-{i}", 1, SCOPE, text, AT, AT, "job") for i, text in enumerate(existing, 1)]
    messages = said(*(contents or ("I live in Paris",)), role=changes.pop("role", "user"))
    settings: dict[str, Any] = {"recent": [], "now": AT, "instructions": None, "agent": False} | changes
    request = ExtractionRequest(messages=messages, existing=memories, **settings)
    llm = HttpLlm(stub + "/v1", model=model, clock=FakeClock())
    return extract(llm, request, deadline_s=10, clock=SystemClock())


def texts(facts: list[Fact]) -> list[str]:
    return [fact.text for fact in facts]


@pytest.mark.parametrize(
    ("sentence", "fact"),
    [
        ("I live in Paris.", "The user lives in Paris"),
        ("Hello! I really love tea", "The user really loves tea"),
        ("I'm a nurse", "The user is a nurse"),
        ("I have two cats and version 1.2 of it.", "The user has two cats and version 1.2 of it"),
        ("I moved to Berlin", "The user moved to Berlin"),
        ("I study law", "The user studies law"),
        ("My sister is called Mai.", "The user's sister is called Mai"),
        ("Tôi dị ứng với đậu phộng.", "Tôi dị ứng với đậu phộng"),
    ],
)
def test_the_stub_writes_facts_about_the_speaker(stub: str, sentence: str, fact: str) -> None:
    assert texts(ask(stub, "stub", sentence)) == [fact]


def test_what_tells_nothing_of_the_speaker_is_no_fact(stub: str) -> None:
    assert ask(stub, "stub", "What is the weather? It is nice.") == []
    assert ask(stub, "stub", "I can book that", role="assistant") == []


def test_a_change_supersedes_the_memory_of_the_same_subject(stub: str) -> None:
    existing = ("The user likes tea", "The user lives in Paris", "The user's dog is Rex")
    [moved, dog] = ask(stub, "stub", "I moved to Berlin. My dog is Fido.", existing=existing)
    assert (moved.supersedes, dog.supersedes) == (("id-2",), ("id-3",))
    assert moved.sources == (MessageRef("job", 0),)


def test_a_memory_that_exists_is_not_extracted_again(stub: str) -> None:
    assert ask(stub, "stub", "I live in Paris", existing=("The user lives in Paris",)) == []


def test_an_agents_own_memory_comes_from_the_assistant(stub: str) -> None:
    facts = ask(stub, "stub", "I book flights", role="assistant", agent=True)
    assert facts == [Fact("The assistant books flights", "assistant", (), (MessageRef("job", 0),))]


@pytest.mark.parametrize("model", ["stub-refuses-schema", "stub-repair"])
def test_refused_schemas_and_repaired_replies_still_give_facts(stub: str, model: str) -> None:
    assert texts(ask(stub, model)) == ["The user lives in Paris"]


def test_an_empty_list_of_facts_is_no_error(stub: str) -> None:
    assert ask(stub, "stub-nofacts") == []


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("stub-nonsense", LlmReplyError),
        ("stub-empty", LlmReplyError),
        ("stub-400", ProviderRequestError),
        ("stub-401", ProviderAuthError),
    ],
)
def test_nonsense_and_refusals_are_no_passing_errors(stub: str, model: str, error: type[ProviderError]) -> None:
    with pytest.raises(error) as raised:
        ask(stub, model)
    assert raised.value.retry_after is None


@pytest.mark.parametrize(("model", "retry_after"), [("stub-429", 3), ("stub-500", 2)])
def test_overload_and_failure_are_unavailable(stub: str, model: str, retry_after: int) -> None:
    with pytest.raises(LlmUnavailableError) as raised:
        ask(stub, model)
    assert raised.value.retry_after == retry_after


def test_a_slow_model_ends_at_the_deadline(stub: str) -> None:
    llm = HttpLlm(stub + "/v1", model="stub-slow")
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        summarise_procedure(llm, said("x"), None, deadline_s=0.3)
    assert time.monotonic() - began < 2


def test_procedures_and_instructions_are_answered_too(stub: str) -> None:
    llm = HttpLlm(stub + "/v1", model="stub")
    assert summarise_procedure(llm, said("open", "click"), None, deadline_s=5) == "1. open\n2. click"
    instructions, message = generate_instructions(llm, "a diet app", deadline_s=5, clock=SystemClock())
    assert "a diet app" in instructions
    assert message


def test_a_header_chooses_the_behaviour_before_the_model(stub: str) -> None:
    body = {"model": "stub", "messages": [{"role": "user", "content": "hi"}]}
    with httpx.Client(trust_env=False) as client:
        reply = client.post(f"{stub}/v1/chat/completions", json=body, headers={"x-stub-behaviour": "429"})
        models = client.get(f"{stub}/v1/models").json()
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "3")
    assert [model["id"] for model in models["data"]] == list(BEHAVIOURS)
