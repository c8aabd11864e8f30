"""Extraction with the servers of many makers: each ends with the facts, or with the clear reason, in few calls."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.llm_http import HttpLlm
from forgetless.domain.errors import (
    ForgetlessError,
    LlmContextError,
    LlmReplyError,
    ProviderError,
    ProviderRequestError,
)
from forgetless.domain.memory import Message, MessageRef
from forgetless.domain.scope import Scope
from forgetless.service.writing.extraction import ExtractionRequest, extract
from tests.fakes.clock import FakeClock
from tests.fakes.openai_server.chat import CHAT_SERVERS, FILTERED, ChatServers
from tests.unit.servers import serve

AT = "2026-11-24T09:14:00.000000+00:00"
CHAT = ChatServers()


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    with serve(CHAT) as server:
        yield server.url


def llm(servers: str, name: str, **settings: Any) -> HttpLlm:
    CHAT.calls[name] = []
    settings = {"model": "m", "api_key": "k", "clock": FakeClock(), **settings}
    return HttpLlm(f"{servers}/{name}{CHAT_SERVERS[name][0]}", **settings)


def facts(client: HttpLlm, text: str = "I live in Paris") -> list[str]:
    message = Message(MessageRef("job", 0), Scope("t", user_id="ann"), "user", text, AT)
    request = ExtractionRequest([message], [], [], AT, None, agent=False)
    return [fact.text for fact in extract(client, request, deadline_s=10, clock=SystemClock())]


#: By server: how many calls the first add makes. Every later one makes one.
FIRST_CALLS = {
    "openai": 1,
    "azure": 1,
    "ollama": 1,
    "vllm": 1,
    "vllm-gemma": 3,
    "gemini": 2,
    "deepseek": 2,
    "deepseek-local": 1,
    "mistral": 1,
    "ark": 2,
    "openrouter": 3,
    "llama-cpp": 4,
    "unimplemented": 3,
}


@pytest.mark.parametrize(("name", "calls"), FIRST_CALLS.items())
def test_facts_come_from_every_server_and_what_it_refuses_is_remembered(servers: str, name: str, calls: int) -> None:
    client = llm(servers, name)
    assert facts(client) == ["The user lives in Paris"]
    assert len(CHAT.calls[name]) == calls
    assert facts(client) == ["The user lives in Paris"]
    assert len(CHAT.calls[name]) == calls + 1


@pytest.mark.parametrize(
    ("name", "options", "sent", "calls"),
    [
        ("openai", {"temperature": 0, "max_tokens": 9}, {"max_completion_tokens": 9}, 3),
        ("openai", {"max_completion_tokens": 9, "temperature": 1}, {"max_completion_tokens": 9, "temperature": 1}, 1),
        ("mistral", {"max_completion_tokens": 9, "top_p": 0.5}, {"max_tokens": 9, "top_p": 0.5}, 2),
        ("deepseek", {"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}, 1),
        ("gemini", {"response_format": {"type": "json_schema"}}, {}, 2),
        ("openrouter", {"response_format": None, "seed": 1}, {"seed": 1}, 1),
    ],
)
def test_a_refused_option_is_left_out_or_takes_its_other_name(
    servers: str, name: str, options: dict[str, Any], sent: dict[str, Any], calls: int
) -> None:
    client = llm(servers, name, options=options)
    assert facts(client) == ["The user lives in Paris"]
    last = dict(CHAT.calls[name][-1].body)
    assert len(CHAT.calls[name]) == calls
    if name != "mistral" and "response_format" not in sent and "response_format" not in options:
        assert last.pop("response_format")["type"] == "json_schema"
    last.pop("response_format", None) if name == "mistral" else None
    assert last == {"model": "m", "messages": last["messages"], **sent}


def test_what_is_left_out_is_said_once_with_the_setting(servers: str, caplog: pytest.LogCaptureFixture) -> None:
    client = llm(servers, "openai", options={"temperature": 0, "max_tokens": 9})
    with caplog.at_level(logging.WARNING):
        facts(client)
        facts(client)
    [record] = [record for record in caplog.records if "refuses a part" in record.message]
    assert (vars(record)["refused"], vars(record)["setting"]) == (
        "max_tokens, temperature",
        'FORGETLESS_LLM_OPTIONS={"max_completion_tokens": 9}',
    )
    caplog.clear()
    facts(llm(servers, "vllm-gemma"))
    [record] = caplog.records
    assert vars(record)["refused"] == "response_format, system role"
    assert vars(record)["setting"] == 'FORGETLESS_LLM_OPTIONS={"response_format": {"type": "json_object"}}'


def test_the_rules_reach_a_model_without_a_role_for_the_system(servers: str) -> None:
    client = llm(servers, "vllm-gemma")
    facts(client)
    [message] = CHAT.calls["vllm-gemma"][-1].body["messages"]
    assert message["role"] == "user"
    assert CHAT.calls["vllm-gemma"][0].body["messages"][0]["content"] in message["content"]


LONG = "I live in Paris. " + "x" * 60_000


@pytest.mark.parametrize(
    ("name", "settings", "text", "error", "reason", "calls"),
    [
        ("openai", {}, LONG, LlmContextError, "(context_length_exceeded): send fewer", 1),
        ("vllm", {}, LONG, LlmContextError, "(BadRequestError): send fewer", 1),
        ("azure", {}, FILTERED, ProviderRequestError, 'policy. prompt": leave out what', 1),
        ("azure", {"api_key": ""}, "x", ProviderError, "check OPENAI_API_KEY", 1),
        ("gemini", {"api_key": ""}, "x", ProviderError, "check OPENAI_API_KEY", 1),
        ("gemini", {"options": {"response_format": None}}, FILTERED, LlmReplyError, "content_filter", 1),
        ("openrouter", {"options": {"response_format": None}}, FILTERED, ProviderRequestError, "was flagged", 1),
        ("ollama", {"model": "missing"}, "x", ProviderRequestError, "not found, try pulling it first", 1),
        ("lost-in-thought", {}, "I live in Paris", LlmReplyError, "cut off (finish_reason length)", 1),
        ("never-json", {}, "x", LlmReplyError, "invalid after one repair: it is not JSON", 2),
    ],
)
def test_what_cannot_be_mended_fails_at_once_with_the_reason(
    servers: str,
    name: str,
    settings: dict[str, Any],
    text: str,
    error: type[ForgetlessError],
    reason: str,
    calls: int,
) -> None:
    client = llm(servers, name, **settings)
    with pytest.raises(error) as raised:
        facts(client, text)
    assert reason in raised.value.message
    assert len(CHAT.calls[name]) == calls
