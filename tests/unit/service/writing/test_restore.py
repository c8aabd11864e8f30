"""Restore: a superseded memory holds again, everywhere; what is deleted or erased stays gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from forgetless.domain.errors import EmbedderError, NotFoundError, PreconditionFailedError, VersionConflictError
from forgetless.domain.memory import Event, EventKind, MessageRef
from forgetless.service.requests import UpdateRequest
from tests.unit.service.world import World, facts, only

NewWorld = Callable[..., World]

UNKNOWN = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def moved(new_world: NewWorld) -> tuple[World, str, str]:
    """Alice has moved: the world, the memory that is superseded, and the one that supersedes it."""
    world = new_world(
        [
            facts("Alice lives in Hue"),
            facts({"text": "Alice lives in Hanoi", "supersedes": [1], "sources": [1]}),
            facts({"text": "Alice lives in Hue", "sources": [1]}),
        ]
    )
    old = world.say("I live in Hue", infer=True).results[0].id
    new = world.say("I moved to Hanoi", infer=True).results[0].id
    return world, old, new


def test_it_is_listed_found_and_counted_again(moved: tuple[World, str, str]) -> None:
    world, old, new = moved
    back = world.services.restores.restore("default", old)
    assert (back.live, back.version, back.superseded_by) == (True, 3, None)
    assert sorted(world.texts()) == ["Alice lives in Hanoi", "Alice lives in Hue"]
    assert {hit.memory.id for hit in world.find("Alice lives in")} == {old, new}
    assert world.services.reads.entities("default", size=9).items[0].total_memories == 2
    assert not world.ledger.pending("default", [old])


def test_the_history_says_which_messages_superseded_it(moved: tuple[World, str, str]) -> None:
    world, old, new = moved
    world.services.restores.restore("default", old)
    successor = world.services.reads.get("default", new)
    assert successor is not None
    first, gone, back = world.history(old)
    assert (gone.memory.superseded_by, gone.superseding) == (new, (MessageRef(successor.job_id, 0),))
    assert first.superseding == back.superseding == ()
    world.services.changes.delete("default", new)
    assert world.history(old)[1].superseding == (), "erased with the memory"


def test_what_holds_is_returned_as_it_is(moved: tuple[World, str, str]) -> None:
    world, old, new = moved
    assert world.services.restores.restore("default", new).version == 1
    assert world.services.restores.restore("default", old).version == 3
    assert world.services.restores.restore("default", old).version == 3


def test_a_repeat_of_the_same_request_does_not_undo_what_happened_since(moved: tuple[World, str, str]) -> None:
    world, old, _ = moved
    back = world.services.restores.restore("default", old, request_name="first")
    again = back.next_version(world.clock.now(), event_id="e", superseded_by=UNKNOWN)
    world.ledger.append([Event(EventKind.UPDATE, again)])
    assert not world.services.restores.restore("default", old, request_name="first").live
    assert world.services.restores.restore("default", old, request_name="second").live


def test_a_text_that_was_extracted_again_since_is_no_conflict(moved: tuple[World, str, str]) -> None:
    world, old, _ = moved
    third = world.say("Back in Hue", infer=True).results[0].id
    back = world.services.restores.restore("default", old)
    assert not back.extracted
    assert {hit.memory.id for hit in world.find("Alice lives in Hue", top_k=2)} == {old, third}
    assert world.ledger.faults(seconds=20, thorough=True).found == ()


def test_what_is_deleted_erased_or_anothers_is_not_found(moved: tuple[World, str, str]) -> None:
    world, old, _ = moved
    services = world.services
    for tenant, memory_id in (("other", old), ("default", UNKNOWN)):
        with pytest.raises(NotFoundError):
            services.restores.restore(tenant, memory_id)
    with pytest.raises(NotFoundError):
        services.limited_to(only("bob")).restores.restore("default", old)
    assert services.limited_to(only("alice")).restores.restore("default", old).live
    services.changes.delete_scope("default", {"user_id": "alice"})
    with pytest.raises(NotFoundError):
        services.restores.restore("default", old)


def test_a_deleted_memory_is_not_found(moved: tuple[World, str, str]) -> None:
    world, old, _ = moved
    world.services.changes.delete("default", old)
    with pytest.raises(NotFoundError):
        world.services.restores.restore("default", old)


def test_a_version_may_be_demanded(moved: tuple[World, str, str]) -> None:
    world, old, _ = moved
    with pytest.raises(PreconditionFailedError):
        world.services.restores.restore("default", old, expected_versions=frozenset({1}))
    assert world.services.restores.restore("default", old, expected_versions=frozenset({2})).live


def test_without_an_embedder_nothing_changes(moved: tuple[World, str, str]) -> None:
    world, old, _ = moved
    world.embedder.failure = EmbedderError("down")
    with pytest.raises(EmbedderError):
        world.services.restores.restore("default", old)
    assert world.texts() == ["Alice lives in Hanoi"]


def test_a_change_meanwhile_is_read_again(moved: tuple[World, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    world, old, _ = moved
    append, tries = world.ledger.append, []

    def contested(*arguments: object, **named: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            world.services.changes.update(UpdateRequest("default", old, metadata={"seen": True}))
            raise VersionConflictError("changed meanwhile")
        append(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(world.ledger, "append", contested)
    back = world.services.restores.restore("default", old)
    assert (back.live, back.metadata, back.version) == (True, {"seen": True}, 4)


def test_an_update_of_the_text_names_the_key_that_made_it(new_world: NewWorld) -> None:
    world = new_world()
    id_ = world.say("I like tea", source_key="one").results[0].id
    changes = world.services.changes
    assert changes.update(UpdateRequest("default", id_, metadata={"a": 1}, source_key="two")).source_key == "one"
    assert changes.update(UpdateRequest("default", id_, text="I like chai", source_key="two")).source_key == "two"
