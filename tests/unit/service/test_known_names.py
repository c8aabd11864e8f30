"""KnownNames: which names a question loses, for whom, at what cost, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.erasures import Target
from forgetless.domain.errors import LedgerError
from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.filters.scope_ids import all_ids
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.limits import TENANT_COPY_S
from forgetless.domain.memory import Message, MessageRef
from forgetless.domain.names import NameSet
from forgetless.domain.said import Said
from forgetless.domain.scope import Scope
from forgetless.service.known_names import KnownNames
from forgetless.service.requests import AddRequest, IncomingMessage
from tests.fakes.counting_ledger import CountingLedger
from tests.unit.service.world import ALICE, World, facts, make_world, only

TALK = ("Anna: hello", "Ben: hi", "Anna: and you?", "Ben: fine")
BOB = Scope("default", user_id="bob")
WITH_AGENT = replace(ALICE, agent_id="helper", run_id="r1")


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[tuple[World, CountingLedger]]:
    ledger = CountingLedger(SqliteLedger(tmp_path / "counted.db"))
    world = make_world(tmp_path, ledger=ledger)  # type: ignore[arg-type]
    yield world, ledger
    world.services.close()


def pin(name: str, *values: str) -> Compare:
    return (
        Compare(Field(name), Operator.IN, values) if len(values) > 1 else Compare(Field(name), Operator.EQ, values[0])
    )


def afresh(world: World, limits: KeyLimits | None = None) -> KnownNames:
    """As another process has them: without copies."""
    world.clock.advance(TENANT_COPY_S + 1)
    return world.services.names if limits is None else world.services.limited_to(limits).names


def known(names: NameSet, *of: str) -> set[str]:
    """Those of these names that are known."""
    return {name for name in of or ("Anna", "Ben", "Cleo", "Dora") if name in names}


def asked(world: World, where: Filter | None = None, limits: KeyLimits | None = None) -> set[str]:
    return known(afresh(world, limits).asked("default", where or all_ids(ALICE.ids())))


def named(world: World, name: str, scope: Scope = ALICE, text: str = "hello") -> None:
    world.services.add.add(AddRequest(scope, (IncomingMessage("user", text, name=name),), infer=False))


def embedded(world: World) -> list[str]:
    """All texts that were embedded, in their order."""
    return [text for texts, _ in world.embedder.calls for text in texts]


def test_the_names_of_a_user_are_those_of_its_messages_and_prefixes(world: World) -> None:
    named(world, "cleo")
    world.say(*TALK, "Milk: two litres")

    assert asked(world) == {"Anna", "Ben", "Cleo"}
    assert "Milk" not in world.services.names.asked("default", all_ids(ALICE.ids()))


def test_prefixes_add_up_over_the_adds_of_a_place(world: World) -> None:
    for text in TALK[:3]:
        world.say(text)
        assert asked(world) == set()
    world.say(TALK[3])

    assert asked(world) == {"Anna", "Ben"}
    said = world.services.names.said([message("Anna: once more"), message("Cleo: hello")])
    assert said == [Said("once more", "Anna", "user"), Said("Cleo: hello", None, "user")]


def test_prefixes_of_two_places_do_not_add_up(world: World) -> None:
    world.say(*TALK[:2], scope=WITH_AGENT)
    world.say(*TALK[2:])

    assert asked(world) == set()


def test_an_add_with_facts_notes_names_too(tmp_path: Path) -> None:
    world = make_world(tmp_path, lambda _messages: facts("Anna said hello"))
    world.say(*TALK, infer=True)

    assert asked(world) == {"Anna", "Ben"}
    world.services.close()


def test_the_facts_of_a_first_add_are_indexed_without_its_names_as_later_ones_are(tmp_path: Path) -> None:
    """Otherwise the first facts about somebody would match the name better than all others."""
    told = iter(("Anna likes plums", "Anna likes pears"))
    world = make_world(tmp_path, lambda _messages: facts(next(told)))
    for word in ("plums", "pears"):
        world.services.add.add(AddRequest(ALICE, (IncomingMessage("user", f"I like {word}", name="anna"),), infer=True))
        assert f"likes {word}" in embedded(world)
    world.services.close()


def test_beside_the_only_known_name_one_word_is_enough(world: World) -> None:
    named(world, "anna", text="I like plums")
    world.embedder.calls.clear()
    world.find("Which job has Anna?")
    named(world, "ben", text="I like pears")
    world.find("Which job has Anna?")
    assert [text for text in embedded(world) if "job" in text] == ["Which job has ?", "Which job has Anna?"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (pin("user_id", "alice"), {"Anna"}),
        (And((pin("user_id", "alice"), pin("agent_id", "helper"))), {"Anna"}),
        (pin("user_id", "alice", "bob"), {"Anna", "Ben"}),
        (Or((pin("user_id", "alice"), pin("user_id", "bob"))), {"Anna", "Ben"}),
        (And((pin("user_id", "alice", "bob"), pin("user_id", "bob"))), {"Ben"}),
        (pin("agent_id", "helper"), {"Cleo"}),
        (pin("run_id", "r1"), {"Dora"}),
        # Not pinned, or not on every branch, or not positively, or too many.
        (Or((pin("user_id", "alice"), pin("agent_id", "helper"))), set()),
        (Not(pin("user_id", "alice")), set()),
        (Compare(Field("user_id"), Operator.EXISTS), set()),
        (Compare(Field("user_id", metadata=True), Operator.EQ, "alice"), set()),
        (And(()), set()),
        (pin("user_id", "alice", *map(str, range(8))), set()),
        (And((pin("agent_id", "helper"), pin("run_id", "r1"))), {"Cleo"}),
        (pin("app_id", "helper"), set()),
    ],
)
def test_only_names_of_what_the_filter_pins_are_used(world: World, where: Filter, found: set[str]) -> None:
    named(world, "Anna", replace(ALICE, agent_id="helper"))
    named(world, "Ben", BOB)
    named(world, "Cleo", Scope("default", agent_id="helper"))
    named(world, "Dora", Scope("default", run_id="r1"))
    named(world, "Eve", Scope("other", user_id="alice"))

    assert asked(world, where) == found


def test_with_too_many_names_the_question_is_embedded_as_asked(world: World) -> None:
    names = [first + second for first in ("Ka", "Lo", "Mi", "Nu", "Pe", "Ra", "So") for second in "bcdfghjl"]
    for name in names[:50]:
        named(world, name)
    assert len(afresh(world).asked("default", all_ids(ALICE.ids()))) == 50
    named(world, names[50])
    assert len(afresh(world).asked("default", all_ids(ALICE.ids()))) == 0


def test_a_limited_key_uses_only_what_it_may_read(world: World) -> None:
    named(world, "Anna", WITH_AGENT)
    named(world, "Ben", replace(ALICE, agent_id="other"))
    named(world, "Cleo")
    named(world, "Dora", BOB)
    both = pin("user_id", "alice", "bob")

    assert asked(world, both, only("alice")) == {"Anna", "Ben", "Cleo"}
    assert asked(world, both, KeyLimits(("alice",), ("helper",))) == {"Anna", "Cleo"}
    assert asked(world, both, KeyLimits(("alice",))) == {"Cleo"}
    # Which agents there are is not known, so no name is used.
    assert asked(world, both, KeyLimits(("alice",), ("*",))) == set()
    assert asked(world, both, KeyLimits(("alice",), tuple(map(str, range(20))))) == set()
    assert asked(world, pin("agent_id", "helper"), only("alice")) == set()


def test_what_one_agent_heard_changes_nothing_for_the_key_of_another(world: World) -> None:
    """Not even the bounds of a record are shared."""
    key = KeyLimits(("alice",), ("helper",))
    named(world, "Anna", replace(ALICE, agent_id="helper"))
    before = afresh(world, key).asked("default", all_ids(ALICE.ids()))
    for number in range(70):
        named(world, f"Cleo {chr(97 + number % 26)}{chr(97 + number // 26)}", replace(ALICE, agent_id="other"))
    named(world, "Ben", replace(ALICE, agent_id="helper", run_id="r2"))

    assert asked(world) == set()
    after = afresh(world, key).asked("default", all_ids(ALICE.ids()))
    assert (known(before), known(after)) == ({"Anna"}, {"Anna", "Ben"})


def test_a_search_reads_the_ledger_once_and_with_a_copy_never(counting: tuple[World, CountingLedger]) -> None:
    world, ledger = counting
    world.say(*TALK)
    names, where = afresh(world), all_ids(ALICE.ids())
    ledger.clear()
    names.asked("default", where)
    assert ledger.calls == {"known_names": 1, "erasures_beside": 1, "digest_key": 1}
    names.asked("default", where)
    world.clock.advance(TENANT_COPY_S - 1)
    names.asked("default", where)
    assert ledger.calls["known_names"] == 1
    world.clock.advance(2)
    names.asked("default", where)
    assert ledger.calls["known_names"] == 2
    names.asked("default", And(()))
    assert ledger.calls["known_names"] == 2


def test_a_whole_search_makes_one_read_more_for_the_names_and_with_a_copy_none(
    counting: tuple[World, CountingLedger],
) -> None:
    world, ledger = counting
    world.say(*TALK)
    afresh(world)
    for reads in (1, 0):
        ledger.clear()
        world.embedder.calls.clear()
        assert world.find("Has Anna bought apples and pears?")
        assert (ledger.calls["known_names"], ledger.calls["read"]) == (reads, 1)
        assert "Has bought apples and pears?" in str(world.embedder.calls)


def test_only_what_is_new_is_written(counting: tuple[World, CountingLedger]) -> None:
    world, ledger = counting
    world.say("no names: none at all")
    assert ledger.calls["known_names"] == ledger.calls["note_names"] == 0
    world.say(*TALK)
    assert (ledger.calls["known_names"], ledger.calls["note_names"]) == (1, 1)
    ledger.clear()
    for number in range(5):
        world.say(f"Anna: number {number}")
    assert (ledger.calls["known_names"], ledger.calls["note_names"]) == (1, 0)


def test_messages_of_many_scopes_are_one_read(counting: tuple[World, CountingLedger]) -> None:
    world, ledger = counting
    many = [replace(message("hello", name="Anna"), scope=Scope("default", user_id=f"u{one}")) for one in range(30)]
    world.services.names.note(many)
    assert (ledger.calls["known_names"], ledger.calls["note_names"]) == (1, 30)
    ledger.clear()
    afresh(world).note(many)
    assert (ledger.calls["known_names"], ledger.calls["note_names"]) == (1, 0)


def test_a_name_that_cannot_be_noted_does_not_fail_the_add(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LedgerError("it is out")

    with monkeypatch.context() as patched:
        patched.setattr(type(world.ledger), "note_names", fail)
        world.say(*TALK)
    assert len(world.texts()) == 4
    assert asked(world) == set()
    world.say(*TALK)
    assert asked(world) == {"Anna", "Ben"}


def test_names_that_an_earlier_version_or_an_import_stored_are_noted_when_they_are_indexed(world: World) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(KnownNames, "note", lambda *_: None)
        world.say(*TALK)
        named(world, "Cleo")
    assert asked(world) == set()
    world.ledger.mark_unindexed("default", at=world.clock.now())
    world.clock.advance(300)
    world.services.sweep.sweep()

    assert asked(world) == {"Anna", "Ben", "Cleo"}


@pytest.mark.parametrize("wait", [False, True])
def test_an_erased_name_is_used_no_more(world: World, *, wait: bool) -> None:
    """It is so while the marker hides it, after its row is gone, and although this process has a copy."""
    named(world, "Anna", WITH_AGENT)
    named(world, "Ben")
    where = all_ids(ALICE.ids())
    names = afresh(world)
    assert known(names.asked("default", where)) == {"Anna", "Ben"}
    if wait:
        world.ledger.begin_erasure("default", [Target({"run_id": "r1"})], at=world.clock.now())
        names = afresh(world)
    else:
        world.services.changes.delete_scope("default", {"run_id": "r1"})
    assert known(names.asked("default", where)) == {"Ben"}
    world.services.changes.reset("default")
    assert known(names.asked("default", where)) == set()
    if not wait:
        entries = world.ledger._connections.read(lambda db: db.execute("SELECT * FROM names").fetchall())  # type: ignore[attr-defined]
        assert entries == []


def test_a_late_writer_does_not_bring_an_erased_name_back(world: World) -> None:
    world.services.changes.delete_scope("default", {"user_id": "alice"})
    world.services.names.note([message("hello", name="Anna")])
    assert asked(world) == set()
    world.services.names.note([message("hello", name="Anna", erasures_before=1)])
    assert asked(world) == {"Anna"}


def test_the_deletion_of_one_memory_leaves_no_name_in_clear(world: World) -> None:
    named(world, "Zebulonia")
    world.services.changes.delete("default", next(iter(world.find("hello"))).memory.id)

    rows = world.ledger._connections.read(lambda db: db.execute("SELECT * FROM names").fetchall())  # type: ignore[attr-defined]
    assert rows
    assert "zebulonia" not in str(rows).lower()
    assert "alice" not in str(rows)


def message(text: str, *, name: str | None = None, erasures_before: int = 0) -> Message:
    ref = MessageRef("00000000-0000-0000-0000-000000000000", 0)
    return Message(ref, ALICE, "user", text, "2026-01-01T00:00:00Z", name, erasures_before)
