"""Long adds when something goes wrong: no finished call is made twice, and an LLM that reads less is asked less."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import DeadlineError, LlmContextError, LlmReplyError, LlmUnavailableError
from forgetless.domain.jobs import LLM_CALLS, JobState
from forgetless.domain.limits import JOB_S
from forgetless.domain.llm_context import LEAST_CONTEXT, LlmContext
from forgetless.domain.usage import UsageKind
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_usage import note_tokens
from forgetless.service.jobs.ingest import JobHeldError
from forgetless.service.writing.extraction_calls import KnownContext
from tests.fakes.mortal_ledger import KilledError, MortalLedger
from tests.unit.service.world import ALICE, World, make_world
from tests.unit.service.writing.long_adds import (
    FILL,
    FOUND,
    SAID,
    NewWorld,
    Reader,
    add,
    ingest,
    job_of,
    small,
    stored,
)


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def world(new_world: NewWorld, reader: Reader) -> World:
    return small(new_world(reader))


# An LLM that reads less than the setting says


def refusing(above: int) -> Callable[[dict[str, Any]], None]:
    def refuse(data: dict[str, Any]) -> None:
        if len(json.dumps(data)) > above:
            raise LlmContextError("context_length_exceeded", status=400)

    return refuse


def test_less_is_asked_for_until_the_llm_takes_it_and_that_is_remembered(world: World, reader: Reader) -> None:
    small(world, 65_536)
    texts = [f"Fact {number}.{FILL}" for number in range(40)]
    reader.failing = refusing(9_000)
    with pytest.raises(DeadlineError) as caught:
        add(world, texts, queued=False)
    assert world.llm is not None
    assert (len(world.llm.calls), reader.asked) == (1, []), "who waits is told as soon as one call is not enough"
    done = ingest(world, caught.value.event_id)
    assert len(done.results) == 40
    assert len(world.llm.calls) == 1 + len(reader.asked), "what was refused once is not tried again"
    assert LEAST_CONTEXT < known(world) < 65_536
    before = len(world.llm.calls)
    ingest(world, add(world, texts, scope=replace(ALICE, user_id="bob")).job.id)
    assert len(world.llm.calls) - before == len(reader.asked) / 2


def known(world: World, tenant: str = "default") -> int:
    """How many tokens the process believes that the LLM reads of this tenant's texts."""
    return world.services._llm_context.of(tenant).tokens


def test_what_one_tenants_text_was_refused_for_changes_no_adds_of_others_and_is_tried_again_after_an_hour(
    world: World, reader: Reader
) -> None:
    small(world, 65_536)
    reader.failing = refusing(9_000)
    ingest(world, add(world, [f"Fact {number}.{FILL}" for number in range(40)]).job.id)
    reader.failing = lambda _data: None
    asked = len(reader.asked)
    other = replace(ALICE, tenant="other")
    texts = [f"Fact {number}.{FILL}" for number in range(80)]
    assert len(add(world, texts, scope=other, queued=False).results) == 80
    assert len(reader.asked) == asked + 1
    assert (known(world) < 65_536, known(world, "other")) == (True, 65_536)
    world.clock.advance(3601)
    assert known(world) == 65_536


@pytest.mark.parametrize("context", [1, 0, -5])
def test_a_job_of_an_import_names_no_context_that_has_no_room(world: World, reader: Reader, context: int) -> None:
    small(world, 65_536)
    accepted = job_of(world, add(world, ["I like tea."]).job.id)
    record = {"done": 0, "left": 1, "context": context, "refused": True, "calls": []}
    forged = replace(accepted, request={**accepted.request, LLM_CALLS: record})
    assert world.ledger.update_job(forged, held=accepted)
    assert len(ingest(world, accepted.id).results) == 1
    assert (known(world), known(world, "other")) == (LEAST_CONTEXT, 65_536)


def test_the_number_of_tenants_whose_context_is_known_has_a_bound(world: World) -> None:
    contexts = KnownContext(65_536, world.clock)
    for number in range(1_001):
        contexts.found(f"{number}", LlmContext(4096))
    assert [contexts.of(name).tokens for name in ("0", "1", "1000")] == [65_536, 4096, 4096]


def test_a_short_add_is_shown_less_of_what_is_known_and_stays_inline(world: World, reader: Reader) -> None:
    small(world, 65_536)
    world.say(*[f"Alice said this {number}{FILL}" for number in range(12)])
    reader.failing = refusing(2_500)
    assert [one.memory for one in add(world, ["I like tea."], queued=False).results] == ["I like tea"]


