"""Portions: together they are the messages, in order, and only a message that is too long is divided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetless.domain.memory import Message, MessageRef
from forgetless.domain.scope import Scope
from forgetless.domain.token_estimate import estimated_tokens
from forgetless.service.writing.message_portions import BEGIN, Place, Portion, count_portions, portion_at

SCOPE = Scope("default", user_id="alice")
SENTENCES = "One thing was said. " * 40


def messages(*texts: str, positions: Sequence[int] | None = None) -> list[Message]:
    places = positions or range(len(texts))
    return [
        Message(MessageRef("job", place), SCOPE, "user", text, "2026-03-10T10:00:00.000000+00:00")
        for place, text in zip(places, texts, strict=True)
    ]


def portions(said: Sequence[Message], tokens: int) -> Iterator[Portion]:
    place: Place | None = BEGIN
    while place is not None:
        portion = portion_at(said, place, tokens)
        yield portion
        place = portion.following


def shown(said: Sequence[Message], tokens: int) -> list[list[int]]:
    return [[message.ref.position for message in one.messages] for one in portions(said, tokens)]


def test_short_messages_are_one_portion() -> None:
    assert shown(messages("a", "b"), 200) == [[0, 1]]


def test_whole_messages_go_together_as_long_as_they_fit() -> None:
    assert shown(messages(*["x" * 150] * 5), 200) == [[0, 1], [2, 3], [4]]


def test_a_message_that_does_not_fit_any_more_begins_the_next_portion() -> None:
    assert shown(messages("x" * 90, SENTENCES[:360], "y" * 90), 200) == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("text", "end"),
    [(SENTENCES, ". "), ("a line of words\n" * 60, "\n"), ("我住在北京。" * 60, "。"), ("word " * 200, " ")],
)
def test_a_message_that_is_too_long_is_cut_at_the_end_of_something(text: str, end: str) -> None:
    found = [one.messages[0] for one in portions(messages(text), 150)]
    assert len(found) > 2
    assert {part.ref for part in found} == {MessageRef("job", 0)}
    assert all(part.content.endswith(end) for part in found)


def test_what_is_left_of_a_long_message_shares_its_portion_with_the_next() -> None:
    said = messages("x" * 400, "y")
    assert shown(said, 150) == [[0], [0, 1]]


def test_it_goes_on_though_messages_were_erased_meanwhile() -> None:
    left = messages("c", "e", positions=[2, 4])
    assert portion_at(left, Place(1, 7), 200).messages == tuple(left)
    assert portion_at(left, Place(3), 200).messages == (left[1],)
    assert portion_at(left, Place(5), 200) == Portion(Place(5), (), None)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=6), st.integers(60, 120))
def test_portions_are_all_of_the_messages_and_each_fits(texts: list[str], tokens: int) -> None:
    said = messages(*texts)
    found = list(portions(said, tokens))
    assert count_portions(said, BEGIN, tokens) == len(found)
    again: dict[int, str] = dict.fromkeys(range(len(texts)), "")
    for portion in found:
        for part in portion.messages:
            again[part.ref.position] += part.content
        used = sum(estimated_tokens(part.content) + 50 for part in portion.messages)
        assert used <= tokens or len(portion.messages[0].content) == 1
    assert list(again.values()) == texts


@pytest.mark.timeout(20)
@pytest.mark.parametrize("marks", ["?", ".", "…", "!?", '?"', ".)", "。", "? ", "\n"])
def test_a_message_of_nothing_but_ends_of_sentences_is_divided_at_once(marks: str) -> None:
    """Each mark was compared with all that follow it: 200 KB of them kept a process busy for two minutes."""
    text = marks * (200_000 // len(marks))
    said = Message(MessageRef("j", 0), Scope("acme", user_id="alice"), "user", text, "2026-01-01T00:00:00.000000+00:00")
    portions = []
    start: Place | None = BEGIN
    while start is not None:
        portion = portion_at([said], start, 45_000)
        portions.append(portion.messages[0].content)
        start = portion.following
    assert "".join(portions) == text
