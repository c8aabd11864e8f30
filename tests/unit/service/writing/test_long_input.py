"""Adds whose messages are longer than one call of the LLM: all is read, no finished call is made twice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.queue_none import NoQueue
from forgetless.api.platform.serialize import event_item
from forgetless.domain.errors import DeadlineError, LlmContextError, LlmReplyError, LlmUnavailableError
from forgetless.domain.jobs import LLM_CALLS, Job, JobState
from forgetless.domain.limits import JOB_S
from forgetless.domain.llm_context import LEAST_CONTEXT
from forgetless.domain.memory import EventKind, Memory
from forgetless.domain.scope import Scope
from forgetless.domain.usage import UsageKind
from forgetless.domain.webhook_deliveries import DELIVERY
from forgetless.ports.ledger import Ledger
from forgetless.ports.llm import ChatMessage
from forgetless.ports.request_usage import note_tokens
from forgetless.service.jobs.ingest import JobHeldError
from forgetless.service.requests import AddOutcome, AddRequest, IncomingMessage
from forgetless.service.services import Services
from tests.fakes.mortal_ledger import KilledError, MortalLedger
from tests.unit.service.world import ALICE, World, facts, make_world, newest

NewWorld = Callable[..., World]

#: A message that is nearly as long as a call, so each has a call of its own; and the facts that the fake LLM finds.
FILL = " and so on" * 40
SAID = (f"My passport is X-4711.{FILL}", f"I live in Hue.{FILL}", f"I like tea.{FILL}")
FOUND = ["My passport is X-4711", "I live in Hue", "I like tea"]
_SENTENCES = re.compile(r"(My passport is X-4711|I live in \w+|I like \w+|Fact \d+)\.")


class Reader:
    """An LLM that finds each sentence it knows, with the message that says it; `asked` has what it was shown."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.failing: Callable[[dict[str, Any]], None] = lambda _data: None
        #: Facts that it supersedes by another, both by their texts.
        self.supersedes: dict[str, str] = {}

    def __call__(self, messages: Sequence[ChatMessage]) -> str:
        data = json.loads(messages[1].content.removeprefix("<data>").removesuffix("</data>"))
        self.failing(data)
        self.asked.append(data)
        known = {memory["text"]: memory["number"] for memory in data["existing_memories"]}
        entries: list[dict[str, object] | str] = []
        for message in data["new_messages"]:
            for text in _SENTENCES.findall(message["text"]):
                old = known.get(self.supersedes.get(text, ""))
                more = {"supersedes": [] if old is None else [old], "attributed_to": "user"}
                entries.append({"text": text, "sources": [message["number"]], **more})
        return facts(*entries)

    def heard(self) -> list[str]:
        """The first words of the new messages of each call."""
        return [" | ".join(message["text"][:14] for message in data["new_messages"]) for data in self.asked]


def small(world: World, tokens: int = LEAST_CONTEXT, **ports: Any) -> World:
    """The world with an LLM that reads little at once, as if its process had just started."""
    world.services = Services(replace(world.services._ports, llm=world.llm, **ports), llm_context_tokens=tokens)
    return world


def add(world: World, texts: Iterable[str] = SAID, scope: Scope = ALICE, **more: Any) -> AddOutcome:
    world.clock.advance(1)
    said = tuple(IncomingMessage("user", text) for text in texts)
    return world.services.add.add(AddRequest(scope, said, **{"queued": True, **more}))


def job_of(world: World, id_: str) -> Job:
    found = world.services.reads.job("default", id_)
    assert found is not None
    return found


def ingest(world: World, id_: str) -> Job:
    """Run the job as often as it asks for."""
    for _ in range(99):
        try:
            world.services.ingest.run("default", id_, seconds=JOB_S)
        except JobHeldError as held:
            if held.goes_on:
                continue
        break
    return job_of(world, id_)


def stored(world: World, scope: Scope = ALICE) -> list[Memory]:
    """All memories in the order of their places, superseded ones too."""
    found = newest(world.services, scope.ids(), superseded=True)
    return sorted(found, key=lambda memory: memory.position)


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def world(new_world: NewWorld, reader: Reader) -> World:
    return small(new_world(reader))


# What is read


def test_every_message_is_read_and_all_facts_stand_in_one_append(world: World, reader: Reader) -> None:
    outcome = add(world)
    assert (outcome.job.state, reader.asked) == (JobState.PENDING, [])
    done = ingest(world, outcome.job.id)
    assert reader.heard() == ["My passport is", "I live in Hue.", "I like tea. an"]
    memories = stored(world)
    assert [memory.text for memory in memories] == FOUND
    assert [[ref.position for ref in memory.sources] for memory in memories] == [[0], [1], [2]]
    assert done.state is JobState.SUCCEEDED
    assert [result["id"] for result in done.results] == [memory.id for memory in memories]
    assert (dict(done.request), done.llm_calls, done.attempts) == ({}, None, 1)


