"""Held adds: when what held them works again, they run within a minute, and no sooner."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from forgetless.domain.errors import DependencyError, EmbedderError, LlmUnavailableError, ProviderAuthError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.service.requests import AddRequest, IncomingMessage
from tests.unit.service.jobs.test_ingest import deliver
from tests.unit.service.world import ALICE, World, facts, make_world

BOB = Scope("default", user_id="bob")
WRONG_KEY = ProviderAuthError("the LLM answered with status 401: check OPENAI_API_KEY")

#: Has an add held by this error until it has failed for so many seconds.
Hold = Callable[[DependencyError, float], None]


@pytest.fixture(params=["sqlite", "dynamodb"])
def world(request: pytest.FixtureRequest, new_world: Callable[..., World], dynamo: Callable[[], Ledger]) -> World:
    """A world whose LLM knows one fact, with either ledger."""
    if request.param == "sqlite":
        return new_world(lambda _messages: facts("a fact"))
    return make_world(request.getfixturevalue("tmp_path"), lambda _messages: facts("a fact"), ledger=dynamo())


@pytest.fixture
def held(world: World) -> Hold:
    """Has Alice's add held by this error of LLM or embedder until it has failed for so many seconds."""

    def hold(error: DependencyError, seconds: float) -> None:
        _fail(world, error)
        world.services.add.add(AddRequest(ALICE, (IncomingMessage("user", "I like tea"),), infer=True, queued=True))
        began = world.clock.monotonic()
        while world.clock.monotonic() < began + seconds:
            _deliver_all(world)
            world.clock.advance(1)

    return hold


def _fail(world: World, error: DependencyError | None) -> None:
    of_embedder = isinstance(error, EmbedderError)
    world.embedder.failure = error if of_embedder else None
    assert world.llm is not None

    def reply(_messages: object) -> str:
        if error is not None and not of_embedder:
            raise error
        return facts("a fact")

    world.llm._reply = reply


def _deliver_all(world: World) -> None:
    while True:
        try:
            if not deliver(world):
                return
        except Exception as error:  # noqa: BLE001
            assert type(error).__name__ == "JobHeldError"  # noqa: PT017


def _state(world: World, scope: Scope) -> JobState:
    return next(job.state for job in world.ledger.jobs("default", limit=9)[0] if job.scope == scope)


def _bobs_add_succeeds(world: World) -> None:
    world.say("I like coffee", scope=BOB, infer=True)
    assert _state(world, BOB) is JobState.SUCCEEDED
    world.clock.advance(10)


@pytest.mark.parametrize("error", [WRONG_KEY, EmbedderError("status 503")], ids=["llm", "embedder"])
def test_the_next_sweep_after_a_success_has_the_held_add_run(world: World, held: Hold, error: DependencyError) -> None:
    held(error, 200)
    assert _state(world, ALICE) is JobState.PENDING
    _fail(world, None)
    _bobs_add_succeeds(world)
    _deliver_all(world)
    assert _state(world, ALICE) is JobState.PENDING, "its message is still hidden"
    world.services.sweep.sweep()
    _deliver_all(world)
    assert _state(world, ALICE) is JobState.SUCCEEDED
    assert len(world.queue) == 0


def test_nothing_is_brought_forward_while_the_fault_lasts(world: World, held: Hold) -> None:
    held(WRONG_KEY, 60)
    calls = len(world.llm.calls)  # type: ignore[union-attr]
    world.services.sweep.sweep()
    _deliver_all(world)
    assert len(world.llm.calls) == calls  # type: ignore[union-attr]


def test_a_wait_that_the_provider_asked_for_is_kept(world: World, held: Hold) -> None:
    held(LlmUnavailableError("status 429", retry_after=600), 20)
    _fail(world, None)
    _bobs_add_succeeds(world)
    world.services.sweep.sweep()
    _deliver_all(world)
    assert _state(world, ALICE) is JobState.PENDING
    world.clock.advance(600)
    _deliver_all(world)
    assert _state(world, ALICE) is JobState.SUCCEEDED


def test_long_adds_that_wait_for_something_else_do_not_hide_a_held_one(world: World, held: Hold) -> None:
    """They are read in portions of bytes, and the look goes on behind them."""
    for number in range(3):
        scope = Scope("evil", user_id=f"u{number}")
        now = world.clock.now()
        job = Job(str(UUID(int=number)), scope, JobState.PENDING, now, now, request={"prompt": "p" * 2_500_000})
        world.ledger.put_job(job, [])
    held(WRONG_KEY, 60)
    _fail(world, None)
    _bobs_add_succeeds(world)
    world.services.sweep.sweep()
    _deliver_all(world)
    assert _state(world, ALICE) is JobState.SUCCEEDED
