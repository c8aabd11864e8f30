"""`forgetless generations`: what it shows, and that its actions are refused where there is nothing to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.domain.recipes import RECIPES
from forgetless.runtime import composition
from forgetless.runtime.settings import Settings, load_settings
from tests.fakes.index import MemoryIndex
from tests.unit.store_house import StoreHouse

MINE, NEXT = "forgetless_all_MiniLM_L6_v2_384_r3", "forgetless_next_64_r3"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> StoreHouse:
    made = StoreHouse(tmp_path, monkeypatch, capsys)
    made.say("I like tea", "I like milk")
    return made


def ask_for_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGETLESS_NEXT_EMBEDDER_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("FORGETLESS_NEXT_EMBEDDING_MODEL", "next")


def test_it_shows_the_one_that_serves_and_what_the_settings_ask_for(
    house: StoreHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = "  its past versions, for as_of and known_at: 0 rows, sweep begins to fill them soon"
    assert house.run("generations") == (0, f"{MINE} serves, with 2 rows\n{past}\n", "")
    ask_for_next(monkeypatch)
    monkeypatch.setenv("FORGETLESS_NEXT_EMBEDDING_DIMENSIONS", "64")
    told = f"{NEXT} is what the settings ask for: sweep begins to fill it soon\n"
    assert house.run("generations")[1] == f"{MINE} serves, with 2 rows\n{past}\n{told}"
    indexes = {MINE: house.index}

    def index_of(_: Settings, generation: composition.Generation | None = None) -> MemoryIndex:
        return indexes.setdefault(generation.collection if generation else MINE, MemoryIndex())

    monkeypatch.setattr(composition, "build_index", index_of)
    assert house.run("generations", "fill") == (0, f"{NEXT} is about to be filled\n", "")
    assert house.run("generations")[1].splitlines()[2] == f"{NEXT} is about to be filled, with 0 rows"
    record = json.loads(house.run("generations", "--json")[1])
    assert (record["phase"], record["serving"]["collection"], record["progress"]["kind"]) == ("spreading", MINE, "fill")
    code, _, err = house.run("generations", "switch")
    assert code == 1
    assert err == f"forgetless: {NEXT} is spreading, so there is nothing to switch to yet\n"
    assert house.run("generations", "drop") == (0, f"{NEXT} is dropped\n", "")
    code, _, err = house.run("generations", "back")
    assert (code, err) == (1, f"forgetless: there is no generation to go back to: {MINE} is the only one\n")
    told = f"{NEXT} is what the settings ask for: forgetless generations fill --switch\n"
    assert house.run("generations")[1].endswith(told), "it was dropped, so it is not filled by itself again"


def test_a_check_accepts_the_note_of_a_generation_that_served_before(
    house: StoreHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert house.start() == "ok"
    ask_for_next(monkeypatch)
    services = composition.build_services(load_settings())
    assert services.generations is not None
    upkeep = services.generations.upkeep
    upkeep.begin(switching=True)
    upkeep.record.change(lambda held: held.switched("2026-01-01T00:00:00.000000+00:00"))
    services.close()
    assert house.start() == "fill"
    assert json.loads(house.marker.read_text())["beside"] == [MINE]
    assert json.loads(house.marker.read_text())["collection"] == "forgetless_next_384_r3"


def test_a_start_says_that_the_service_fills_another_index_while_the_present_one_serves(
    house: StoreHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert house.start() == "ok"
    ask_for_next(monkeypatch)
    code, out, _ = house.check("--start")
    serves = f"note: {MINE} serves until forgetless_next_384_r3 is filled: forgetless generations"
    assert (code, out.splitlines()) == (0, [serves, "fill"])


def test_a_model_that_took_the_place_of_another_is_indexed_from_nothing(
    house: StoreHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert house.start() == "ok"
    services = composition.build_services(load_settings())
    services.sweep.sweep()
    services.close()
    assert house.start() == "ok", "sweep has written the record"
    monkeypatch.setenv("FORGETLESS_EMBEDDING_MODEL", "another")
    code, out, _ = house.check("--start")
    assert (code, out.splitlines()[-1]) == (0, "reindex")
    assert "no embedder serves all-MiniLM-L6-v2 any more" in out
    assert house.reindex()[1].splitlines()[-1] == "indexed 2 memories into forgetless_another_384_r3"
    assert house.start() == "ok"


def test_an_upgrade_with_another_recipe_serves_the_index_that_is_there(
    house: StoreHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = MINE.replace("_r3", "_r2")
    indexes: dict[str, MemoryIndex] = {}

    def index_of(_: Settings, generation: composition.Generation | None = None) -> MemoryIndex:
        assert generation is not None
        return indexes.setdefault(generation.collection, MemoryIndex())

    monkeypatch.setattr(composition, "build_index", index_of)
    monkeypatch.setattr(composition, "RECIPE_VERSION", 2)
    monkeypatch.setattr(composition, "RECIPES", {2: RECIPES[2]})
    house.say("I like trams")
    assert house.start() == "reindex", "the two memories of the fixture stand in another index"
    assert house.reindex()[0] == 0
    assert house.start() == "ok"
    note = json.loads(house.marker.read_text())
    house.marker.write_text(json.dumps({name: note[name] for name in ("collection", "ledger", "stamps")}))
    monkeypatch.setattr(composition, "RECIPE_VERSION", 3)
    monkeypatch.setattr(composition, "RECIPES", RECIPES)
    assert house.start() == "fill"
    assert house.run("generations")[1].splitlines()[0] == f"{before} serves, with 3 rows"
    services = composition.build_services(load_settings())
    services.sweep.sweep()
    services.close()
    told = house.run("generations")[1].splitlines()
    assert told[1] == "  its past versions, for as_of and known_at: 0 rows, being filled: 0 memories brought"
    assert told[2] == "forgetless_all_MiniLM_L6_v2_384_r3 is about to be filled, with 0 rows"
    assert indexes[before].count() == 3


def test_it_tells_what_changes_until_nothing_is_filled(house: StoreHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    assert house.run("generations", "--watch") == (0, "", "")
    ask_for_next(monkeypatch)
    services = composition.build_services(load_settings())
    assert services.generations is not None
    upkeep = services.generations.upkeep
    steps = iter([lambda: upkeep.begin(switching=True), upkeep.drop])
    monkeypatch.setattr(SystemClock, "sleep", lambda _clock, _seconds: next(steps)())
    told = f"{MINE} serves; forgetless_next_384_r3 is about to be filled: 0 memories brought\n"
    assert house.run("generations", "--watch") == (0, told, "")
    services.close()


def test_an_index_that_is_built_from_nothing_is_the_one_that_the_settings_ask_for(
    house: StoreHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert house.start() == "ok"
    ask_for_next(monkeypatch)
    house.index.drop_all()
    assert house.start() == "reindex"
    assert house.reindex()[1].splitlines()[-1] == "indexed 2 memories into forgetless_next_384_r3"
    assert house.run("generations")[1].splitlines() == [
        "forgetless_next_384_r3 serves, with 2 rows",
        "  its past versions, for as_of and known_at: 0 rows, sweep begins to fill them soon",
    ]


def test_without_a_ledger_it_says_so(house: StoreHouse) -> None:
    for file in house.path.parent.glob("ledger.db*"):
        file.unlink()
    assert house.run("generations")[2] == f"forgetless: there is no ledger yet: {house.path}\n"
