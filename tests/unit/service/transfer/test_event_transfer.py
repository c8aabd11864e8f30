"""Export and import between two services, and the index rebuilt from the ledger."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import parse_line
from forgetless.domain.jobs import JobState
from forgetless.domain.limits import RequestLimits
from forgetless.domain.memory import Event
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger as LedgerPort
from forgetless.service.requests import UpdateRequest
from forgetless.service.transfer.event_import import EventImport
from tests.fakes.counting_ledger import CountingLedger
from tests.unit.service.world import ALICE, World, facts, make_world, newest

BOB = Scope("default", user_id="bob", run_id="r")
QUERIES = ("tea in the morning", "where does she live", "bicycle")
WORDS = ("tea", "coffee", "morning", "Lisbon", "Berlin", "lives", "bicycle", "red", "phở")


def exported(world: World, tenant: str = "default") -> bytes:
    return b"".join(portion.lines for portion in world.services.event_exports.portions(tenant))


def importer(world: World) -> EventImport:
    return EventImport(ledger=world.ledger, clock=world.clock)


def take(world: World, lines: bytes, tenant: str = "default") -> Any:
    records = [(number, parse_line(line)) for number, line in enumerate(lines.splitlines(), 1)]
    return importer(world).take(tenant, records)


def shown(world: World) -> dict[str, Any]:
    """The canonical state, and what searches find with their scores."""
    reads = world.services.reads
    return {
        "lists": [
            # The number of an erasure means nothing in another ledger.
            [replace(memory, erasures_before=0) for memory in newest(world.services, ids)]
            for ids in ({}, ALICE.ids(), BOB.ids())
        ],
        "entities": reads.entities("default", size=1000).items,
        "export": exported(world),
        "found": [
            [(hit.memory.id, round(hit.score, 9)) for hit in world.find(query, scope=scope, top_k=5)]
            for query in QUERIES
            for scope in (ALICE, BOB)
        ],
    }


def test_what_is_exported_and_imported_is_exported_again_byte_for_byte(new_world: Callable[..., World]) -> None:
    source, target = new_world(), new_world()
    (first, second) = source.say("I like tea.", "I live in Lisbon \ud800 now.").results
    source.say("Bob rides a bicycle.", scope=BOB, metadata={"z": 1.0, "a": [None, "é"]}, expiration_date="2027-01-01")
    source.services.changes.update(UpdateRequest("default", first.id, text="I like coffee."))
    source.services.changes.delete("default", second.id)
    lines = exported(source)
    report = take(target, lines)
    assert (report.memories, report.events, report.jobs, report.refused) == (3, 5, 2, 0)
    assert exported(target) == lines
    assert b"Lisbon" not in lines
    assert b"history_bytes" not in lines, "an earlier Forgetless refuses fields that it does not know"
    history = target.history(first.id)
    assert history == source.history(first.id)
    assert history[-1].memory.history_bytes == history[0].memory.stored_bytes, "an import counts it anew"


def test_repeating_an_import_changes_nothing_even_what_was_changed_since(new_world: Callable[..., World]) -> None:
    source, target = new_world(), new_world()
    source.say("I like tea.")
    lines = exported(source)
    take(target, lines)
    (memory,) = newest(target.services, {}, limit=9)
    target.services.changes.update(UpdateRequest("default", memory.id, text="I like coffee."))
    after = exported(target)
    assert take(target, lines).refused == 0
    assert exported(target) == after
    # An erasure outlives the import of an older export.
    target.services.changes.delete("default", memory.id)
    assert take(target, lines).refused == 0
    assert target.texts() == []
    assert b"tea" not in exported(target)


def test_histories_that_differ_are_named_and_the_rest_is_taken(new_world: Callable[..., World]) -> None:
    source, target = new_world(), new_world()
    source.say("I like tea.", "I live in Lisbon.")
    take(target, exported(source))
    for world, text in ((source, "here"), (target, "there")):
        changed = newest(world.services, {}, limit=9)[0]
        world.clock.advance(2 if world is source else 5)
        world.services.changes.update(UpdateRequest("default", changed.id, text=text))
    source.services.changes.delete("default", changed.id)
    source.say("I ride a bicycle.")
    report = take(target, exported(source))
    assert report.refused == 1
    assert changed.id in report.problems[0]
    assert "I ride a bicycle." in target.texts()
    assert "there" in target.texts()


def test_a_job_that_was_not_done_is_done_where_it_arrives(new_world: Callable[..., World]) -> None:
    source, target = new_world([facts("x")]), new_world([facts("She likes tea.")])
    job = source.say("I like tea.", infer=True, queued=True).job
    take(target, exported(source))
    assert target.services.reads.job("default", job.id) == job
    target.services.ingest.run("default", job.id, seconds=30)
    assert target.services.reads.job("default", job.id).state is JobState.SUCCEEDED  # type: ignore[union-attr]
    assert target.texts() == ["She likes tea."]


def test_an_export_of_many_comes_in_portions(new_world: Callable[..., World]) -> None:
    world = new_world()
    for number in range(7):
        world.say(f"memory {number}")
    lines, cursor, portions = b"", None, 0
    while True:
        portion = world.services.event_exports.portion("default", cursor=cursor, limit=2)
        lines, cursor, portions = lines + portion.lines, portion.cursor, portions + 1
        if cursor is None:
            break
    assert lines == exported(world)
    assert portions >= 8
    for cursor in ("", "keys.", "events.nonsense"):
        with pytest.raises(InvalidRequestError, match="cursor"):
            world.services.event_exports.portion("default", cursor=cursor or "nonsense")


def test_memories_of_mem0_s_are_found_after_indexing(world: World) -> None:
    records: Sequence[Any] = [
        {"id": "7f0c1d5e-1111-4222-8333-944445555666", "memory": "Alice likes tea", "user_id": "alice"},
        {"id": 17, "payload": {"data": "Alice lives in Lisbon", "user_id": "alice", "topic": "home"}},
        {"id": 18, "payload": {"data": "nobody's"}},
        "nonsense",
    ]
    report = importer(world).take("default", enumerate(records, 1))
    assert (report.memories, report.refused) == (2, 2)
    assert [problem.split(":")[0] for problem in report.problems] == ["line 3", "line 4"]
    assert world.services.sweep.index_pending("default") == 2
    assert world.find("tea")[0].memory.text == "Alice likes tea"
    assert importer(world).take("default", enumerate(records, 1)).refused == 2
    assert len(world.texts()) == 2


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("say"), texts, st.booleans()),
        st.tuples(st.just("infer"), texts, st.booleans()),
        st.tuples(st.just("update"), texts, st.integers(0, 20)),
        st.tuples(st.just("label"), texts, st.integers(0, 20)),
        st.tuples(st.just("delete"), st.just(""), st.integers(0, 20)),
        st.tuples(st.just("forget"), st.just(""), st.booleans()),
    ),
    min_size=1,
    max_size=10,
)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(operations)
def test_the_index_and_another_ledger_are_rebuilt_as_they_were(done: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        replies: list[str] = []
        source, target = make_world(Path(one), lambda _: replies[-1]), make_world(Path(two))
        for kind, text, number in done:
            _do(source, replies, kind, text, number)
        source.services.sweep.index_pending()  # neighbours of what was deleted lose it as their context
        before = shown(source)
        source.index.drop_all()
        assert all(found == [] for found in shown(source)["found"])
        source.services.sweep.index_all()
        assert shown(source) == before
        assert take(target, before["export"]).refused == 0
        target.clock.set(source.clock.now())
        target.services.sweep.index_pending()
        # The first line says what was erased before the export; that was in the other ledger.
        before["export"] = b'{"format":"forgetless-events","version":1}\n' + before["export"].partition(b"\n")[2]
        assert shown(target) == before
        source.ledger.close()
        target.ledger.close()


def _do(world: World, replies: list[str], kind: str, text: str, number: int) -> None:
    scope = BOB if number % 2 else ALICE
    held = newest(world.services, {}, limit=100)
    changes = world.services.changes
    if kind == "say":
        world.say(text, scope=scope)
    elif kind == "infer":
        known = newest(world.services, scope.ids(), limit=1)
        replies.append(facts({"text": text, "supersedes": [1] if known else []}))
        world.say(f"I said {text}", scope=scope, infer=True)
    elif kind == "forget":
        changes.delete_scope("default", scope.ids())
    elif held:
        memory = held[number % len(held)]
        if kind == "delete":
            changes.delete("default", memory.id)
        else:
            changed = {"text": text} if kind == "update" else {"metadata": {text: number}}
            changes.update(UpdateRequest("default", memory.id, **changed))  # type: ignore[arg-type]


def test_lines_are_plain_json(world: World) -> None:
    world.say("I like phở.")
    records = [json.loads(line) for line in exported(world).splitlines()]
    assert records[0] == {"format": "forgetless-events", "version": 1}
    assert [record["type"] for record in records[1:]] == ["job", "event"]
    assert records[2]["memory"]["text"] == "I like phở."
    assert "phở".encode() in exported(world)


def test_what_earlier_versions_stored_beyond_todays_limits_is_exported_and_imported(
    new_world: Callable[..., World],
) -> None:
    limits = RequestLimits()
    here, there = new_world(), new_world()
    here.say("x" * (limits.message_chars + 1), *[f"{number}" for number in range(limits.messages)])
    lines = [line for portion in here.services.event_exports.portions("default") for line in portion.lines.splitlines()]
    report = importer(there).take("default", enumerate(map(json.loads, lines), 1))
    assert (report.memories, report.jobs, report.problems) == (limits.messages + 1, 1, [])
    assert there.texts() == here.texts()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "x" * 257),
        ("id", "é" * 129),
        ("id", "line\nfeed"),
        ("id", ""),
        ("id", "sha256:abc"),
        ("text", 5),
        ("text", None),
        ("created_at", "yesterday"),
        ("created_at", "2026-01-01"),
        ("updated_at", None),
        ("categories", "tea"),
        ("categories", [1]),
        ("metadata", ["a"]),
        ("expiration_date", "soon"),
        ("position", "first"),
        ("position", 2**63),
        ("deleted", "no"),
        ("context", [["job", "first"]]),
        ("context", [["job", 0]] * 1001),
        ("sources", [["job", 0]] * 1001),
        ("categories", ["a"] * 1001),
        ("categories", ["a" * 1_100_000]),
        ("role", "x" * 20_001),
        ("actor_id", "x" * 20_001),
        ("event_id", "x" * 20_001),
        ("scope", {"user_id": 7}),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_line_that_could_never_be_indexed_is_refused_with_its_number(
    new_world: Callable[..., World], field: str, value: object
) -> None:
    source, target = new_world(), new_world()
    source.say("I like tea.")
    lines = [json.loads(line) for line in exported(source).splitlines()]
    bad = next(number for number, line in enumerate(lines) if line.get("type") == "event")
    lines[bad]["memory"][field] = value
    report = take(target, b"\n".join(json.dumps(line).encode() for line in lines))
    assert (report.memories, report.refused) == (0, 1)
    assert report.problems[0].startswith(f"line {bad + 1}: ")
    assert field in report.problems[0] or "not a line" in report.problems[0]
    target.clock.advance(60)
    assert target.services.sweep.sweep().indexed == 0


def test_an_import_of_many_sources_is_written_in_short_transactions(new_world: Callable[..., World]) -> None:
    source, target = new_world(), new_world()
    source.say(*(f"I like tea {number}." for number in range(20)))
    lines = [json.loads(line) for line in exported(source).splitlines()]
    for line in lines:
        if line.get("type") == "event":
            line["memory"]["context"] = [["job", number] for number in range(900)]
    rows: list[int] = []

    class Ledger(CountingLedger):
        def append(self, events: Sequence[Event], **more: Any) -> None:
            rows.append(sum(1 + len(event.memory.context) for event in events))
            target.ledger.append(events, **more)

    ledger = cast("LedgerPort", Ledger(target.ledger))
    report = EventImport(ledger=ledger, clock=target.clock).take("default", enumerate(lines, 1))
    assert (report.memories, report.refused) == (20, 0)
    assert len(target.texts()) == 20
    assert max(rows) <= 2000


def with_job(world: World, **changes: object) -> bytes:
    """An export whose job has other values in some fields; of a message, with the prefix `said_`."""
    world.say("I like tea.")
    lines = [json.loads(line) for line in exported(world).splitlines()]
    job = next(line for line in lines if line.get("type") == "job")
    for name, value in changes.items():
        place = job["messages"][0] if name.startswith("said_") else job
        place[name.removeprefix("said_")] = value
    return b"\n".join(json.dumps(line).encode() for line in lines)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "\ud800"),
        ("scope", {}),
        ("request", [1]),
        ("request", {"metadata": {"number": float("inf")}}),
        ("results", "abc"),
        ("results", [1]),
        ("results", [{"event": "ADD"}]),
        ("created_at", "x"),
        ("completed_at", "yesterday"),
        ("attempts", "x"),
        ("error", 5),
        ("said_content", 5),
        ("said_created_at", "x"),
        ("said_position", "first"),
    ],
)
def test_a_job_that_could_never_be_shown_is_refused_with_its_number(
    new_world: Callable[..., World], field: str, value: object
) -> None:
    source, target = new_world(), new_world()
    report = take(target, with_job(source, **{field: value}))
    assert (report.jobs, report.refused) == (0, 1)
    assert report.problems[0].startswith("line 2: ")
    assert field.removeprefix("said_") in report.problems[0]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"id": "\ud800"}, "id: "),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "created_at: "),
        ({"metadata": [1]}, "metadata: expected an object"),
        ({"metadata": {"a": float("nan")}}, "memory.metadata: "),
        ({"metadata": json.loads('{"a":' * 150 + "1" + "}" * 150)}, "memory.metadata: "),
    ],
)
def test_an_odd_record_of_mem0_is_refused_and_the_others_are_taken(
    world: World, record: dict[str, object], problem: str
) -> None:
    good = {"id": "7", "memory": "I like tea.", "user_id": "alice"}
    report = importer(world).take("default", [(1, {**good, "id": "8", **record}), (2, good)])
    assert (report.memories, report.refused) == (1, 1)
    assert report.problems[0].startswith(f"line 1: {problem}")


def places_in(record: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Each object of a line with each of its keys, and the name of the place."""
    for key in record:
        yield record, key, key
    for key in record.get("memory", {}):
        yield record["memory"], key, f"memory.{key}"
    for said in record.get("messages", []):
        yield from ((said, key, f"messages[0].{key}") for key in said)


