"""The main job through every real part: gateway, Lambda processes, embedder, Milvus, ledger, queue."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.house import ROOT, House, wait_until

#: Containers of sam local start slowly, and the first test pays for them.
TEST_S = 1500 if os.environ.get("FORGETLESS_E2E") == "sam" else 240

pytestmark = [pytest.mark.slow, pytest.mark.timeout(TEST_S)]


def test_what_is_added_is_found_by_meaning_at_once(house: House) -> None:
    assert house.add("I moved to Lisbon in May.", user="ines").status_code == 200
    assert house.found("Which city does she live in?", user="ines") == ["I moved to Lisbon in May."]


def test_every_add_under_load_is_found_by_the_next_search(house: House) -> None:
    def round_trip(number: int) -> bool:
        text = f"parcel number {number * 7919} was delivered"
        assert house.add(text, user=f"loader-{number % 5}").status_code == 200
        return text in house.found(f"parcel {number * 7919}", user=f"loader-{number % 5}")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trip, range(40)))


def test_facts_are_extracted_and_superseded(house: House) -> None:
    old = house.add("I live in Hue.", user="mover", infer=True).json()["results"][0]["id"]
    between = datetime.now(UTC).isoformat()
    house.add("I live in Hanoi now.", user="mover", infer=True)
    assert [text for text in house.found("where does the mover live", user="mover") if "Hue" in text] == []
    history = house.client.get(f"/memories/{old}/history").json()
    assert [item["event"] for item in history] == ["ADD", "UPDATE"]
    # Its row has moved to the collection of the past.
    asked = {"query": "where does the mover live", "filters": {"user_id": "mover"}}
    for moment in ({"as_of": between}, {"known_at": between}):
        then = house.client.post("/search", json={**asked, **moment}).json()["results"]
        assert [result["id"] for result in then] == [old]


def test_parallel_identical_facts_are_stored_once(house: House) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: house.add("I like pho.", user="twins", infer=True), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(house.client.get("/memories", params={"user_id": "twins"}).json()["results"]) == 1


def test_an_idempotency_key_gives_one_effect_under_parallel_retries(house: House) -> None:
    def add(_: int) -> int:
        body = {"messages": [{"role": "user", "content": "once"}], "user_id": "idem", "infer": False}
        return house.client.post("/memories", json=body, headers={"Idempotency-Key": "e2e-1"}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(add, range(6))) <= {200, 409}
    assert len(house.client.get("/memories", params={"user_id": "idem"}).json()["results"]) == 1


def test_a_killed_milvus_is_started_again_and_nothing_is_lost(house: House) -> None:
    house.add("The spare key hangs behind the clock.", user="kim")
    house.kill_milvus()
    during = house.add("The cat is called Mochi.", user="kim")
    assert during.status_code == 200, during.text
    wait_until(house.healthy)
    assert house.found("spare key", user="kim")[0] == "The spare key hangs behind the clock."
    # What came while Milvus was away is indexed by the schedule of sweep.
    wait_until(lambda: "The cat is called Mochi." in house.found("cat Mochi", user="kim"), seconds=120)


def test_an_embedder_that_is_down_is_a_503_and_nothing_is_stored(house: House) -> None:
    with house.embedder_stopped():
        answer = house.add("never stored", user="lee")
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
    wait_until(house.healthy)
    assert house.client.get("/memories", params={"user_id": "lee"}).json()["results"] == []


def test_no_connection_leaves_but_to_the_configured_hosts(house: House) -> None:
    script = Path(__file__).with_name("outgoing.py")
    settings = {
        **house.environment,
        "FORGETLESS_LEDGER_PATH": str(house.state / "outgoing.db"),
        "FORGETLESS_MILVUS_URI": house.milvus_uri,
        "FORGETLESS_EMBEDDER_URL": f"http://{house.embedder_host}:{house.embedder_port}",
        "PYTHONPATH": str(ROOT / "layers/dependencies/python"),
    }
    done = subprocess.run([sys.executable, str(script)], env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    reached = set(done.stdout.split())
    assert f"{house.embedder_host}:{house.embedder_port}" in reached
    assert reached <= {f"{house.embedder_host}:{house.embedder_port}", f"{house.stub_host}:{house.stub_port}"}


def test_data_and_key_outlive_a_restart(house: House) -> None:
    house.add("The wifi password is on the fridge.", user="restart")
    key = house.client.headers["X-API-Key"]
    house.down()
    house.up()
    assert house.client.headers["X-API-Key"] == key
    assert house.found("wifi password", user="restart") == ["The wifi password is on the fridge."]
