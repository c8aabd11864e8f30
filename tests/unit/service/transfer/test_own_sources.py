"""An imported memory that names messages of somebody else as its source or context."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from forgetless.domain.memory import MessageRef
from forgetless.service.transfer import own_sources
from tests.unit.service.transfer.test_event_transfer import BOB, exported, take
from tests.unit.service.world import ALICE, World


def forged(world: World, refs: list[list[Any]]) -> bytes:
    """An export of Alice's one memory, as another memory of hers that is made from these messages."""
    lines = [json.loads(line) for line in exported(world).splitlines()]
    event = next(line for line in lines if line.get("type") == "event" and line["memory"]["scope"] == ALICE.ids())
    event["memory"] |= {"id": "forged", "sources": refs, "context": refs}
    return b"\n".join(json.dumps(line).encode() for line in (lines[0], event))


@pytest.fixture
def refs(world: World) -> dict[str, MessageRef]:
    """The message of each."""
    made = {"alice": world.say("I like tea.").results, "bob": world.say("I owe money.", scope=BOB).results}
    memories = world.ledger.read("default", [memory.id for (memory,) in made.values()])
    return {str(memory.scope.user_id): memory.sources[0] for memory in memories.values()}


def test_messages_of_others_are_no_source(
    world: World, refs: dict[str, MessageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_sources, "_READ_AT_ONCE", 1)
    unknown = ["6116a22e-0000-4000-8000-000000000001", 0]
    named = [[ref.job_id, ref.position] for ref in (refs["bob"], refs["alice"])] + [unknown]
    assert take(world, forged(world, named)).memories == 1
    memory = world.ledger.read("default", ["forged"])["forged"]
    assert memory.sources == memory.context == (refs["alice"], MessageRef(*unknown)), (
        "what is not here may have expired"
    )
    world.services.changes.delete("default", "forged")
    assert set(world.ledger.read_messages("default", list(refs.values()))) == {refs["bob"]}
    assert [one.content for one in world.ledger.recent_messages(BOB, since="", before="9", limit=9)] == ["I owe money."]


def test_a_message_of_others_that_arrives_later_is_neither_shown_nor_found(
    new_world: Callable[..., World], world: World, refs: dict[str, MessageRef]
) -> None:
    found: list[list[float]] = []
    for named in ([[refs["bob"].job_id, refs["bob"].position]], []):
        target = new_world()
        take(target, forged(world, named))
        take(target, exported(world))
        memory = target.ledger.read("default", ["forged"])["forged"]
        assert len(memory.sources) == len(named)
        assert target.services.reads.said("default", [memory]) == {"forged": []}
        target.clock.advance(60)
        assert target.services.sweep.sweep().indexed == 3
        hits = target.find("I owe money", scope=ALICE, top_k=5)
        found.append([hit.score for hit in hits if hit.memory.id == "forged"])
    assert found[0] == found[1] != []