def test_a_bad_line_is_refused_with_its_number_and_the_field(new_world: Callable[..., World]) -> None:
    """Every field is left out, and has every kind of value; a field that nobody knows is added."""
    source, target = new_world(), new_world()
    source.say("I like tea.")
    lines = [json.loads(line) for line in exported(source).splitlines()]
    missing = []
    for number, line in enumerate(lines[1:], 2):
        for holder, key, name in list(places_in(line)):
            value = holder.pop(key)
            report = importer(target).take("default", [(1, lines[0]), (number, line)])
            missing += [name] if report.problems == [f"line {number}: {name}: it is missing"] else []
            assert len(report.problems) == report.refused
            for odd in (None, 1, True, "x", [], {}, [1], [[]], {"x": 1}, 1e400):
                holder[key] = odd
                report = importer(target).take("default", [(1, lines[0]), (number, line)])
                assert not any("Error" in problem for problem in report.problems), (name, odd)
                assert all(problem.startswith(("line ", "memory ")) for problem in report.problems)
            holder[key] = value
        for holder in (line, line.get("memory", line)):
            holder["new"] = 1
            report = importer(target).take("default", [(1, lines[0]), (number, line)])
            assert all("new: this Forgetless knows no such field" in problem for problem in report.problems)
            del holder["new"]
    expected = {"type", "kind", "memory", "memory.id", "memory.text", "memory.scope", "memory.version", "state"}
    assert expected | {"messages", "messages[0].content", "messages[0].position", "created_at"} <= set(missing)


def test_a_line_that_nests_too_deeply_is_no_line() -> None:
    with pytest.raises(InvalidRequestError, match="nests too deeply"):
        parse_line("[" * 100_000 + "]" * 100_000)


def test_an_event_of_version_0_is_refused(new_world: Callable[..., World]) -> None:
    source, target = new_world(), new_world()
    source.say("I like tea.")
    report = take(target, exported(source).replace(b'"version":1,"scope"', b'"version":0,"scope"'))
    assert (report.memories, report.refused) == (0, 1)


def test_an_old_export_does_not_bring_back_the_messages_of_deleted_memories(world: World) -> None:
    (added,) = world.say("The code of the vault is 771.").results
    before = exported(world)
    world.services.changes.delete("default", added.id)
    assert world.ledger.expire_jobs(succeeded_before="2099", failed_before=None, limit=100) == 1
    take(world, before)
    assert b"vault" not in exported(world)
    assert world.ledger.recent_messages(ALICE, since="", before="2099", limit=9) == []
