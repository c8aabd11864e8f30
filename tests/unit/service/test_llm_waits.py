"""A tenant has a bounded number of requests that wait for the LLM; other tenants always find room."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

import pytest

from forgetless.domain.errors import DeadlineError, LlmUnavailableError
from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.jobs import JobState
from forgetless.domain.limits import LEASE_MARGIN_S, LLM_WAITS, REQUEST_S
from forgetless.domain.scope import Scope
from forgetless.domain.slots import Slots
from forgetless.domain.times import later
from forgetless.ports.llm import ChatMessage
from forgetless.service.requests import AddRequest, IncomingMessage
from forgetless.service.services import Services
from tests.fakes.llm import FakeLlm
from tests.unit.service.world import ALICE, World, facts

NewWorld = Callable[..., World]
#: How many more than may wait come at once.
_MORE = 4


class SlowLlm:
    """An LLM that answers the first messages of a tenant only when it is told to."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked = threading.Semaphore(0)

    def __call__(self, messages: Sequence[ChatMessage]) -> str:
        if "slow" in messages[-1].content:
            self.asked.release()
            assert self.may_answer.wait(30)
        return facts(f"Fact {len(messages[-1].content)} of {threading.get_ident()}")


def add(services: Services, tenant: str, user: str, text: str, **more: object) -> object:
    request = AddRequest(Scope(tenant, user_id=user), (IncomingMessage("user", text),), infer=True, **more)  # type: ignore[arg-type]
    return services.add.add(request)


def other_environment(world: World) -> Services:
    """Another process over the same stores."""
    return Services(replace(world.services._ports, llm=world.llm))


@contextmanager
def filled(world: World, tenant: str = "default") -> Iterator[None]:
    """All slots of the tenant are taken by requests of another environment."""
    now = world.clock.now()
    owners = [f"another {number}" for number in range(LLM_WAITS)]
    slots = [world.ledger.take_slot(Slots(tenant, LLM_WAITS, owner, now, later(now, 40))) for owner in owners]
    assert None not in slots
    yield
    for slot, owner in zip(slots, owners, strict=True):
        assert slot is not None
        world.ledger.release_lease(slot, owner=owner)


def test_what_exceeds_the_bound_goes_on_later_and_another_tenant_is_served(new_world: NewWorld) -> None:
    """Adds of two environments at once, all of one tenant: as many wait as may, the others are answered at once."""
    llm = SlowLlm()
    world = new_world(llm)
    environments = (world.services, other_environment(world))
    most = LLM_WAITS + _MORE
    with ThreadPoolExecutor(most) as pool:
        slow = [pool.submit(add, environments[n % 2], "default", f"user-{n}", "slow") for n in range(most)]
        for _ in range(LLM_WAITS):
            assert llm.asked.acquire(timeout=30)
        add(world.services, "other", "bob", "quick")
        assert world.find("anything", scope=Scope("other", user_id="bob"), threshold=0.0)
        for _ in islice(as_completed(slow, timeout=60), _MORE):
            pass  # only those that may not wait have an answer yet
        llm.may_answer.set()
        refused = [error for one in slow if isinstance(error := one.exception(30), DeadlineError)]
    assert len(refused) == _MORE
    for error in refused:
        job = world.ledger.job("default", error.event_id)
        assert job is not None
        assert (job.state, error.retry_after) == (JobState.PENDING, 5)
        world.services.ingest.run("default", error.event_id, seconds=60)
        done = world.ledger.job("default", error.event_id)
        assert done is not None
        assert done.state is JobState.SUCCEEDED
    assert len(world.queue.receive()) > 0, "the queue was told of them"
    add(world.services, "default", "user-0", "each has given its slot back")


def test_slots_of_killed_environments_come_back(new_world: NewWorld) -> None:
    world = new_world(lambda _messages: facts("Alice is here"))
    with filled(world):
        with pytest.raises(DeadlineError):
            world.say("I am here", infer=True)
        world.clock.advance(REQUEST_S + LEASE_MARGIN_S)
        assert world.say("I am here", infer=True).results


def test_a_repeat_with_its_key_waits_as_soon_as_there_is_room(new_world: NewWorld) -> None:
    world = new_world(lambda _messages: facts("Alice is here"))
    with filled(world), pytest.raises(DeadlineError) as caught:
        world.say("I am here", infer=True, idempotency_key="k")
    again = world.say("I am here", infer=True, idempotency_key="k")
    assert (again.job.id, [one.memory for one in again.results]) == (caught.value.event_id, ["Alice is here"])


@pytest.mark.parametrize("failing", [False, True])
def test_a_slot_is_given_back_whatever_happens(new_world: NewWorld, failing: bool) -> None:
    def reply(_messages: Sequence[ChatMessage]) -> str:
        if failing:
            raise LlmUnavailableError("429")
        return facts()

    world = new_world(reply)
    for _ in range(LLM_WAITS + 1):
        if failing:
            with pytest.raises(LlmUnavailableError):
                world.say("hello", infer=True)
        else:
            world.say("hello", infer=True)
    now = world.clock.now()
    taken = [world.ledger.take_slot(Slots("default", LLM_WAITS, f"{n}", now, later(now, 9))) for n in range(LLM_WAITS)]
    assert None not in taken


def test_other_requests_that_ask_the_llm_are_bounded_too(new_world: NewWorld) -> None:
    world = new_world(lambda _messages: '{"custom_instructions": "Keep names.", "test_message": "I am Ann."}')
    services = world.services
    world.say("hello")
    export = services.exports.create("default", {"type": "object"}, {"user_id": "alice"}, None)
    asking: list[Callable[[], object]] = [
        lambda: services.instructions.generate("default", "an app"),
        lambda: services.exports.summarise("default", EVERYTHING),
        lambda: services.exports.get("default", export, None, check_reader=lambda _where: None),
    ]
    with filled(world):
        for ask in asking:
            with pytest.raises(LlmUnavailableError) as caught:
                ask()
            assert "requests of this tenant already wait" in caught.value.message
    for ask in asking:
        ask()
    queued = services.add.add(AddRequest(ALICE, (IncomingMessage("user", "hi"),), infer=True, queued=True))
    before = world.clock.monotonic()
    with filled(world):
        assert services.add.awaited(queued, seconds=20).job.state is JobState.PENDING
    assert world.clock.monotonic() == before, "it did not wait"


def test_0_sets_no_bound_and_costs_no_slot(new_world: NewWorld) -> None:
    world = new_world(lambda _messages: facts())
    assert isinstance(world.llm, FakeLlm)
    world.services = Services(replace(world.services._ports, llm=world.llm), llm_waits=0)
    with filled(world):
        assert world.say("I am here", infer=True).job.state is JobState.SUCCEEDED
