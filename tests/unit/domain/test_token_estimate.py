"""Estimates of tokens, and how the context is shared out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetless.domain.llm_context import LEAST_CONTEXT, LlmContext
from forgetless.domain.token_estimate import estimated_tokens, fitting_prefix


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("abc", 1),
        ("four words are here", 7),
        ("2026-03-10", 5),
        ("Huế", 3),
        ("привет", 6),
        ("我住在北京", 8),
        ("🐈", 2),
        ("\ud800", 2),
    ],
)
def test_letters_count_less_than_digits_and_other_scripts(text: str, tokens: int) -> None:
    assert estimated_tokens(text) == tokens


@settings(max_examples=50)
@given(st.text(max_size=60), st.integers(0, 40))
def test_a_prefix_fits_and_one_more_character_does_not(text: str, tokens: int) -> None:
    length = fitting_prefix(text, tokens)
    assert estimated_tokens(text[:length]) <= tokens
    assert length == len(text) or estimated_tokens(text[: length + 1]) > tokens


@pytest.mark.parametrize("tokens", [LEAST_CONTEXT, 4_096, 8_192, 65_536, 1_000_000])
@pytest.mark.parametrize("instructions", [250, 1_400, 9_000])
def test_a_context_holds_what_is_planned_for_it_unless_the_instructions_are_too_long(
    tokens: int, instructions: int
) -> None:
    context = LlmContext(tokens)
    whole = context.messages(instructions) + 2 * context.rest + instructions
    assert context.messages(instructions) >= 256
    assert whole <= tokens or context.messages(instructions) == 256


def test_halving_makes_the_prompt_smaller_each_time_and_ends() -> None:
    context: LlmContext | None = LlmContext(65_536)
    tried = []
    asked = 3_000  # a short prompt, which a much smaller context would still hold as it is
    while context is not None:
        tried.append(context.tokens)
        context = context.halved(asked)
    assert tried == [65_536, LEAST_CONTEXT]
    assert LlmContext(65_536).halved(60_000) == LlmContext(32_768)
    assert LlmContext(65_536).halved(6_000) == LlmContext(4_000)


@pytest.mark.parametrize("messages", [500, 3_500, 40_000])
@pytest.mark.parametrize("instructions", [250, 1_400])
def test_a_context_for_so_many_messages_has_room_for_them(messages: int, instructions: int) -> None:
    context = LlmContext.with_room_for(messages, instructions)
    assert 0 <= context.messages(instructions) - messages <= (2 if context.tokens > LEAST_CONTEXT else 600)