def test_a_later_call_is_shown_what_was_said_and_found_before(world: World, reader: Reader) -> None:
    world.say("My name is Alice")
    ingest(world, add(world).job.id)
    first, second, third = reader.asked
    assert [message["text"] for message in first["earlier_messages"]] == ["My name is Alice"]
    assert third["earlier_messages"][-1]["text"].startswith("I live in Hue.")
    assert [memory["text"] for memory in second["existing_memories"]][-1:] == FOUND[:1]
    assert [memory["text"] for memory in third["existing_memories"]][-2:] == FOUND[:2]


def test_what_is_shown_of_earlier_facts_is_bounded(world: World, reader: Reader) -> None:
    texts = ["".join(f" Fact {part}{place}." for part in range(1, 30)) + FILL[:80] for place in range(6)]
    done = ingest(world, add(world, texts).job.id)
    assert len(done.results) == 6 * 29
    assert max(len(data["existing_memories"]) for data in reader.asked) <= 50
    assert max(len(json.dumps(data)) for data in reader.asked) < LEAST_CONTEXT * 3


def test_a_fact_that_two_calls_find_is_stored_once(world: World) -> None:
    done = ingest(world, add(world, [*SAID, f"I live in Hue.{FILL}", f"I live in  HUE.{FILL}"]).job.id)
    assert [memory.text for memory in stored(world)] == FOUND
    assert len(done.results) == 3


def test_a_later_call_supersedes_a_fact_of_an_earlier_one(world: World, reader: Reader) -> None:
    reader.supersedes = {"I live in Hanoi": "I live in Hue"}
    ingest(world, add(world, [*SAID, f"I live in Hanoi.{FILL}"]).job.id)
    old, new = (next(one for one in stored(world) if one.text == f"I live in {city}") for city in ("Hue", "Hanoi"))
    assert (old.superseded_by, old.version, new.live) == (new.id, 2, True)
    assert [item.event for item in world.services.reads.history("default", old.id)] == [EventKind.ADD, EventKind.UPDATE]
    assert "I live in Hue" not in world.texts()
    assert {hit.memory.id for hit in world.find("live")} == {one.id for one in stored(world) if one.live}
    world.clock.advance(600)
    world.services.sweep.sweep()
    assert world.ledger.unindexed(before="9999", limit=9) == []


def test_a_later_call_supersedes_a_memory_that_an_earlier_process_was_not_shown(world: World, reader: Reader) -> None:
    [old] = [result.id for result in world.say("I live in Hue").results]
    reader.supersedes = {"I like tea": "I live in Hue"}
    id_ = add(world, [SAID[0], SAID[2], f"I like pho.{FILL}"]).job.id

    def dies(data: dict[str, Any]) -> None:
        if "pho" in data["new_messages"][0]["text"]:
            raise KilledError

    reader.failing = dies
    with pytest.raises(KilledError):
        ingest(world, id_)
    reader.failing = lambda _data: None
    world.clock.advance(600)
    ingest(small(world), id_)
    superseded = world.ledger.read("default", [old])[old]
    assert superseded.superseded_by == next(one.id for one in stored(world) if one.text == "I like tea")


def test_one_message_that_is_too_long_is_divided_and_stays_the_source(world: World, reader: Reader) -> None:
    long = " ".join(f"Fact {number}.{FILL[:60]}" for number in range(40))
    ingest(world, add(world, ["I like tea.", long, "I live in Hue."]).job.id)
    assert len(reader.asked) > 3
    by_text = {memory.text: [ref.position for ref in memory.sources] for memory in stored(world)}
    assert by_text == {"I like tea": [0], "I live in Hue": [2], **{f"Fact {number}": [1] for number in range(40)}}
    assert all("Fact" in data["earlier_messages"][-1]["text"] for data in reader.asked[2:-1])


def test_instructions_leave_less_room_but_never_none(world: World, reader: Reader) -> None:
    ingest(world, add(world, prompt="Keep only what matters. " * 800).job.id)
    assert len(reader.asked) == 3