def cut_above(chars: int) -> Callable[[dict[str, Any]], None]:
    def cut(data: dict[str, Any]) -> None:
        if len(json.dumps(data["new_messages"])) > chars:
            raise LlmReplyError("cut off", cut_off=True)

    return cut


def test_a_reply_that_has_no_room_for_the_facts_is_asked_about_less(world: World, reader: Reader) -> None:
    small(world, 65_536)
    texts = [f"Fact {number}.{FILL}" for number in range(40)]
    reader.failing = cut_above(12_000)
    done = ingest(world, add(world, texts).job.id)
    assert (done.state, len(done.results), len(reader.asked)) == (JobState.SUCCEEDED, 40, 3)
    assert known(world) == 65_536, "what one talk needed room for says nothing about others"


def test_an_llm_that_reads_too_slowly_is_asked_about_less_in_the_next_run(world: World, reader: Reader) -> None:
    small(world, 65_536)
    texts = [f"Fact {number}.{FILL}" for number in range(100)]

    def read_slowly(data: dict[str, Any]) -> None:
        note_tokens(100)
        if len(data["new_messages"]) > 30:
            world.clock.advance(JOB_S)
            raise TimeoutError

    reader.failing = read_slowly
    id_ = add(world, texts).job.id
    for _ in range(4):
        job = ingest(small(world, 65_536), id_)
        world.clock.advance(600)
    assert (job.state, len(job.results), len(reader.asked)) == (JobState.SUCCEEDED, 100, 5)
    assert world.llm is not None
    assert len(world.llm.calls) == 2 + 5
    day = world.clock.now()[:7]
    used = world.ledger.usage_of("default", "", first=f"{day}-01", last=f"{day}-31")
    assert sum(row.counts[UsageKind.LLM_TOKENS] for row in used) == 700, "each call once, also those given up"


def test_an_llm_that_hangs_fails_the_add_in_the_end(world: World, reader: Reader) -> None:
    small(world, 65_536)
    llm_state = world.services.ingest._llm_state
    id_ = add(world, [f"Fact {number}.{FILL}" for number in range(100)]).job.id

    def hang(_data: dict[str, Any]) -> None:
        world.clock.advance(JOB_S)
        raise TimeoutError

    reader.failing = hang
    for _ in range(12):
        job = ingest(world, id_)
        world.clock.advance(600)
        llm_state.worked()  # for others
    assert job.state is JobState.FAILED


def test_a_reply_about_little_that_is_cut_off_costs_no_second_call(world: World, reader: Reader) -> None:
    small(world, 65_536)
    reader.failing = cut_above(0)
    with pytest.raises(LlmReplyError, match="cut off"):
        add(world, ["I like tea."], queued=False)
    assert world.llm is not None
    assert len(world.llm.calls) == 1
    assert ingest(world, add(world, [f"Fact {n}.{FILL}" for n in range(40)]).job.id).state is JobState.FAILED
    assert len(world.llm.calls) < 6


def test_an_llm_that_refuses_even_the_least_fails_the_add_with_the_reason(world: World, reader: Reader) -> None:
    small(world, 65_536)
    reader.failing = refusing(0)
    id_ = add(world).job.id
    done = ingest(world, id_)
    assert done.state is JobState.FAILED
    assert f"even the smallest portions, of {LEAST_CONTEXT} tokens" in str(done.error)
    assert world.llm is not None
    assert len(world.llm.calls) <= 6


# What happens in between


def test_a_run_that_has_no_time_for_another_call_lets_the_next_one_make_it(world: World, reader: Reader) -> None:
    id_ = add(world).job.id
    reader.failing = lambda _data: world.clock.advance(30)
    with pytest.raises(JobHeldError) as held:
        world.services.ingest.run("default", id_, seconds=JOB_S)
    job = job_of(world, id_)
    assert (held.value.goes_on, job.state, job.attempts, job.error, job.llm_calls) == (
        True,
        JobState.PENDING,
        0,
        None,
        (2, 3),
    )
    ingest(world, id_)
    assert len(reader.asked) == 3
    assert [memory.text for memory in stored(world)] == FOUND


def test_a_failing_llm_is_asked_only_for_what_is_left(world: World, reader: Reader) -> None:
    id_ = add(world).job.id

    def fail(data: dict[str, Any]) -> None:
        if "Hue" in data["new_messages"][0]["text"]:
            raise LlmUnavailableError("503")

    reader.failing = fail
    job = ingest(world, id_)
    assert (job.state, job.attempts, job.llm_calls) == (JobState.PENDING, 0, (1, 3))
    reader.failing = lambda _data: None
    world.clock.advance(600)
    ingest(small(world), id_)
    assert reader.heard() == ["My passport is", "I live in Hue.", "I like tea. an"]


