"""A memory that embedder or index refuse keeps nobody else from being indexed, and is set aside in the end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from forgetless.domain.errors import (
    DependencyError,
    EmbedderError,
    ProviderAuthError,
    ProviderRequestError,
)
from forgetless.domain.limits import MOST_REFUSALS
from forgetless.domain.scope import Scope
from forgetless.service.jobs.refused_rows import CONTROL
from forgetless.service.jobs.sweep import PORTION
from forgetless.service.requests import UpdateRequest
from tests.unit.service.world import World


@contextmanager
def index_away(world: World) -> Iterator[None]:
    """What is added meanwhile is pending, as after an import."""
    world.index.available = False
    yield
    world.index.available = True
    world.clock.advance(60)


def sweep(world: World) -> tuple[int, int]:
    """The numbers of memories that one sweep indexed and set aside."""
    report = world.services.sweep.sweep()
    world.clock.advance(60)
    return report.indexed, report.set_aside


def poison(text: str) -> bool:
    return "poison" in text


@pytest.mark.parametrize("stage", ["embedder", "index", "no row"])
def test_a_poisoned_row_is_found_and_set_aside_and_all_others_are_indexed(
    world: World, stage: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with index_away(world):
        for number in range(40):
            world.say("some poison" if number == 17 else f"fact {number}")
    match stage:
        case "embedder":
            world.embedder.refuses = poison
        case "index":
            world.index.refuses = lambda row: poison(row.memory.text)
        case _:
            embed = world.embedder.embed

            def broken(texts: list[str], *rest: object, **named: object) -> object:
                if any(map(poison, texts)):
                    raise TypeError("it quotes some poison")
                return embed(texts, *rest, **named)  # type: ignore[arg-type]

            monkeypatch.setattr(world.embedder, "embed", broken)
    assert sweep(world) == (39, 0)
    for _ in range(MOST_REFUSALS - 2):
        assert sweep(world) == (0, 0)
    assert sweep(world) == (0, 1)
    assert sweep(world) == (0, 0)
    (aside,) = world.ledger.set_aside(limit=9)
    assert world.ledger.read("default", [aside.memory_id])[aside.memory_id].text == "some poison"
    assert "poison" not in aside.reason
    assert "poison" not in caplog.text
    assert world.index.count() == 39 + (stage == "embedder"), "its words can be found, unless the index refuses the row"
    assert world.ledger.unindexed(before="9999-12-31", limit=9) == []


def test_the_work_to_find_one_row_does_not_grow_with_the_portion(world: World) -> None:
    with index_away(world):
        for number in range(64):
            world.say("some poison" if number == 17 else f"fact {number}")
    world.embedder.refuses = poison
    world.embedder.calls.clear()
    assert sweep(world) == (63, 0), "two have the poison as context, and are indexed without it"
    assert len(world.embedder.calls) == 1, "the embedder's client says which text it was"


@pytest.mark.parametrize(
    "failure",
    [
        EmbedderError("down"),
        ProviderAuthError("check the key"),
        ProviderRequestError("no such model", status=404),
        ProviderRequestError("everything is refused", status=400, of_any_input=True),
    ],
)
def test_nothing_is_blamed_on_memories_in_an_outage_or_when_everything_is_refused(
    world: World, failure: DependencyError
) -> None:
    with index_away(world):
        world.say("tea")
        world.say("coffee")
    world.embedder.failure = failure
    for _ in range(MOST_REFUSALS + 1):
        assert sweep(world) == (0, 0)
    with pytest.raises(DependencyError):
        world.services.sweep.index_pending()
    assert world.ledger.set_aside(limit=9) == []
    assert len(world.ledger.unindexed(before="9999-12-31", limit=9)) == 2
    world.embedder.failure = None
    assert sweep(world) == (2, 0)


def test_an_index_that_refuses_the_control_is_to_blame_itself(world: World) -> None:
    with index_away(world):
        world.say("tea")
    world.index.refuses = lambda _row: True
    for _ in range(MOST_REFUSALS + 1):
        assert sweep(world) == (0, 0)
    assert world.ledger.set_aside(limit=9) == []


def test_memories_that_are_all_poisoned_are_set_aside_because_the_control_is_accepted(world: World) -> None:
    with index_away(world):
        world.say("poison 1")
        world.say("poison 2")
    world.embedder.refuses = poison
    found = [sweep(world) for _ in range(MOST_REFUSALS)]
    assert found[-1] == (0, 2)
    assert world.index.held(CONTROL.scope.tenant, [(CONTROL.id, CONTROL.version)]) == set()


def test_a_rebuild_goes_on_to_the_end_and_sets_aside(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for number in range(PORTION + 20):
        world.say("some poison" if number in {3, PORTION + 5} else f"fact {number}")
    world.index.drop_all()
    world.embedder.refuses = poison
    assert world.services.sweep.index_all() == PORTION + 18
    assert len(world.ledger.set_aside(limit=9)) == 2
    assert world.ledger.pending_tenants(limit=9) == []
    world.embedder.refuses = lambda _text: False
    assert world.ledger.retry_set_aside(at=world.clock.now()) == 2
    world.clock.advance(60)
    assert sweep(world) == (2, 0)
    assert world.index.count() == PORTION + 20


def test_a_change_of_the_text_heals_it(world: World) -> None:
    with index_away(world):
        (added,) = world.say("some poison").results
    world.embedder.refuses = poison
    for _ in range(MOST_REFUSALS):
        sweep(world)
    assert len(world.ledger.set_aside(limit=9)) == 1
    world.services.changes.update(UpdateRequest("default", added.id, text="some antidote"))
    assert world.ledger.set_aside(limit=9) == []
    assert [hit.memory.text for hit in world.find("antidote")] == ["some antidote"]


def test_one_tenant_with_much_to_index_does_not_hold_up_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forgetless.service.jobs.sweep.PORTION", 5)
    monkeypatch.setattr("forgetless.service.jobs.sweep.MOST_PORTIONS", 3)
    with index_away(world):
        for number in range(40):
            world.say(f"fact {number}", scope=Scope("noisy", user_id="n"))
        world.say("tea", scope=Scope("quiet", user_id="q"))
    assert sweep(world)[0] == 11
    assert world.index.count("quiet") == 1
