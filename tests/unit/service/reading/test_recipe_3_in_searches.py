"""Recipe 3 through the services: names, dates, signals, context, and the same scores for the present and the past."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest

from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.filters.scope_ids import all_ids
from forgetless.domain.moments import Moment
from forgetless.domain.recipes import CURRENT
from forgetless.domain.scope import Scope
from forgetless.domain.scoring import ASSISTANT_PENALTY, DATE_WEIGHT, DEFAULT_THRESHOLD
from forgetless.service.requests import AddRequest, IncomingMessage, ScoredMemory, SearchRequest
from tests.unit.service.world import ALICE, World, facts

TALK = (
    ("Will", "I planted tomatoes in the garden"),
    ("Mai", "My sister sells bread at the market"),
    ("Will", "Mark told me about the flood"),
    ("Mai", "Was it near the old bridge?"),
    ("Will", "Yes, the mill is gone"),
)


def say(world: World, *messages: tuple[str | None, str], role: str = "user", at: str | None = None) -> list[str]:
    said = tuple(IncomingMessage(role, text, name) for name, text in messages)
    outcome = world.services.add.add(AddRequest(ALICE, said, infer=False, timestamp=at))
    return [one.id for one in outcome.results]


def found(world: World, query: str, moment: Moment | None = None, **more: object) -> list[ScoredMemory]:
    options: dict[str, object] = {"top_k": 100, "threshold": DEFAULT_THRESHOLD, "explain": True, **more}
    where = all_ids(ALICE.ids())
    request = SearchRequest("default", query, where, ALICE.ids(), **options)  # type: ignore[arg-type]
    return world.services.at(moment).search(request)


def found_texts(world: World, query: str) -> list[str]:
    return [hit.memory.text for hit in found(world, query)]


@pytest.mark.parametrize(
    "query", ["Where is the garden?", "When was the flood in May 2026?", "What did you say?", "Mai"]
)
def test_a_search_as_of_now_has_the_scores_and_the_order_of_a_search(world: World, query: str) -> None:
    for days in range(6):
        at = (date(2026, 5, 1) + timedelta(days=9 * days)).isoformat() + "T10:00:00.000000+00:00"
        say(world, *((name, f"{text}, {days}") for name, text in TALK), at=at)
        say(world, (None, f"Was the flood in May, or {days} days later?"), role="assistant", at=at)
    present = found(world, query, threshold=0)
    past = found(world, query, Moment(known_at=world.clock.now()), threshold=0)
    assert [hit.memory.id for hit in past] == [hit.memory.id for hit in present]
    assert [hit.score for hit in past] == pytest.approx([hit.score for hit in present], abs=1e-9)
    assert len(present) == 36
    parts = [(one.details.parts, two.details.parts) for one, two in zip(present, past, strict=True)]  # type: ignore[union-attr]
    for mine, theirs in parts:
        assert replace(mine, meaning=0.0) == replace(theirs, meaning=0.0)
        assert mine.meaning == pytest.approx(theirs.meaning, abs=1e-9)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("Will", "I planted tomatoes in the garden"),
        ("Mai", "My sister sells bread at the market"),
        ("Mark", "Mark told me about the flood"),
        ("Who is Will?", "Yes, the mill is gone"),
        ("Who is Mai?", "My sister sells bread at the market"),
        ("Who is Mark?", "Mark told me about the flood"),
    ],
)
def test_a_question_about_a_name_finds_what_was_said_by_or_about_it(world: World, query: str, text: str) -> None:
    say(world, *TALK)
    assert text in found_texts(world, query)


def test_a_vector_leaves_out_who_speaks_and_a_question_who_is_known_there(world: World) -> None:
    say(world, ("Will", "Mai, will you sell tomatoes?"), ("Mai", "Will asked Mark for bread"))
    embedded = {text for texts, _ in world.embedder.calls for text in texts}
    assert embedded == {"Mai, will you sell tomatoes?", "asked Mark for bread"}, "Mai has not spoken before the first"
    world.embedder.calls.clear()
    found(world, "What does Mai sell at the market?")
    assert [texts for texts, _ in world.embedder.calls] == [("What does sell at the market?",)]


def test_each_text_is_embedded_once_though_it_is_context_too(world: World) -> None:
    say(world, *((("Will", "Mai")[place % 2], f"message {place} to Will and Mai") for place in range(30)))
    texts = [text for texts, _ in world.embedder.calls for text in texts]
    assert len(texts) == len(set(texts)) == 30


def test_a_question_that_names_a_date_finds_what_was_said_then(world: World) -> None:
    for day in (3, 17):
        say(world, (None, "we met at the harbour"), at=f"2026-03-{day:02}T10:00:00.000000+00:00")
    best = found(world, "Who was at the harbour on 17 March 2026?")[0]
    assert best.memory.created_at.startswith("2026-03-17")
    assert best.details is not None
    assert best.details.parts.date == DATE_WEIGHT


def test_what_the_assistant_said_counts_in_full_when_it_is_asked_for(world: World) -> None:
    say(world, (None, "You could visit the lighthouse"), role="assistant")

    def assistant(query: str) -> float:
        (hit,) = found(world, query, threshold=0)
        assert hit.details is not None
        return hit.details.parts.assistant

    assert assistant("Which lighthouse is open?") == -ASSISTANT_PENALTY
    assert assistant("Which lighthouse did you recommend?") == 0.0


def test_equal_scores_are_ordered_by_time_the_newest_first(world: World) -> None:
    days = (5, 20, 11)
    for day in days:
        say(world, (None, "bread and butter"), at=f"2026-02-{day:02}T10:00:00.000000+00:00")
    hits = found(world, "bread")
    assert len({hit.score for hit in hits}) == 1
    assert [hit.memory.created_at[8:10] for hit in hits] == ["20", "11", "05"]


def test_a_message_that_follows_is_in_the_row_until_it_is_erased(world: World) -> None:
    first, second = say(world, (None, "I have news"), (None, "the password is swordfish"))
    words = CURRENT.query_words("swordfish")

    def holding() -> set[str]:
        return {hit.memory_id for hit in world.index.search_words("default", words, EVERYTHING, 9)}

    assert holding() == {first, second}
    world.services.changes.delete("default", second)
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert holding() == set()
    assert found_texts(world, "news") == ["I have news"]


def test_the_vector_of_a_fact_leaves_out_the_names_known_in_its_scope(new_world: Callable[..., World]) -> None:
    world = new_world(lambda _: facts("Will grows tomatoes with Mark"))
    say(world, *TALK)
    world.embedder.calls.clear()
    messages = (IncomingMessage("user", "I grow tomatoes with Mark", "Will"),)
    world.services.add.add(AddRequest(ALICE, messages))
    embedded = {text for texts, _ in world.embedder.calls for text in texts}
    assert "grows tomatoes with Mark" in embedded
    assert not any("Will" in text for text in embedded)
    (hit,) = [hit for hit in found(world, "Who is Will?") if hit.memory.extracted]
    assert hit.score >= DEFAULT_THRESHOLD


def test_names_of_one_user_do_not_reach_the_questions_of_another(world: World) -> None:
    say(world, *TALK)
    bob = Scope("default", user_id="bob")
    world.say("the market sells bread", scope=bob)
    world.embedder.calls.clear()
    request = SearchRequest("default", "What does Mai sell at the market?", all_ids(bob.ids()), bob.ids())
    world.services.search.search(request)
    assert [texts for texts, _ in world.embedder.calls] == [("What does Mai sell at the market?",)]
