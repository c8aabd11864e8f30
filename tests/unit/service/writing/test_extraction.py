"""Extraction: which replies become facts, which are repaired, and which fail."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forgetless.domain.errors import LlmReplyError, LlmUnavailableError
from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.scope import Scope
from forgetless.ports.llm import ChatMessage
from forgetless.service.writing.extraction import (
    ExtractionRequest,
    Fact,
    extract,
    generate_instructions,
    summarise_procedure,
)
from tests.fakes.clock import FakeClock
from tests.fakes.llm import FakeLlm

AT = "2026-11-24T09:14:00.000000+00:00"
SCOPE = Scope("t", user_id="ann")


def request(*contents: str, existing: tuple[str, ...] = ()) -> ExtractionRequest:
    return ExtractionRequest(
        messages=[Message(MessageRef("job", i), SCOPE, "user", c, AT) for i, c in enumerate(contents)],
        existing=[Memory(f"id-{i}", 1, SCOPE, text, AT, AT, "job") for i, text in enumerate(existing, 1)],
        recent=[],
        now=AT,
        instructions=None,
        agent=False,
    )


TWO = request("I moved to Berlin", "I have a dog", existing=("Lives in Paris", "Likes tea"))


def run(llm: FakeLlm, asked: ExtractionRequest = TWO) -> list[Fact]:
    return extract(llm, asked, deadline_s=10, clock=FakeClock())


def reply(*facts: Any) -> str:
    return json.dumps({"facts": list(facts)})


def facts_of(text: str, asked: ExtractionRequest = TWO) -> list[Fact]:
    """The facts of a reply that must need no repair."""
    llm = FakeLlm([text])
    facts = run(llm, asked)
    assert len(llm.calls) == 1
    return facts


def test_a_full_fact_is_read_with_memory_ids_and_message_refs() -> None:
    text = reply({"text": " Lives in Berlin ", "attributed_to": "user", "supersedes": [1], "sources": [1, 2]})
    assert facts_of(text) == [Fact("Lives in Berlin", "user", ("id-1",), (MessageRef("job", 0), MessageRef("job", 1)))]


@pytest.mark.parametrize(
    "rest",
    [
        {},
        {"attributed_to": None, "supersedes": None, "sources": None},
        {"attributed_to": "somebody", "supersedes": "all", "sources": {}},
        {"attributed_to": ["user"], "supersedes": [0, 3, -1, 10**9, None, True, [1], 1.5, "x"], "sources": [99]},
    ],
)
def test_only_the_text_decides_whether_a_fact_is_stored(rest: dict[str, Any]) -> None:
    assert facts_of(reply({"text": "Has a dog", **rest})) == [Fact("Has a dog")]


def test_numbers_may_come_as_text_or_float_and_count_once() -> None:
    [fact] = facts_of(reply({"text": "x", "supersedes": ["2", 2.0, 1, 1]}))
    assert fact.supersedes == ("id-2", "id-1")


def test_a_single_message_is_the_source_of_all_its_facts() -> None:
    [fact] = facts_of(reply({"text": "x", "sources": []}), request("only one"))
    assert fact.sources == (MessageRef("job", 0),)


def test_no_facts_is_a_valid_reply() -> None:
    assert facts_of('{"facts": []}') == []


@pytest.mark.parametrize("blank", ["", "  \n", None])
def test_blank_texts_are_left_out(blank: str | None) -> None:
    assert facts_of(reply({"text": blank}, {"text": "kept"})) == [Fact("kept")]


def test_facts_that_repeat_an_existing_memory_or_each_other_are_left_out() -> None:
    repeated = reply({"text": "likes  TEA", "supersedes": [2]}, {"text": "New"}, {"text": "new"})
    assert facts_of(repeated) == [Fact("New")]


@pytest.mark.parametrize(
    "wrapped",
    [
        "```json\n{}\n```",
        "Here you are:\n```\n{}\n```\nAnything else?",
        '<think>maybe {{"facts": 1}}</think>\n{}',
        "thinking without a start</think>```json\n{}```",
        "\n  {}\n",
    ],
)
def test_fences_and_thoughts_around_the_json_are_removed(wrapped: str) -> None:
    text = reply({"text": "a"})
    assert facts_of(wrapped.replace("{}", text)) == [Fact("a")]


def test_fences_and_thoughts_inside_a_fact_stay() -> None:
    text = "Runs ```make``` after </think>"
    assert facts_of(reply({"text": text})) == [Fact(text)]


def test_lone_surrogates_are_replaced() -> None:
    assert facts_of('{"facts": [{"text": "a\\ud800b"}]}') == [Fact("a?b")]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "it is empty"),
        ("I cannot do that", "it is not JSON"),
        ('{"facts": [{"text": "cut', "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("```" + "\n" * 250_000, "it is not JSON"),
        (json.dumps({"facts": [{"text": f"{n}"} for n in range(501)]}), "it has 501 facts"),
        (json.dumps({"facts": [{"text": "x" * 20_001}]}), "fact 1 is longer than 20000 characters"),
        ('"facts"', "it is not JSON"),
        ("{}", 'the key "facts" is missing'),
        ('{"facts": 3}', '"facts" is not a list'),
        ('{"facts": [3]}', 'fact 1 is not an object with the key "text"'),
        ('{"facts": [{"text": "a"}, {"said": "b"}]}', 'fact 2 is not an object with the key "text"'),
        ('{"facts": [{"text": {"a": 1}}]}', 'the "text" of fact 1 is not a string'),
    ],
)
def test_an_invalid_reply_is_shown_to_the_llm_once_with_the_reason(bad: str, reason: str) -> None:
    llm = FakeLlm([bad, reply({"text": "repaired"})])
    assert run(llm) == [Fact("repaired")]
    first, second = llm.calls
    assert second.messages[: len(first.messages)] == first.messages
    assert second.messages[-2].role == "assistant"
    assert reason in second.messages[-1].content


def test_a_second_invalid_reply_fails_with_the_reason_and_without_its_text() -> None:
    llm = FakeLlm(["my secret", '{"secret": 1}'])
    with pytest.raises(LlmReplyError, match='after one repair: the key "facts" is missing') as raised:
        run(llm)
    assert len(llm.calls) == 2
    assert "secret" not in raised.value.message


def test_no_text_of_a_reply_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    run(FakeLlm(["my secret", reply()]))
    assert caplog.text
    assert "secret" not in caplog.text


def test_both_calls_share_one_deadline() -> None:
    clock = FakeClock()

    def slow(_messages: object) -> str:
        clock.advance(4)
        return "nonsense"

    llm = FakeLlm(slow)
    with pytest.raises(LlmReplyError):
        extract(llm, TWO, deadline_s=10, clock=clock)
    assert [call.deadline_s for call in llm.calls] == [10, 6]


def test_no_repair_is_tried_after_the_deadline() -> None:
    clock = FakeClock()

    def slow(_messages: object) -> str:
        clock.advance(11)
        return "nonsense"

    llm = FakeLlm(slow)
    with pytest.raises(TimeoutError):
        extract(llm, TWO, deadline_s=10, clock=clock)
    assert len(llm.calls) == 1


def test_the_llms_own_errors_pass_through() -> None:
    def down(_messages: object) -> str:
        raise LlmUnavailableError("down", retry_after=9)

    with pytest.raises(LlmUnavailableError, match="down"):
        run(FakeLlm(down))


def test_no_messages_need_no_call() -> None:
    llm = FakeLlm([])
    assert run(llm, request()) == []
    assert llm.calls == []


def test_a_procedure_is_the_reply_without_its_thoughts() -> None:
    llm = FakeLlm(["<think>hm</think>\n1. Opened the page.\n"])
    assert summarise_procedure(llm, TWO.messages, None, deadline_s=5) == "1. Opened the page."
    assert llm.calls[0].schema_name is None


def test_an_empty_procedure_is_a_reply_error() -> None:
    with pytest.raises(LlmReplyError, match="empty"):
        summarise_procedure(FakeLlm(["<think>hm</think> "]), TWO.messages, "Do it.", deadline_s=5)


def test_generated_instructions_are_repaired_like_facts() -> None:
    good = json.dumps({"custom_instructions": " Keep food. ", "test_message": "I eat rice."})
    llm = FakeLlm(['{"custom_instructions": "", "test_message": "x"}', good])
    answer = generate_instructions(llm, "a cooking app", deadline_s=5, clock=FakeClock())
    assert answer == ("Keep food.", "I eat rice.")
    assert '"custom_instructions" is missing or empty' in llm.calls[1].messages[-1].content


def test_the_use_case_is_data_and_not_a_rule() -> None:
    seen: list[ChatMessage] = []

    def answer(messages: Any) -> str:
        seen.extend(messages)
        return json.dumps({"custom_instructions": "a", "test_message": "b"})

    generate_instructions(FakeLlm(answer), "a cooking app", deadline_s=5, clock=FakeClock())
    assert "cooking" not in seen[0].content
    assert "a cooking app" in seen[1].content
