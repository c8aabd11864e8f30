"""The check of stores: each way in which ledger and index can differ, and which differences may be temporary."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.cli.text import printable
from forgetless.domain.erasures import Target
from forgetless.domain.errors import IndexDamagedError
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.ports.index import IndexRow
from forgetless.service.access.hiding_operator_ledger import HidingOperatorLedger
from forgetless.service.jobs.erase import start_erase_job
from forgetless.service.requests import UpdateRequest
from forgetless.service.stores.check import StoreCheck
from forgetless.service.stores.report import AFRESH, REINDEX, RESTORE, StoreReport, Verdict
from forgetless.service.stores.table import lines_of
from tests.unit.service.world import World

ACME = Scope("acme", user_id="alice")


@pytest.fixture
def world(new_world: Callable[..., World]) -> World:
    """Two tenants with memories that are all indexed."""
    world = new_world()
    for n in range(12):
        world.say(f"alice owns boat number {n}")
        world.say(f"acme sells rocket number {n}", scope=ACME)
    return world


def check(world: World, **options: object) -> StoreReport:
    made = StoreCheck(ledger=world.ledger, index=world.index, clock=world.clock, collection="c")
    return made.run(**options)  # type: ignore[arg-type]


def rows(world: World) -> list[IndexRow]:
    return list(world.index._rows)


def put_rows(world: World, found: Sequence[IndexRow]) -> None:
    world.index._rows = list(found)


def findings(report: StoreReport) -> str:
    return " | ".join(f"{one.text} -> {one.remedy}" for one in report.findings)


def test_sound_stores_are_sound_and_the_table_shows_every_tenant(world: World) -> None:
    report = check(world, thorough=True)
    assert report.findings == ()
    assert report.verdict is Verdict.SOUND
    assert [(one.tenant, one.memories, one.indexed, one.pending) for one in report.tenants] == [
        ("acme", 12, 12, 0),
        ("default", 12, 12, 0),
    ]
    assert report.total is not None
    assert (report.total.memories, report.total.indexed) == (24, 24)
    lines = list(lines_of(report))
    assert any(line.startswith("acme") and "12" in line for line in lines)
    assert lines[-1] == "sound"


def test_changed_deleted_and_superseded_memories_are_sound(world: World) -> None:
    ids = [row.memory.id for row in rows(world) if row.memory.scope.tenant == "acme"]
    world.services.changes.update(UpdateRequest("acme", ids[0], text="acme sells a balloon"))
    world.services.changes.delete("acme", ids[1])
    assert check(world).verdict is Verdict.SOUND


@pytest.mark.parametrize("tenant", ["acme", "default"])
def test_an_index_that_lost_one_tenants_rows_is_named_with_the_command(world: World, tenant: str) -> None:
    world.index.drop_all(tenant)
    report = check(world)
    assert report.verdict is Verdict.INDEX
    assert f"0 rows of tenant '{tenant}' for 12 memories" in findings(report)
    assert report.findings[0].remedy == REINDEX


def test_a_few_lost_rows_are_seen_by_count_and_by_sample(world: World) -> None:
    put_rows(world, rows(world)[2:])
    report = check(world)
    assert report.verdict is Verdict.INDEX
    assert "1 of 12 sampled memories of tenant 'acme' are not in the index" in findings(report)
    assert "11 rows of tenant 'default' for 12 memories" in findings(report)


def test_a_lost_row_behind_a_double_is_seen_by_sample(world: World) -> None:
    put_rows(world, [rows(world)[2], *rows(world)[1:]])
    report = check(world)
    assert [one.text.partition(",")[0] for one in report.findings] == [
        "1 of 12 sampled memories of tenant 'default' are not in the index"
    ]


def test_rows_that_the_ledger_does_not_have_are_strays(world: World) -> None:
    unknown = rows(world)[1]
    put_rows(world, [*rows(world), replace(unknown, memory=replace(unknown.memory, id="nobody"))])
    report = check(world)
    assert "1 of 13 sampled rows of tenant 'acme' match no live memory in the ledger, such as nobody version 1" in (
        findings(report)
    )
    assert {one.remedy for one in report.findings} == {AFRESH}


def test_rows_of_another_version_are_strays_and_leave_a_hole(world: World) -> None:
    found = rows(world)
    put_rows(world, [replace(found[0], memory=replace(found[0].memory, version=7)), *found[1:]])
    text = findings(check(world))
    assert "are not in the index" in text
    assert "version 7" in text


def test_rows_of_deleted_memories_are_strays(world: World) -> None:
    world.index.frozen = True
    world.services.changes.delete("acme", rows(world)[1].memory.id)
    assert "match no live memory in the ledger" in findings(check(world))


def test_rows_of_a_tenant_that_the_ledger_does_not_know_are_counted(world: World) -> None:
    stray = rows(world)[1]
    ghosts = [
        replace(stray, memory=replace(stray.memory, id=f"g{n}", scope=Scope("ghost", user_id="x"))) for n in range(3)
    ]
    put_rows(world, [*rows(world), *ghosts])
    assert "3 rows of the index belong to no tenant of the ledger" in findings(check(world))


def test_many_more_rows_than_memories_are_a_finding_and_a_few_doubles_are_not(world: World) -> None:
    put_rows(world, [*rows(world), *rows(world)[:10]])
    assert check(world).verdict is Verdict.SOUND
    put_rows(world, rows(world) * 20)
    assert "for 24 memories" in findings(check(world))


def test_what_waits_for_the_index_is_not_missing(world: World) -> None:
    world.index.available = False
    for n in range(5):
        world.say(f"said while the index was away {n}")
    world.index.available = True
    report = check(world)
    assert report.verdict is Verdict.SOUND
    assert [one.pending for one in report.tenants] == [0, 5]


def test_an_index_that_answers_with_errors_is_to_be_made_afresh(world: World) -> None:
    class Broken(type(world.index)):  # type: ignore[misc]
        def keys(self, tenant: str, *, limit: int, beyond: str = "") -> list[tuple[str, int]]:
            raise IndexDamagedError("Milvus did not complete query (code 2000)")

    world.index.__class__ = Broken
    report = check(world)
    assert (report.verdict, report.index_answers_with_errors) == (Verdict.INDEX, True)
    assert report.findings[0].remedy == AFRESH


@pytest.mark.parametrize(("kind", "said"), [("search_words", "words"), ("search_vector", "meaning")])
def test_an_index_whose_searches_find_nothing_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str, said: str
) -> None:
    monkeypatch.setattr(world.index, kind, lambda *_: ([], True))
    assert f"no search by {said} finds anything of tenant 'acme'" in findings(check(world))


def test_writes_that_happen_while_it_looks_are_no_findings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two of its looks, a memory is added, one is changed and one is deleted."""
    count = world.index.count
    held = world.index.held
    turns = iter(range(1000))

    def write() -> None:
        turn = next(turns)
        world.say(f"said meanwhile {turn}", scope=ACME)
        live = world.ledger.list_memories("acme", {}, limit=3).items
        world.services.changes.update(UpdateRequest("acme", live[0].id, text=f"changed meanwhile {turn}"))
        world.services.changes.delete("acme", live[1].id)

    def counted(tenant: str | None = None) -> int:
        write()
        return count(tenant)

    def looked_up(tenant: str, keys: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        found = held(tenant, keys)
        write()
        return found

    monkeypatch.setattr(world.index, "count", counted)
    monkeypatch.setattr(world.index, "held", looked_up)
    for _ in range(5):
        assert findings(check(world, samples=6)) == ""


def test_a_row_that_is_written_late_is_no_finding(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory is in the ledger before the sample is taken; its row comes after the look for it."""
    late: list[Memory] = []
    held = world.index.held

    def looked_up(tenant: str, keys: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        found = held(tenant, keys)
        if late:
            world.services.sweep.index_pending()
            late.clear()
        return found

    world.index.available = False
    world.say("late", scope=ACME)
    world.index.available = True
    late.extend(world.ledger.list_memories("acme", {}, limit=1).items)
    monkeypatch.setattr(world.index, "held", looked_up)
    assert check(world).verdict is Verdict.SOUND


def test_one_tenant_alone_may_be_compared(world: World) -> None:
    world.index.drop_all("default")
    assert check(world, tenant="acme").verdict is Verdict.SOUND
    assert check(world, tenant="default").verdict is Verdict.INDEX
    assert [one.tenant for one in check(world, tenant="acme").tenants] == ["acme"]


def test_a_ledger_that_is_broken_inside_is_to_be_restored(new_world: Callable[..., World], tmp_path: Path) -> None:
    world = new_world()
    world.say("something")
    world.ledger.close()
    with closing(sqlite3.connect(tmp_path / "0" / "ledger.db", isolation_level=None)) as db:
        db.execute("DELETE FROM events")
    reopened = replace(world, ledger=type(world.ledger)(tmp_path / "0" / "ledger.db"))  # type: ignore[call-arg]
    report = check(reopened, thorough=True)
    reopened.ledger.close()
    assert report.verdict is Verdict.LEDGER
    assert report.findings[0].text == "the ledger is damaged: 1 memories without the event of their version"
    assert report.findings[0].remedy == RESTORE


def test_a_tenant_whose_name_would_move_the_terminal_is_shown_escaped(world: World) -> None:
    world.say("odd", scope=Scope("\x1b[2J\n", user_id="u"))
    shown = "\n".join(map(printable, lines_of(check(world))))
    assert "\x1b" not in shown
    assert r"\x1b[2J\n" in shown


def test_of_many_tenants_some_are_compared_and_the_sum_tells_of_the_others(new_world: Callable[..., World]) -> None:
    world = new_world()
    for n in range(6):
        world.say("words", scope=Scope(f"tenant {n}", user_id="u"))
    made = StoreCheck(ledger=world.ledger, index=world.index, clock=world.clock, collection="c")
    sound = made.beside_each_other(StoreReport("c", ""), samples=5, tenants=2)
    assert (len(sound.tenants), sound.tenants_complete, sound.verdict) == (2, False, Verdict.SOUND)
    assert any("2 of the tenants" in line for line in lines_of(sound))
    for n in range(6):
        world.index.drop_all(f"tenant {n}")
        broken = made.beside_each_other(StoreReport("c", ""), samples=5, tenants=2)
        assert "of all tenants for 6 memories" in findings(broken)


def test_what_an_erasure_hides_is_not_missing_in_the_index_but_all_else_is(world: World) -> None:
    world.say("of bob", scope=Scope("default", user_id="bob"))
    world.ledger.begin_erasure("default", [Target({"user_id": "alice"})], at=world.clock.now())
    put_rows(world, [row for row in rows(world) if row.memory.scope.user_id == "bob" or row.memory.scope == ACME])

    def hidden() -> StoreReport:
        ledger = HidingOperatorLedger(world.ledger)
        return StoreCheck(ledger=ledger, index=world.index, clock=world.clock, collection="c").run()

    assert hidden().findings == ()
    put_rows(world, [row for row in rows(world) if row.memory.scope == ACME])
    assert "the index holds 0 rows of tenant 'default'" in findings(hidden())


def test_rows_that_an_erasure_has_not_removed_yet_are_no_strays_but_all_others_are(world: World) -> None:
    ledger = HidingOperatorLedger(world.ledger)
    made = StoreCheck(ledger=ledger, index=world.index, clock=world.clock, collection="c")
    erasure = world.ledger.begin_erasure("default", [Target({"user_id": "alice"})], at=world.clock.now())
    assert made.run().findings == ()
    rest = rows(world)
    hidden = next(row for row in rest if row.memory.scope.tenant == "default")
    put_rows(world, [replace(hidden, memory=replace(hidden.memory, version=7)), *rest])
    assert "1 of 13 sampled rows of tenant 'default' match no live memory" in findings(made.run())
    start_erase_job(world.services.bulk, erasure, world.ledger.digest_key())
    while world.services.bulk_worker.turn():
        world.clock.advance(1)
    world.clock.advance(600)
    world.services.sweep.index_pending()
    assert made.run().findings == ()
    put_rows(world, rest)
    assert "12 of 12 sampled rows of tenant 'default' match no live memory" in findings(made.run())
