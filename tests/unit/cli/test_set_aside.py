"""`forgetless set-aside`: lists what cannot be indexed, has it tried again, and `check` counts it."""

from __future__ import annotations

import json
from contextlib import closing

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.ports.ledger import Refusal
from tests.unit.store_house import StoreHouse


def test_what_is_set_aside_is_counted_listed_and_tried_again(house: StoreHouse) -> None:
    house.start()
    house.say("tea", "coffee")
    house.say("rain", tenant="acme")
    bad = next(memory for memory in house.memories() if memory.text == "tea")
    house.index.refuses = lambda row: row.memory.text == "tea"
    house.index.drop_all()
    assert house.reindex()[0] == 0
    code, out, err = house.check()
    assert (code, err) == (0, "")
    assert "set aside   1 memories" in out
    assert json.loads(house.check("--json")[1])["total"]["set_aside"] == 1

    code, out, err = house.run("set-aside")
    assert (code, err) == (0, "")
    assert out.startswith(f"default  {bad.id}  version 1  ")
    assert "tea" not in out
    (found,) = (json.loads(line) for line in house.run("set-aside", "--json")[1].splitlines())
    assert (found["memory_id"], found["reason"].split(":")[0]) == (bad.id, "vector_store_unavailable")
    assert house.run("set-aside", "--tenant", "acme")[1:] == ("", "no memory is set aside\n")

    house.index.refuses = lambda _row: False
    code, out, _ = house.run("set-aside", "--retry")
    assert (code, out.split()[0]) == (0, "1")
    assert house.reindex()[0] == 0
    assert house.index.count() == 3
    assert "set aside" not in house.check()[1]


def test_a_row_that_is_missing_beside_one_that_is_set_aside_is_still_noticed(house: StoreHouse) -> None:
    house.start()
    house.say("tea", "coffee", "rain", "snow")
    with closing(SqliteLedger(house.path)) as ledger:
        ledger.mark_unindexed(at="2026-01-01T00:00:00.000000+00:00")
        first, *others = house.memories()
        ledger.note_refusals([Refusal(first, "no")], at="2026-01-01T00:00:01.000000+00:00", most=1)
        ledger.mark_indexed(others)
    house.index.drop("default", [(first.id, 1)])
    assert house.check()[0] == 0
    house.index.drop("default", [(others[0].id, 1)])
    assert house.check()[0] == 3