def test_a_procedure_is_recorded_call_by_call_as_one_memory(new_world: NewWorld) -> None:
    shown: list[dict[str, Any]] = []

    def record(messages: Sequence[ChatMessage]) -> str:
        shown.append(json.loads(messages[1].content.removeprefix("<data>").removesuffix("</data>")))
        assert ("recorded_so_far" in messages[0].content) == ("recorded_so_far" in shown[-1])
        return f"{len(shown)}. A step."

    world = small(new_world(record))
    bot, said = replace(ALICE, agent_id="bot"), [f"Step {place}.{' of the work' * 400}" for place in range(3)]
    done = ingest(world, add(world, said, scope=bot, memory_type="procedural_memory").job.id)
    assert len(shown) > 3
    assert "recorded_so_far" not in shown[0]
    assert shown[2]["recorded_so_far"] == "1. A step.\n\n2. A step."
    [memory] = stored(world, bot)
    assert memory.text == "\n\n".join(f"{number}. A step." for number in range(1, len(shown) + 1))
    assert [ref.position for ref in memory.sources] == [0, 1, 2]
    assert done.state is JobState.SUCCEEDED


def test_too_many_facts_fail_with_a_reason(world: World) -> None:
    texts = ["".join(f"Fact {number}." for number in range(start, start + 45)) for start in range(1000, 2080, 45)]
    done = ingest(world, add(world, texts).job.id)
    assert done.state is JobState.FAILED
    assert "more than 1000 facts" in str(done.error)


# What its caller and others see


def test_who_waits_is_told_that_it_continues_in_the_background(world: World, reader: Reader) -> None:
    with pytest.raises(DeadlineError, match="too long for one call") as caught:
        add(world, queued=False, idempotency_key="k")
    assert reader.asked == []
    with pytest.raises(DeadlineError):
        add(world, queued=False, idempotency_key="k")
    ingest(world, caught.value.event_id)
    again = add(world, queued=False, idempotency_key="k")
    assert [result.memory for result in again.results] == FOUND
    assert len(reader.asked) == 3


def test_the_event_tells_how_many_calls_are_done(world: World, reader: Reader) -> None:
    id_ = add(world, metadata={"mine": 1}).job.id
    seen = [event_item(job_of(world, id_), {})["metadata"]]
    reader.failing = lambda _data: seen.append(event_item(job_of(world, id_), {})["metadata"])
    ingest(world, id_)
    assert seen == [{"mine": 1, "llm_calls_done": done, "llm_calls": 3} for done in (0, 0, 1, 2)]
    assert event_item(job_of(world, id_), {})["metadata"] == {}


def test_without_a_queue_the_worker_begins_at_once_and_goes_on(world: World, reader: Reader) -> None:
    small(world, queue=NoQueue())
    assert add(world).job.state is JobState.PENDING
    reader.failing = lambda _data: world.clock.advance(JOB_S * 0.7)
    world.services.ingest_worker.turn()
    world.services.ingest_worker.wait(30)
    assert [memory.text for memory in stored(world)] == FOUND
    assert len(reader.asked) == 3


def test_each_calls_tokens_are_counted_once(world: World, reader: Reader) -> None:
    fails = iter([False, True, False, False])

    def bill(_data: dict[str, Any]) -> None:
        note_tokens(100)
        if next(fails):
            raise LlmUnavailableError("429")

    reader.failing = bill
    id_ = add(world).job.id
    ingest(world, id_)
    world.clock.advance(600)
    ingest(world, id_)
    assert len(reader.asked) == 3
    day = world.clock.now()[:10]
    [row] = world.ledger.usage_of("default", "", first=day, last=day)
    assert row.counts[UsageKind.LLM_TOKENS] == 400


def test_webhooks_hear_of_each_memory_once(world: World) -> None:
    world.services.webhooks.create(
        "default", "p", name="n", url="https://example.com", event_types=["memory_add"], is_active=True
    )
    ingest(world, add(world).job.id)
    [delivery] = world.ledger.documents("default", DELIVERY, limit=99)[0]
    assert [version for _, version in delivery.body["events"]] == [1, 1, 1]
    assert len({id_ for id_, _ in delivery.body["events"]}) == 3


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
    known = world.services.add._inference._calls._known.context.tokens  # type: ignore[union-attr]
    assert LEAST_CONTEXT < known < 65_536
    before = len(world.llm.calls)
    ingest(world, add(world, texts, scope=replace(ALICE, user_id="bob")).job.id)
    assert len(world.llm.calls) - before == len(reader.asked) / 2


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
    known = world.services.add._inference._calls._known.context.tokens  # type: ignore[union-attr]
    assert known == 65_536, "what one talk needed room for says nothing about others"


def test_an_llm_that_reads_too_slowly_is_asked_about_less_in_the_next_run(world: World, reader: Reader) -> None:
    small(world, 65_536)
    texts = [f"Fact {number}.{FILL}" for number in range(100)]

    def read_slowly(data: dict[str, Any]) -> None:
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
