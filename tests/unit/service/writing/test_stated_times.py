"""The time that a client states for its messages: it dates the memories, and moves none of the service's own times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from forgetless.ports.llm import ChatMessage
from forgetless.service.requests import AddRequest, IncomingMessage, UpdateRequest
from tests.unit.service.world import ALICE, World, facts

NewWorld = Callable[..., World]

FUTURE, PAST = "2126-01-01T00:00:00.000000+00:00", "1926-01-01T00:00:00.000000+00:00"
TEXT = "Alice has a needle"


def add(world: World, stated: str, *, infer: bool) -> str:
    """The id of the memory."""
    request = AddRequest(ALICE, (IncomingMessage("user", TEXT),), infer=infer, timestamp=stated)
    (added,) = world.services.add.add(request).results
    return added.id


@pytest.fixture(params=[False, True], ids=["verbatim", "extracted"])
def infer(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("stated", [FUTURE, PAST])
def test_a_memory_was_created_when_its_client_says_and_never_updated_later_than_now(
    new_world: NewWorld, infer: bool, stated: str
) -> None:
    world = new_world([facts(TEXT)])
    memory = world.services.reads.get("default", add(world, stated, infer=infer))
    assert memory is not None
    assert memory.created_at == stated
    assert memory.accepted_at <= world.clock.now()
    assert memory.updated_at == min(stated, memory.accepted_at)


def test_what_the_index_missed_is_repaired_whatever_time_was_stated(new_world: NewWorld, infer: bool) -> None:
    def reply(_messages: Sequence[ChatMessage]) -> str:
        world.index.available = False
        return facts(TEXT)

    world = new_world(reply)
    world.index.available = infer  # then the LLM's call is the moment in which the index is lost
    add(world, FUTURE, infer=infer)
    world.index.available = True
    assert world.find("needle") == []
    world.clock.advance(3600)
    world.services.sweep.sweep()
    assert [one.memory.text for one in world.find("needle")] == [TEXT]


def test_the_rows_of_what_was_deleted_while_the_index_was_down_go(new_world: NewWorld, infer: bool) -> None:
    world = new_world([facts(TEXT)])
    id_ = add(world, FUTURE, infer=infer)
    world.index.available = False
    world.services.changes.delete("default", id_)
    world.index.available = True
    assert world.index.count() == 1
    world.clock.advance(3600)
    world.services.sweep.sweep()
    assert world.index.count() == 0
    assert world.ledger.pending_tenants(limit=9) == []


def test_a_change_is_known_from_now_on_even_of_a_memory_that_an_earlier_version_dated_ahead(
    new_world: NewWorld,
) -> None:
    world = new_world()
    id_ = add(world, FUTURE, infer=False)
    held = world.services.reads.get("default", id_)
    assert held is not None
    ahead = replace(held, updated_at=FUTURE)
    at = world.clock.now()
    assert ahead.next_version(at, event_id="e").updated_at == at
    world.clock.advance(5)
    changed = world.services.changes.update(UpdateRequest("default", id_, text="Alice has a pin"))
    assert held.updated_at < changed.updated_at <= world.clock.now()
