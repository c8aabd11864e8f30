"""An erasure whose rows are all still there: no use case shows them, and everything else is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from forgetless.domain.erasures import Target
from forgetless.domain.errors import NotFoundError
from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.domain.scope import Scope
from forgetless.ports.request_ledger import IdempotencyRecord
from forgetless.service.access.hiding_ledger import HidingLedger
from forgetless.service.access.hiding_operator_ledger import HidingOperatorLedger
from forgetless.service.requests import PageRequest, UpdateRequest
from tests.unit.service.world import ALICE, World, facts, newest

BOB = Scope("default", user_id="bob")
RUN = replace(ALICE, run_id="r1")
AT = "2026-01-02T00:00:00.000000+00:00"


def hide(world: World, *targets: Target) -> int:
    """Begin an erasure, and remove nothing."""
    return world.ledger.begin_erasure("default", targets or [Target({"user_id": "alice"})], at=AT).number


def test_get_list_search_history_and_pages_do_not_show_it(world: World) -> None:
    (old,) = world.say("alice likes green tea").results
    (other,) = world.say("bob likes green tea", scope=BOB).results
    reads = world.services.reads
    hide(world)
    assert reads.get("default", old.id) is None
    assert world.history(old.id) == HidingLedger(world.ledger).history("default", old.id) == []
    assert world.texts() == []
    assert world.find("green tea") == []
    everything = PageRequest("default", EVERYTHING, 10, superseded=True)
    assert [memory.id for memory in reads.page(everything).items] == [other.id]
    wanted = [old.id, other.id]
    assert list(reads.texts("default", wanted)) == [(wanted, {other.id: "bob likes green tea"})]
    assert reads.text_bytes("default", wanted) == {other.id: len("bob likes green tea")}
    assert [(one.kind, one.id, one.total_memories) for one in reads.entities("default", size=9).items] == [
        ("user", "bob", 1)
    ]


def test_the_past_does_not_show_it_either(world: World) -> None:
    (old,) = world.say("alice likes green tea").results
    moment = Moment(known_at=world.clock.now())
    hide(world)
    as_of = world.services.as_of
    assert as_of.get("default", old.id, moment) is None
    assert newest(world.services, {}, moment=moment) == []


def test_the_earlier_version_that_a_moment_needs_is_not_shown(world: World) -> None:
    (old,) = world.say("alice likes green tea").results
    (other,) = world.say("bob likes green tea", scope=BOB).results
    for id_ in (old.id, other.id):
        world.services.changes.update(UpdateRequest("default", id_, text="something else"))
    keys = [(old.id, 1), (other.id, 1)]
    ledger = HidingOperatorLedger(world.ledger)
    assert ledger.versions("default", keys).keys() == set(keys)
    hide(world)
    assert ledger.versions("default", keys).keys() == {(other.id, 1)}


def test_messages_of_several_jobs_are_those_that_it_does_not_cover(world: World) -> None:
    old, other = world.say("alice likes tea").job.id, world.say("bob likes tea", scope=BOB).job.id
    hide(world)
    shown = HidingOperatorLedger(world.ledger).messages_of_jobs("default", [old, other])[0]
    assert [message.content for messages in shown.values() for message in messages] == ["bob likes tea"]


def test_what_comes_after_it_is_shown(world: World) -> None:
    world.say("alice likes green tea")
    hide(world)
    world.say("alice likes black tea")
    assert world.texts() == ["alice likes black tea"]
    assert [hit.memory.text for hit in world.find("tea")] == ["alice likes black tea"]
    (entity,) = world.services.reads.entities("default", size=9).items
    assert entity.id == "alice"


def test_only_what_has_all_its_ids_is_hidden(world: World) -> None:
    world.say("in a run", scope=RUN)
    world.say("in another run", scope=replace(ALICE, run_id="r2"))
    world.say("in none")
    hide(world, Target({"user_id": "alice", "run_id": "r1"}))
    assert world.texts() == ["in none", "in another run"]
    hide(world, Target({}, ("run_id",)))
    assert world.texts() == ["in none"]
    hide(world, Target())
    assert world.texts() == []


def test_pages_get_past_many_hidden_rows_and_hold_no_more_than_they_may(world: World) -> None:
    for place in range(6):
        world.say(f"first {place}", scope=RUN)
        world.say(f"kept {place}")
    for place in range(6):
        world.say(f"last {place}", scope=RUN)
    hide(world, Target({"run_id": "r1"}))
    ledger = HidingOperatorLedger(world.ledger)
    for limit in (1, 2, 5, 100):
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = ledger.list_memories("default", {"user_id": "alice"}, limit=limit, cursor=cursor)
            assert len(page.items) <= limit
            found += [memory.text for memory in page.items]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == [f"kept {place}" for place in reversed(range(6))]


def test_a_covered_memory_cannot_be_updated_deleted_or_rated(world: World) -> None:
    (old,) = world.say("alice likes green tea").results
    world.services.feedback.give("default", old.id, "POSITIVE", None)
    hide(world)
    changes = world.services.changes
    with pytest.raises(NotFoundError):
        changes.update(UpdateRequest("default", old.id, text="alice likes black tea"))
    with pytest.raises(NotFoundError):
        changes.delete("default", old.id)
    with pytest.raises(NotFoundError):
        world.services.feedback.give("default", old.id, "POSITIVE", None)
    assert world.services.feedback.list("default", limit=9) == []


def test_messages_give_no_context_and_a_text_may_come_again(world: World) -> None:
    world.say("alice likes green tea")
    hide(world)
    (new,) = world.say("because it is healthy").results
    (memory,) = world.ledger.read("default", [new.id]).values()
    assert memory.context == ()
    assert memory.erasures_before == 1


def test_an_extraction_is_shown_nothing_of_it_and_may_extract_it_again(
    new_world: Callable[..., World],
) -> None:
    prompts: list[str] = []

    def reply(messages: Any) -> str:
        prompts.append(str(messages))
        return facts("Alice likes green tea")

    world = new_world(reply)
    world.say("I like green tea, secretword", infer=True)
    hide(world)
    outcome = world.say("I like green tea", infer=True)
    assert [one.memory for one in outcome.results] == ["Alice likes green tea"]
    assert "secretword" not in prompts[-1]
    assert world.texts() == ["Alice likes green tea"]


def test_jobs_have_ended_as_erased(world: World) -> None:
    job = world.say("alice likes green tea").job
    hide(world)
    shown = world.services.reads.job("default", job.id)
    assert shown is not None
    assert (shown.state, shown.results, shown.erased) == (JobState.SUCCEEDED, (), True)
    (listed,) = world.services.reads.jobs("default", size=9).items
    assert listed.erased


def test_an_add_that_is_repeated_under_its_key_answers_nothing_of_it(world: World) -> None:
    world.say("alice likes green tea", idempotency_key="k")
    hide(world)
    outcome = world.say("alice likes green tea", idempotency_key="k")
    assert outcome.results == ()
    assert outcome.job.erased
    assert world.texts() == []


def test_a_stored_answer_is_not_repeated(world: World) -> None:
    (old,) = world.say("alice likes green tea").results
    requests = world.services.idempotency
    _, began = requests.begin("default", "POST /memories k", "print", limits=None, adds=True)
    assert isinstance(began, IdempotencyRecord)
    requests.finish("default", "POST /memories k", began, 200, f'{{"id": "{old.id}", "memory": "green tea"}}')
    hide(world)
    _, again = requests.begin("default", "POST /memories k", "print", limits=None, adds=True)
    assert isinstance(again, IdempotencyRecord), "the request runs again"


def test_exports_and_samples_leave_it_out(world: World) -> None:
    world.say("alice likes green tea")
    world.say("bob likes green tea", scope=BOB)
    hide(world)
    lines = b"".join(portion.lines for portion in world.services.event_exports.portions("default"))
    assert b"alice likes" not in lines
    assert b"bob likes" in lines
    ledger = HidingOperatorLedger(world.ledger)
    assert [memory.scope for memory in ledger.sample("default", limit=9)] == [BOB]


def test_sweep_takes_its_rows_out_of_the_index_and_indexes_the_others(world: World) -> None:
    world.say("alice likes green tea")
    (other,) = world.say("bob likes green tea", scope=BOB).results
    world.ledger.mark_unindexed(at=world.clock.now())
    hide(world)
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert world.index.keys("default", limit=9) == [(other.id, 1)]
    assert world.ledger.unindexed(before="9999-12-31", limit=9) == []


def test_sweep_does_not_start_its_jobs(new_world: Callable[..., World]) -> None:
    world = new_world(["never asked"])
    world.say("alice likes green tea", infer=True, queued=True)
    hide(world)
    world.clock.advance(600)
    assert world.services.sweep.sweep().requeued == 0


def test_the_state_comes_beside_what_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (old,) = world.say("alice likes green tea").results
    calls: list[str] = []
    for name in ("erasure_state", "erasure_markers", "erasures_beside", "read", "list_memories", "history_portion"):
        monkeypatch.setattr(world.ledger, name, _counted(calls, name, getattr(world.ledger, name)))

    def made(work: Callable[[], object]) -> list[str]:
        calls.clear()
        work()
        return list(calls)

    reads, beside = world.services.reads, ["erasures_beside", "read"]
    assert made(lambda: world.find("green tea")) == ["erasures_beside", *beside], "names, then rows"
    assert made(lambda: world.find("green tea")) == ["erasures_beside", "read"], "the names are known for 30 s"
    assert made(lambda: reads.get("default", old.id)) == ["erasures_beside", "read"]
    assert made(lambda: newest(world.services, {})) == ["erasures_beside", "list_memories"]
    assert made(lambda: world.history(old.id)) == ["erasures_beside", "history_portion"]
    hide(world)
    assert made(lambda: world.find("green tea")) == ["erasures_beside", "read", "erasure_markers"]
    assert made(lambda: world.find("green tea")) == ["erasures_beside", "read"], "a process reads each marker once"


def _counted(calls: list[str], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        return call(*arguments, **named)

    return counted


def test_a_memory_that_is_covered_looks_deleted(world: World) -> None:
    (old,) = world.say("alice likes green tea", metadata={"k": "secret"}).results
    hide(world)
    found: Memory = HidingOperatorLedger(world.ledger).read("default", [old.id])[old.id]
    assert (found.deleted, found.text, found.metadata) == (True, "", {})
