"""The contract of list_events, and of appending what another ledger wrote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.domain.errors import DuplicateTextError, InvalidRequestError, VersionConflictError
from forgetless.domain.memory import Event
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import a_memory, add, delete, ids, update


def everything(ledger: Ledger, tenant: str = "acme", *, limit: int = 3) -> list[Event]:
    found: list[Event] = []
    cursor = None
    while True:
        page = ledger.list_events(tenant, limit=limit, cursor=cursor)
        assert len({event.memory.id for event in page.items}) <= limit
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


def test_whole_histories_come_oldest_memory_first(ledger: Ledger) -> None:
    late, early = a_memory("late", second=9), a_memory("early", second=1)
    tied = [a_memory("tied", position, second=5) for position in (1, 0)]
    ledger.append(add(late, early, *tied))
    changed = update(early, 20, text="changed")
    ledger.append([changed])
    gone, superseded = delete(tied[0], 21), update(late, 22, superseded_by=early.id)
    ledger.append([gone, superseded])
    found = everything(ledger)
    expected = [early, changed.memory, tied[1], tied[0], gone.memory, late, superseded.memory]
    assert [(event.memory.id, event.memory.version) for event in found] == [(one.id, one.version) for one in expected]
    assert found[:2] == [*add(early), changed]
    # What was deleted is there without its words.
    assert [event.memory.text for event in found[3:5]] == ["", ""]


@pytest.mark.parametrize("limit", [1, 2, 7, 50])
def test_pages_lose_and_repeat_nothing(ledger: Ledger, limit: int) -> None:
    memories = [a_memory("a", position, second=position // 4) for position in range(20)]
    ledger.append(add(*memories))
    ledger.append([delete(memory, 90) for memory in memories[::3]])
    found = [event.memory.id for event in everything(ledger, limit=limit) if event.memory.version == 1]
    assert found == ids(memories)


def test_other_tenants_and_nobody_have_nothing(ledger: Ledger) -> None:
    ledger.append(add(a_memory("a")))
    assert everything(ledger, "other") == []
    assert everything(ledger, "") == []
    with pytest.raises(InvalidRequestError, match="cursor"):
        ledger.list_events("acme", limit=1, cursor="nonsense")


def test_a_copy_of_all_events_is_the_same_ledger(ledger: Ledger) -> None:
    memory = a_memory("a", extracted=True)
    ledger.append(add(memory))
    changed = update(memory, 3, text="two")
    ledger.append([changed])
    ledger.append([delete(changed.memory, 5)])
    events = everything(ledger)
    copies = [
        replace(event, memory=replace(event.memory, scope=replace(event.memory.scope, tenant="copy")))
        for event in events
    ]
    for _ in range(2):  # a repeat changes nothing
        ledger.append(copies, unique=False)
        assert everything(ledger, "copy") == copies
    assert ledger.read("copy", [memory.id])[memory.id].deleted


def test_an_import_may_repeat_texts_that_were_allowed_where_they_come_from(ledger: Ledger) -> None:
    held = a_memory("held", text="tea", extracted=True, second=1)
    ledger.append(add(held))
    # Elsewhere this one was changed before the other was added.
    first = a_memory("first", text="tea", extracted=True, second=2)
    events = [*add(first), update(first, 3, text="coffee", extracted=False)]
    ledger.append(events[:1], unique=False)
    ledger.append(events[1:], unique=False)
    assert ledger.read("acme", [first.id])[first.id].text == "coffee"
    with pytest.raises(DuplicateTextError):
        ledger.append(add(a_memory("another", text="tea", extracted=True)))


def test_a_foreign_history_that_differs_is_a_conflict(ledger: Ledger) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    foreign = [*add(replace(memory, job_id="00000000-0000-0000-0000-000000000000"))]
    with pytest.raises(VersionConflictError):
        ledger.append(foreign, unique=False)
    assert everything(ledger) == add(memory)


def test_a_deleted_memory_that_changes_again_is_listed_once(ledger: Ledger) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    gone = delete(memory, 3)
    ledger.append([gone])
    ledger.append([delete(gone.memory, 5)])
    assert [event.memory.version for event in everything(ledger)] == [1, 2, 3]


def test_a_page_of_long_histories_ends_early(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("ledger_sqlite.export_order", "ledger_dynamodb.memories"):
        monkeypatch.setattr(f"forgetless.adapters.{module}.HISTORIES_AT_ONCE", 2500)
    memories = [a_memory("a", place, second=place, text="x" * 2000) for place in range(5)]
    ledger.append(add(*memories))
    ledger.append([update(memories[0], text="y" * 2000)])
    found: list[list[tuple[str, int]]] = []
    cursor: str | None = None
    while not found or cursor is not None:
        page = ledger.list_events("acme", limit=9, cursor=cursor)
        found.append([(event.memory.id, event.memory.version) for event in page.items])
        cursor = page.cursor
    assert len(found) > 2
    assert all(len({id_ for id_, _ in page}) <= 2 for page in found)
    ids = [(memory.id, 1) for memory in memories]
    assert [key for page in found for key in page] == [ids[0], (memories[0].id, 2), *ids[1:]]
