"""Changes: each one is an event, and what is deleted is gone everywhere."""

from __future__ import annotations

import pytest

from forgetless.adapters.ledger_codec import dump_memory
from forgetless.domain.errors import EmbedderError, InvalidRequestError, NotFoundError
from forgetless.domain.limits import RequestLimits
from forgetless.domain.memory import EventKind
from forgetless.domain.scope import Scope
from forgetless.ports.embedder import EmbeddingTask
from forgetless.service.requests import UpdateRequest
from forgetless.service.services import Services
from tests.unit.service.world import World


def test_an_update_of_the_text_is_searched_by_the_new_text(world: World) -> None:
    memory_id = world.say("I like tea").results[0].id
    changed = world.services.changes.update(UpdateRequest("default", memory_id, text="I like coffee"))
    assert (changed.text, changed.version) == ("I like coffee", 2)
    assert world.find("coffee", top_k=1)[0].memory.version == 2


def test_metadata_is_merged_and_reuses_the_vector(world: World) -> None:
    memory_id = world.say("I like tea", metadata={"a": 1}).results[0].id
    calls = len(world.embedder.calls)
    changed = world.services.changes.update(UpdateRequest("default", memory_id, metadata={"b": 2}))
    assert changed.metadata == {"a": 1, "b": 2}
    assert len(world.embedder.calls) == calls, "no embedding for a change of metadata"
    assert [hit.memory.id for hit in world.find("tea")] == [memory_id]


def test_metadata_does_not_grow_beyond_its_limit_by_many_updates(world: World) -> None:
    """Each version stores all of it: 120 updates of 65 KB became 479 MB."""
    memory_id = world.say("I like tea", metadata={"a": "x" * 60_000}).results[0].id
    with pytest.raises(InvalidRequestError, match=r"^metadata: merged .* 70015 bytes of JSON; at most 65536"):
        world.services.changes.update(UpdateRequest("default", memory_id, metadata={"b": "x" * 10_000}))
    changed = world.services.changes.update(
        UpdateRequest("default", memory_id, metadata={"a": None, "b": "y" * 60_000})
    )
    assert (changed.metadata["a"], changed.version) == (None, 2)


def test_larger_metadata_of_an_earlier_version_may_shrink(world: World) -> None:
    memory_id = world.say("I like tea", metadata={"a": "x" * 90_000, "b": 1}).results[0].id
    changed = world.services.changes.update(UpdateRequest("default", memory_id, metadata={"b": 2}))
    assert changed.metadata["b"] == 2
    with pytest.raises(InvalidRequestError, match="metadata: merged"):
        world.services.changes.update(UpdateRequest("default", memory_id, metadata={"b": 20}))


def test_a_small_change_of_a_long_memory_is_refused_when_its_versions_take_too_much_room(
    world: World,
) -> None:
    """Each version stores the whole text: a request of 30 bytes stored 560 KB, as often as somebody liked."""
    text, most = "茶" * 10_000, 95_000
    world.services = Services(world.services._ports, limits=RequestLimits(history_bytes=most))
    memory_id, other = world.say(text).results[0].id, world.say("I like tea").results[0].id

    def update(id_: str, at: int) -> int:
        return world.services.changes.update(UpdateRequest("default", id_, expiration_date=f"2030-01-{at:02d}")).version

    assert [update(memory_id, day) for day in (1, 2)] == [2, 3]
    with pytest.raises(InvalidRequestError, match=f"earlier versions take 96006 bytes, and at most {most} are kept"):
        update(memory_id, 3)
    with pytest.raises(InvalidRequestError, match=memory_id):
        world.services.changes.update_many(
            [UpdateRequest("default", id_, metadata={"a": 1}) for id_ in (other, memory_id)]
        )
    assert update(other, 4) == 2, "the other memory was not changed by the batch"
    stored = [len(dump_memory(event.memory)) for event in world.ledger.history("default", memory_id)]
    assert sum(stored) < most, "what is counted is no less than what is stored"
    world.services.changes.delete("default", memory_id)
    gone = world.ledger.history("default", memory_id)
    assert {event.memory.history_bytes for event in gone} == {0}, "the number would tell how long the text was"


