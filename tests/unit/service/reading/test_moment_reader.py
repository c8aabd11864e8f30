"""What was known of a memory with many versions is found in a few reads, and in none where there is nothing to find."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.filters.ast import EVERYTHING, Compare, Field, Operator
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.moments import Moment, known
from forgetless.domain.times import later
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.reading import as_of
from forgetless.service.reading.moment_reader import MomentReader
from forgetless.service.requests import PageRequest
from tests.contract.ledger.making import a_memory, add, at, delete
from tests.fakes.counting_ledger import CountingLedger
from tests.unit.service.world import World

VERSIONS = 200


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[CountingLedger]:
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        yield CountingLedger(ledger)


def changed(ledger: CountingLedger, name: str, versions: int = VERSIONS) -> list[Event]:
    """A memory that was changed every ten seconds."""
    events = add(a_memory(name))
    for number in range(1, versions):
        following = events[-1].memory.next_version(later(at(0), 10 * number), event_id=str(number), text=f"v{number}")
        events.append(Event(EventKind.UPDATE, following))
    ledger.append(events)
    ledger.clear()
    return events


@pytest.mark.parametrize("versions", [2, 3, 7, 8, 9, VERSIONS])
def test_the_version_that_was_known_is_found_among_any_number(ledger: CountingLedger, versions: int) -> None:
    events = changed(ledger, "a", versions)
    reader, current = MomentReader(cast("RequestLedger", ledger)), events[-1].memory
    for second in range(-5, 10 * versions, 5):
        moment = Moment(known_at=later(at(0), second))
        ledger.clear()
        expected = known(events, moment)
        assert reader.then([current], moment) == ({} if expected is None else {current.id: expected})
        assert ledger.calls["versions"] <= versions.bit_length()
        assert sum(ledger.calls.values()) == ledger.calls["versions"]


def test_the_version_that_the_index_names_takes_two_reads(ledger: CountingLedger) -> None:
    events = changed(ledger, "a")
    reader, current = MomentReader(cast("RequestLedger", ledger)), events[-1].memory
    for version in range(1, VERSIONS):
        moment = Moment(known_at=events[version - 1].memory.updated_at)
        ledger.clear()
        assert reader.then([current], moment, {current.id: version})[current.id].version == version
        assert ledger.calls["versions"] <= 2
        for wrong in (0, 1, 7, VERSIONS - 1, VERSIONS, VERSIONS + 1):
            assert reader.then([current], moment, {current.id: wrong})[current.id].version == version


def test_many_memories_are_read_together(ledger: CountingLedger) -> None:
    current = [changed(ledger, f"m{number}")[-1].memory for number in range(20)]
    then = MomentReader(cast("RequestLedger", ledger)).then(current, Moment(known_at=later(at(0), 1003)))
    assert {memory.text for memory in then.values()} == {"v100"}
    assert (len(then), ledger.calls["versions"] <= VERSIONS.bit_length()) == (20, True)


def test_what_was_not_known_yet_is_not_read_at_all(ledger: CountingLedger) -> None:
    current = changed(ledger, "a")[-1].memory
    assert MomentReader(cast("RequestLedger", ledger)).then([current], Moment(known_at=later(at(0), -1))) == {}
    assert not ledger.calls


def test_what_is_deleted_meanwhile_is_gone(ledger: CountingLedger) -> None:
    current = changed(ledger, "a", 9)[-1].memory
    ledger.append([delete(current, 200)])
    assert MomentReader(cast("RequestLedger", ledger)).then([current], Moment(known_at=at(1))) == {}


def test_a_page_of_the_past_ends_early_when_it_looks_for_versions_of_much_that_is_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_of, "MOST_LISTED", 40)
    monkeypatch.setattr(as_of, "_PORTION", 10)
    memories: list[Memory] = []
    for number in range(12):
        (one,) = world.say(f"short {number}").results
        memory = world.ledger.read("default", [one.id])[one.id]
        after = memory.next_version(later(memory.updated_at, 1000), event_id="e", text="long " * 2000)
        world.ledger.append([Event(EventKind.UPDATE, after)])
        memories.append(after)
    moment = Moment(known_at=later(world.clock.now(), 900))
    never = PageRequest("default", Compare(Field("n", metadata=True), Operator.EQ, 1), 100)
    page = world.services.as_of.page(never, moment)
    assert (page.items, page.cursor is not None) == ((), True)
    shown: list[str] = []
    request = PageRequest("default", EVERYTHING, 100)
    for _ in range(12):
        page = world.services.as_of.page(request, moment)
        shown += [memory.text for memory in page.items]
        if page.cursor is None:
            break
        request = PageRequest("default", EVERYTHING, 100, cursor=page.cursor)
    assert shown == [f"short {number}" for number in reversed(range(12))]
