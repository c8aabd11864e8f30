"""Counts, pages and entities while an erasure's rows are still there: totals of what it may touch are not trusted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.api.platform.serialize import entity_item
from forgetless.domain.erasures import Target
from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.filters.scope_ids import all_ids
from forgetless.domain.limits import SCANNED_ROWS
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import Totals
from forgetless.service.access import hiding_ledger, shown_entities
from forgetless.service.access.hiding_ledger import HidingLedger
from forgetless.service.access.limited_ledger import LimitedLedger
from forgetless.service.reading.lists import ReadService
from forgetless.service.requests import Count, PageRequest
from tests.contract.ledger.making import a_memory, add
from tests.fakes.clock import FakeClock
from tests.fakes.counting_ledger import CountingLedger
from tests.unit.service.erasures.test_hiding import AT, BOB, hide
from tests.unit.service.world import ALICE, World, only

ALICES = {"user_id": "alice"}
BOBS = {"user_id": "bob"}


def filled(world: World, *counts: tuple[str, int]) -> None:
    """So many memories of each of these users, the oldest first, all with the agent `bot`."""
    for second, (user, count) in enumerate(counts):
        scope = replace(ALICE, user_id=user, agent_id="bot")
        memories = [a_memory(user, n, scope=scope, second=second) for n in range(count)]
        for begin in range(0, count, 1000):
            world.ledger.append(add(*memories[begin : begin + 1000]))


def test_kept_totals_of_what_a_marker_may_touch_are_not_known(world: World) -> None:
    world.say("alice likes green tea")
    world.say("bob likes green tea", scope=replace(BOB, agent_id="bot"))
    ledger = HidingLedger(world.ledger)
    assert ledger.kept_totals("default", ALICES) == Totals(1, 0)
    hide(world)
    assert ledger.kept_totals("default", ALICES) is None
    assert ledger.kept_totals("default", {}) is None
    assert ledger.kept_totals("default", {"agent_id": "bot"}) is None, "alice may have talked to it, too"
    assert ledger.kept_totals("default", BOBS) == Totals(1, 0)
    world.ledger.begin_erasure("default", [Target()], at=AT)
    assert ledger.kept_totals("default", BOBS) is None


def test_counts_come_from_the_scan_and_are_right(world: World) -> None:
    world.say("alice likes green tea")
    world.say("bob likes green tea", scope=BOB)
    hide(world)
    world.say("alice likes black tea")
    reads = world.services.reads
    assert reads.page(PageRequest("default", all_ids(ALICES), 9)).count == Count(1)
    assert reads.page(PageRequest("default", EVERYTHING, 9)).count == Count(2)


def test_a_page_over_many_hidden_rows_is_bounded_and_its_cursor_leads_on(world: World) -> None:
    filled(world, ("carol", 3), ("alice", SCANNED_ROWS + 1500))
    hide(world)
    counting = CountingLedger(world.ledger)
    ledger: Ledger = counting  # type: ignore[assignment]
    reads = ReadService(ledger=HidingLedger(ledger), clock=FakeClock())
    found: list[str | None] = []
    cursor: str | None = None
    for _ in range(9):
        counting.clear()
        page = reads.page(PageRequest("default", EVERYTHING, 2, number=None, cursor=cursor))
        assert counting.rows["list_memories"] <= SCANNED_ROWS + 1000
        found += [memory.scope.user_id for memory in page.items]
        cursor = page.cursor
        if cursor is None:
            break
        assert not page.count.exact
    assert cursor is None
    assert found == ["carol"] * 3


def test_entities_without_anything_to_show_are_left_out_and_the_others_say_that_totals_may_be_too_high(
    world: World,
) -> None:
    filled(world, ("alice", 3), ("bob", 2))
    hide(world)
    reads = world.services.reads
    listed = {one.id: one for one in reads.entities("default", size=9).items}
    assert {id_: (one.total_memories, one.totals_pending) for id_, one in listed.items()} == {
        "bob": (2, False),
        "bot": (5, True),
    }
    assert entity_item(listed["bot"])["totals_pending"] is True
    assert "totals_pending" not in entity_item(listed["bob"])
    counts = reads.count_entities("default")
    assert (counts.by_kind, counts.exact) == ({"agent": 1, "app": 0, "run": 0, "user": 1}, True)
    assert reads.entity("default", "user", "alice") is None
    assert reads.entity("default", "agent", "bot") == listed["bot"]
    assert reads.entity("default", "user", "bob") == listed["bob"]


@pytest.mark.parametrize(
    ("target", "kinds"),
    [(Target(), {"user", "agent"}), (Target(names=("user_id",)), {"user"})],
    ids=["reset", "any user"],
)
@pytest.mark.parametrize("scan", [1000, 200], ids=["all can be read", "too many to read"])
def test_after_a_reset_entities_without_anything_to_show_are_left_out_however_many(
    world: World, monkeypatch: pytest.MonkeyPatch, target: Target, kinds: set[str], scan: int
) -> None:
    monkeypatch.setattr(shown_entities, "_PAGE", scan // 2)
    monkeypatch.setattr(hiding_ledger, "_SKIPPED", scan // 2)
    monkeypatch.setattr(shown_entities, "_PAGES_NAMED", 2)
    monkeypatch.setattr(shown_entities, "_LOOKS", 20)
    before = [
        a_memory(f"m{n}", scope=replace(ALICE, user_id=f"u{n}", agent_id=f"a{n}"), second=n // 50) for n in range(400)
    ]
    world.ledger.append(add(*before))
    hide(world, target)
    world.clock.advance(365 * 86_400)
    for n in (3, 398):
        world.say("new", scope=replace(ALICE, user_id=f"u{n}", agent_id=f"a{n}"))
    counting = CountingLedger(world.ledger)
    ledger: Ledger = counting  # type: ignore[assignment]
    reads = ReadService(ledger=HidingLedger(ledger), clock=FakeClock())
    listed = reads.entities("default", size=1000).items
    assert counting.calls["list_memories"] <= counting.calls["entities"] * (2 + 20)
    assert {(one.kind, one.id) for one in listed if one.kind in kinds} == {
        (kind, f"{kind[0]}{n}") for kind in kinds for n in (3, 398)
    }
    assert all(one.totals_pending for one in listed)
    counted = reads.count_entities("default")
    assert counted.by_kind["user"] == 2
    assert counted.exact == (scan == 1000 and len(kinds) == 2)


def test_where_more_than_can_be_read_is_from_after_a_reset_entities_are_listed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown_entities, "_PAGE", 5)
    monkeypatch.setattr(shown_entities, "_PAGES_NAMED", 2)
    monkeypatch.setattr(shown_entities, "_LOOKS", 0)
    hide(world, Target())
    for n in range(15):
        world.say("new", scope=replace(ALICE, user_id=f"u{n}"))
    assert len(world.services.reads.entities("default", size=99).items) == 15


def test_the_count_of_a_page_from_before_an_erasure_is_not_repeated(world: World) -> None:
    filled(world, ("alice", 5), ("bob", 5))
    reads = world.services.reads
    first = reads.page(PageRequest("default", EVERYTHING, 2))
    assert first.count == Count(10)
    hide(world)
    second = reads.page(PageRequest("default", EVERYTHING, 2, number=2))
    assert [memory.scope.user_id for memory in second.items] == ["bob", "bob"]
    assert second.count == Count(5, exact=False)


def test_a_limited_key_misses_nothing_behind_hidden_rows(world: World) -> None:
    filled(world, ("alice", 4), ("bob", 4))
    run = replace(ALICE, agent_id="bot", run_id="r1")
    world.ledger.append(add(*(a_memory("run", n, scope=run, second=20 + n) for n in range(3))))
    hide(world, Target({"run_id": "r1"}))
    ledger = LimitedLedger(HidingLedger(world.ledger), only("alice", "bob"))
    for limit in (1, 2, 3, 9):
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = ledger.list_memories("default", {}, limit=limit, cursor=cursor)
            found += [memory.id for memory in page.items]
            cursor = page.cursor
            if cursor is None:
                break
        shown = HidingLedger(world.ledger).list_memories("default", {}, limit=99).items
        assert found == [memory.id for memory in shown]
        assert len(found) == 8
