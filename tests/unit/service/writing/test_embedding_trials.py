"""Texts on which the embedder fails without saying so: they hold up no other text, no other tenant and no job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from forgetless.domain.errors import DependencyError, EmbedderError, EmbedderReplyError, ProviderAuthError
from forgetless.domain.limits import MOST_REFUSALS
from forgetless.domain.scope import Scope
from forgetless.service.requests import UpdateRequest
from forgetless.service.writing.embedding_trials import EmbeddingTrials
from tests.fakes.clock import FakeClock
from tests.fakes.embedder import FakeEmbedder
from tests.unit.service.world import World

OTHERS = Scope("others", user_id="bob")
FAILURES: dict[str, tuple[DependencyError, float]] = {
    "no answer": (EmbedderError("the embedder did not answer in time"), 10.0),
    "no connection": (EmbedderError("the embedder closed the connection"), 1.0),
    "overload": (EmbedderError("the embedder answered with status 429", retry_after=2), 0.0),
    "401": (ProviderAuthError("the embedder answered with status 401"), 0.0),
    "nonsense": (EmbedderReplyError("the reply of the embedder is not a list of embeddings"), 0.0),
}


def fail_on_poison(embedder: FakeEmbedder, clock: FakeClock, failure: DependencyError, seconds: float) -> None:
    """Let each call with such a text take so long and fail."""

    def fails(text: str) -> bool:
        found = "poison" in text
        clock.advance(seconds if found else 0.0)
        return found

    embedder.refuses, embedder.refusal = fails, failure


@contextmanager
def pending(world: World) -> Iterator[None]:
    """What is added meanwhile is pending, as after an import."""
    world.index.available = False
    yield
    world.index.available = True
    world.clock.advance(60)


def sweeps(world: World, times: int) -> None:
    for _ in range(times):
        world.services.sweep.sweep()
        world.clock.advance(60)


def waiting(world: World, tenant: str) -> list[str]:
    return [one.text for one in world.ledger.unindexed(before="9999-12-31", limit=999, tenant=tenant)]


@pytest.fixture(params=FAILURES)
def failing(request: pytest.FixtureRequest, world: World) -> Callable[[], None]:
    failure, seconds = FAILURES[request.param]
    return lambda: fail_on_poison(world.embedder, world.clock, failure, seconds)


def test_nothing_of_another_tenant_waits_for_it(world: World, failing: Callable[[], None]) -> None:
    with pending(world):
        world.say(*(f"poison {number}" for number in range(8)), "tea is green")
        for start in range(0, 450, 50):
            world.say(*(f"fact {number}" for number in range(start, start + 50)), scope=OTHERS)
    failing()
    sweeps(world, 1)
    assert waiting(world, "others") == [], "of the other tenant, one call is waited for"


def test_nothing_of_its_own_tenant_waits_for_ever(world: World, failing: Callable[[], None]) -> None:
    said = [f"fact {number}" for number in range(30)]
    said[3:3], said[20:20] = ["some poison"], ["more poison"]
    with pending(world):
        world.say(*said)
    failing()
    sweeps(world, 12)
    assert waiting(world, "default") == []
    aside = world.ledger.set_aside(limit=99)
    texts = [one.text for one in world.ledger.read("default", [one.memory_id for one in aside]).values()]
    assert sorted(texts) == ["more poison", "some poison"]
    assert all(one.reason.endswith(", although it takes others") for one in aside)
    assert world.index.count() == 32, "what the embedder fails on is found by its words"
    world.embedder.refuses = lambda _text: False
    assert "poison" in world.find("poison")[0].memory.text


def test_a_tenant_is_doubtful_for_a_while_and_then_asked_for_all_at_once(world: World) -> None:
    fail_on_poison(world.embedder, world.clock, *FAILURES["401"])
    trials = EmbeddingTrials(world.clock)
    trials.embed(world.embedder, ["poison", "tea"], tenant="t")
    assert (trials.doubtful("t"), trials.doubtful("others")) == (True, False)
    world.clock.advance(200)
    assert not trials.doubtful("t")
    world.embedder.calls.clear()
    trials.embed(world.embedder, ["tea", "cocoa"], tenant="t")
    assert [texts for texts, _ in world.embedder.calls] == [("tea", "cocoa")]


def test_an_outage_blames_no_text(world: World) -> None:
    with pending(world):
        world.say(*(f"fact {number}" for number in range(30)))
        world.say("fact", scope=OTHERS)
    world.embedder.failure = EmbedderError("the embedder did not answer in time")
    before = len(world.embedder.calls)
    sweeps(world, MOST_REFUSALS + 1)
    assert len(world.embedder.calls) - before == MOST_REFUSALS + 1, "the first failure ends the run"
    world.embedder.failure = None
    sweeps(world, 1)
    assert (world.index.count(), world.ledger.set_aside(limit=9)) == (31, [])


def test_an_embedder_that_fails_once_in_a_while_blames_nobody_in_the_end(world: World) -> None:
    with pending(world):
        world.say(*(f"fact {number}" for number in range(30)))
    turns = iter(range(999))
    world.embedder.refuses, world.embedder.refusal = lambda _text: next(turns) % 7 == 0, EmbedderError("status 503")
    sweeps(world, 8)
    assert (waiting(world, "default"), world.ledger.set_aside(limit=9), world.index.count()) == ([], [], 30)


def test_earlier_versions_with_such_texts_come_to_an_end(world: World, failing: Callable[[], None]) -> None:
    (added,) = world.say("poison 0").results
    for number in range(1, 6):
        world.services.changes.update(UpdateRequest("default", added.id, text=f"poison {number}"))
    world.services.changes.update(UpdateRequest("default", added.id, text="tea is green"))
    world.index.drop_all()
    world.index.past.drop("default", [(added.id, version) for version in range(9)])
    world.ledger.mark_unindexed(at=world.clock.now())
    world.clock.advance(60)
    failing()
    sweeps(world, 8)
    assert (waiting(world, "default"), world.index.count(), world.index.past.count()) == ([], 1, 6)


@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_calls_of_limited_time_end_although_each_begins_at_the_first_text(seconds: float) -> None:
    clock, embedder = FakeClock(), FakeEmbedder()
    trials = EmbeddingTrials(clock)
    fail_on_poison(embedder, clock, EmbedderError("the embedder did not answer in time"), seconds)
    texts = [f"poison {number}" if number % 3 else f"fact {number}" for number in range(30)]
    for calls in range(1, 99):  # noqa: B007 - how many there were
        until = clock.monotonic() + 15.0
        tried = trials.embed(embedder, texts, tenant="t", in_time=lambda until=until: clock.monotonic() < until)
        if tried.vectors.keys() | tried.reasons.keys() == set(texts):
            break
    assert calls <= 22
    assert set(tried.reasons) == {text for text in texts if "poison" in text}
    trials.embed(embedder, texts, tenant="t")
    asked = len(embedder.calls)
    assert trials.embed(embedder, texts, tenant="t").reasons == tried.reasons
    assert len(embedder.calls) <= asked + 10, "what has failed twice is not asked for again"
