"""`forgetless memories restore`: superseded memories are brought back, and what is unknown is said."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.memory import Event, EventKind
from tests.unit.store_house import StoreHouse

UNKNOWN = "00000000-0000-0000-0000-000000000000"


def test_memories_are_brought_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    house = StoreHouse(tmp_path, monkeypatch, capsys)
    house.start()
    house.say("tea", "coffee", tenant="acme")
    coffee, tea = house.memories("acme")
    gone = tea.next_version(tea.updated_at, event_id="e", superseded_by=coffee.id)
    with closing(SqliteLedger(house.path)) as ledger:
        ledger.append([Event(EventKind.UPDATE, gone)])
    assert [memory.id for memory in house.memories("acme")] == [coffee.id]

    assert house.run("memories", "restore", tea.id)[0] == 1, "it is another tenant's"
    code, out, err = house.run("memories", "restore", "--tenant", "acme", UNKNOWN, tea.id)
    assert (code, out) == (1, f"{tea.id} holds, version 3\n")
    assert UNKNOWN in err
    assert {memory.id for memory in house.memories("acme")} == {coffee.id, tea.id}
    assert house.run("memories", "restore", "--tenant", "acme", tea.id)[:2] == (0, f"{tea.id} holds, version 3\n")
    assert house.check()[0] == 0