def test_a_failed_add_that_is_started_again_repeats_no_finished_call(world: World, reader: Reader) -> None:
    def refuse(data: dict[str, Any]) -> None:
        if "tea" in data["new_messages"][0]["text"]:
            raise LlmContextError("too long", status=400)

    for again in ("retry", "repeat"):
        scope = replace(ALICE, user_id=again)
        reader.failing, reader.asked = refuse, []
        id_ = add(world, scope=scope, idempotency_key=again).job.id
        assert ingest(world, id_).state is JobState.FAILED
        reader.failing = lambda _data: None
        if again == "retry":
            world.services.failed_adds.retry("default", id_)
        else:
            add(world, scope=scope, idempotency_key=again)
        ingest(world, id_)
        assert len(reader.asked) == 3
        assert [memory.text for memory in stored(world, scope)] == FOUND


def test_an_erasure_in_the_middle_leaves_nothing(world: World, reader: Reader, tmp_path: Path) -> None:
    id_ = add(world).job.id

    def erase(data: dict[str, Any]) -> None:
        if "tea" in data["new_messages"][0]["text"]:
            assert "X-4711" in json.dumps(dict(world.ledger.job("default", id_).request))  # type: ignore[union-attr]
            world.services.changes.delete_scope("default", {"user_id": "alice"})

    reader.failing = erase
    job = ingest(world, id_)
    assert (job.state, job.erased, dict(job.request)) == (JobState.SUCCEEDED, True, {})
    assert stored(world) == []
    world.ledger.scrub_erased()
    world.ledger.close()
    for path in tmp_path.rglob("ledger.db*"):
        for word in (b"X-4711", b"passport", b"Hue"):
            assert word not in path.read_bytes(), path


def test_calls_that_were_shown_something_deleted_are_made_again(world: World, reader: Reader) -> None:
    [first] = world.say(f"My passport is X-4711.{FILL[:50]}").results
    [second] = world.say("I like coffee").results
    id_ = add(world, [*SAID, f"I like coffee.{FILL}"]).job.id
    deleted: list[str] = []

    def delete(data: dict[str, Any]) -> None:
        if "coffee" in data["new_messages"][0]["text"] and not deleted:
            # Only what the calls after the first were shown.
            deleted.append(second.id)
            world.services.changes.delete("default", second.id)

    reader.failing = delete
    ingest(world, id_)
    assert first.id != second.id
    assert "coffee" not in json.dumps(reader.asked[-4:-1])
    assert [memory.text for memory in stored(world) if memory.extracted] == [*FOUND, "I like coffee"]


def test_what_a_job_keeps_in_another_form_is_read_again(world: World, reader: Reader) -> None:
    for kept in ({}, {"calls": 3, "context": None}, {"calls": [{"facts": [["x"]]}], "context": None}, [1], "text"):
        reader.asked = []
        job = add(world).job
        held = world.ledger.job("default", job.id)
        assert held is not None
        assert world.ledger.update_job(replace(held, request={**held.request, LLM_CALLS: kept}), held=held)
        assert ingest(world, job.id).state is JobState.SUCCEEDED
        assert len(reader.asked) == 3


def killed(folder: Path, reader: Reader, deadly: int, *, after: bool) -> tuple[World, bool]:
    """A world in which the process dies at a call of the ledger, and another one does what is left."""
    folder.mkdir()
    mortal = MortalLedger(SqliteLedger(folder / "ledger.db"))
    world = small(make_world(folder, reader, ledger=cast("Ledger", mortal)))
    id_ = add(world).job.id
    mortal.calls, mortal.deadly, mortal.after = 0, deadly, after
    try:
        ingest(world, id_)
        died = False
    except KilledError:
        died = True
    mortal.deadly = None
    world.clock.advance(600)
    ingest(small(world), id_)
    return world, died


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_that_dies_at_any_call_of_the_ledger_repeats_only_the_call_in_flight(
    tmp_path: Path, after: bool
) -> None:
    expected: list[tuple[str, str]] | None = None
    for deadly in range(99):
        reader = Reader()
        world, died = killed(tmp_path / str(deadly), reader, deadly, after=after)
        heard = reader.heard()
        assert len(heard) - len(set(heard)) <= 1, f"a finished call was made twice: {heard}"
        found = [(memory.text, str(memory.position)) for memory in stored(world)]
        expected = expected or found
        assert found == expected
        world.ledger.close()
        if not died:
            assert deadly > 8
            return
    raise AssertionError("it always dies")