def test_an_expiration_date_is_set_and_cleared(world: World) -> None:
    memory_id = world.say("offer").results[0].id
    update = UpdateRequest("default", memory_id, expiration_date="2026-05-05")
    assert world.services.changes.update(update).expiration_date == "2026-05-05"
    cleared = world.services.changes.update(UpdateRequest("default", memory_id, clear_expiration=True))
    assert cleared.expiration_date is None


def test_an_update_of_nothing_or_of_an_unknown_memory_is_refused(world: World) -> None:
    memory_id = world.say("x").results[0].id
    with pytest.raises(InvalidRequestError, match="At least one"):
        world.services.changes.update(UpdateRequest("default", memory_id))
    with pytest.raises(NotFoundError, match="not found"):
        world.services.changes.update(UpdateRequest("default", "00000000-0000-0000-0000-000000000000", text="y"))
    with pytest.raises(NotFoundError):
        world.services.changes.update(UpdateRequest("other", memory_id, text="y"))


def test_an_update_without_an_embedder_changes_nothing(world: World) -> None:
    memory_id = world.say("I like tea").results[0].id
    world.embedder.failure = EmbedderError("down")
    with pytest.raises(EmbedderError):
        world.services.changes.update(UpdateRequest("default", memory_id, text="I like coffee"))
    assert world.texts() == ["I like tea"]


def test_a_deleted_memory_is_gone_from_reads_search_history_and_raw_messages(world: World) -> None:
    outcome = world.say("my secret is blue")
    memory_id = outcome.results[0].id
    world.services.changes.delete("default", memory_id)
    assert world.services.reads.get("default", memory_id) is None
    assert world.find("secret blue") == []
    history = world.history(memory_id)
    assert [(item.event, item.is_deleted) for item in history] == [(EventKind.ADD, False), (EventKind.DELETE, True)]
    assert "secret" not in repr(history)
    assert world.ledger.job_messages("default", outcome.job.id) == []


def test_deleting_twice_is_not_found(world: World) -> None:
    memory_id = world.say("x").results[0].id
    world.services.changes.delete("default", memory_id)
    with pytest.raises(NotFoundError):
        world.services.changes.delete("default", memory_id)


def test_memories_that_carried_a_deleted_message_are_indexed_again_without_it(world: World) -> None:
    secret = world.say("the password is swordfish").results[0].id
    world.say("never mind")
    assert "never mind" in {hit.memory.text for hit in world.find("swordfish") if hit.details and hit.details.bm25_rank}
    world.services.changes.delete("default", secret)
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert all(hit.details is None or hit.details.bm25_rank is None for hit in world.find("swordfish"))
    assert all("swordfish" not in text for text in world.embedder.calls[-2][0])
    assert world.embedder.calls[-2][1] is EmbeddingTask.PASSAGE


def test_deleting_a_scope_takes_every_memory_and_message_of_it_and_none_other(world: World) -> None:
    for number in range(450):
        world.say(f"a{number}")
    world.say("b", scope=Scope("default", user_id="bob"))
    world.say("c", scope=Scope("other", user_id="alice"))
    assert world.services.changes.delete_scope("default", {"user_id": "alice"}).deleted == 450
    assert world.texts() == []
    assert world.texts(Scope("default", user_id="bob")) == ["b"]
    assert world.texts(Scope("other", user_id="alice")) == ["c"]


def test_a_reset_stays_within_the_tenant(world: World) -> None:
    world.say("mine")
    world.say("theirs", scope=Scope("other", user_id="alice"))
    assert world.services.changes.reset("default").deleted == 1
    assert world.texts(Scope("other", user_id="alice")) == ["theirs"]


def test_the_index_is_rebuilt_from_the_ledger(world: World) -> None:
    world.say("I like tea")
    world.say("I like coffee")
    before = [(hit.memory.id, hit.score) for hit in world.find("tea or coffee")]
    world.index.drop_all()
    assert world.find("tea or coffee") == []
    assert world.services.sweep.index_all() == 2
    assert [(hit.memory.id, hit.score) for hit in world.find("tea or coffee")] == before
