"""What `make up` runs: after an erasure, its jobs and a compaction, no byte below the state folder has a mark."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.house import ROOT, House, wait_until
from tests.erasure.planting import Call, CallTool, Person, plant, plant_hook, plant_one
from tests.erasure.scanning import found_in_files
from tests.erasure.served import WAYS
from tests.erasure.whole import WHOLE
from tests.unit.api.mcp_client import connected
from tests.unit.servers import Answer, serve

pytestmark = [WHOLE, pytest.mark.timeout(1800)]

#: Other people's memories: pages of the files are split and filled, as in a service that is used.
_OTHERS = 300
#: Sweep scrubs the ledger's log within a minute, and looks at jobs that waited for two.
_SETTLED_S = 130.0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    model = os.environ.get("FORGETLESS_MODEL_DIR", "")
    if not Path(model, "manifest.json").exists():
        pytest.fail("FORGETLESS_MODEL_DIR names no prepared model; make test-erasure prepares it")
    made = House(tmp_path_factory.mktemp("erasure"), Path(model).parent)
    # A delivery of a whole scope keeps its ids until it has arrived.
    made.environment["FORGETLESS_WEBHOOK_ALLOW_PRIVATE"] = "1"
    try:
        made.up()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[str]:
    """The address of a receiver of webhooks."""
    with serve(lambda _: Answer(200)) as server:
        yield f"{server.url}/hook"


def test_nothing_is_left_below_the_state_folder(house: House, receiver: str) -> None:
    call, tool = _calls(house)
    plant_hook(call, receiver)
    people = {way: Person(way) for way in ("user", "agent", "run", "memory")}
    for about, person in people.items():
        for number in range(_OTHERS // 10):
            house.add(*(f"{about} {number}: other {place}" for place in range(10)), user=f"other-{number}")
        if about == "memory":
            person.memories = [plant_one(call, person)]
        else:
            plant(call, person, about=about, tool=tool)
    time.sleep(_SETTLED_S)
    assert found_in_files(house.state, people["user"].needles("default"))

    for about in ("user", "agent", "run"):
        for answer in WAYS[about](call, people[about]):
            assert answer.status_code == 200, answer.text
    assert call("DELETE", f"/v1/memories/{people['memory'].memories[0]}/").status_code == 200
    _settle(house)
    left = {way: found_in_files(house.state, person.needles("default")) for way, person in people.items()}
    assert {way: files for way, files in left.items() if files} == {}

    last, tenants = Person("reset"), Person("tenant")
    plant(call, last, tool=tool)
    key = _operate(house, "keys", "create", "--tenant", "acme", "--role", "admin").split()[-1]
    their_call, their_tool = _calls(house, key)
    plant(their_call, tenants, tool=their_tool)
    assert found_in_files(house.state, tenants.needles("acme"))
    _operate(house, "tenants", "delete", "acme", "--yes")
    assert house.client.get("/memories", headers={"X-API-Key": key}).status_code in {200, 401}
    for answer in WAYS["reset"](call, last):
        assert answer.status_code == 200, answer.text
    _settle(house)
    assert found_in_files(house.state, last.needles("default")) == {}
    # The name of the tenant stays for 16 minutes (test_in_process.py looks for it after that).
    assert found_in_files(house.state, tenants.needles("acme")) == {}


def _calls(house: House, key: str | None = None) -> tuple[Call, CallTool]:
    """Requests and calls of tools over HTTP."""
    key = key or str(house.client.headers["X-API-Key"])
    base = str(house.client.base_url).rstrip("/")

    def call(method: str, path: str, **options: Any) -> Any:
        headers = {"X-API-Key": key, **options.pop("headers", {})}
        return house.client.request(method, path, headers=headers, **options)

    def tool(name: str, arguments: Mapping[str, Any]) -> Any:
        async def main() -> Any:
            async with connected(None, key=key, base=base) as client:
                return await client.call_tool(name, dict(arguments))

        answer = anyio.run(main)
        assert not answer.is_error, answer
        return answer

    return call, tool


def _settle(house: House) -> None:
    """Let all jobs finish and sweep run, then compact."""

    def is_idle() -> bool:
        events = house.client.get("/v1/events/", params={"page_size": 100}).json()["results"]
        # Exports wait for their client.
        return all(one["status"] in {"SUCCEEDED", "FAILED"} or one["event_type"] == "EXPORT" for one in events)

    wait_until(is_idle, seconds=300)
    time.sleep(_SETTLED_S)
    subprocess.run([sys.executable, "-m", "local.up", "tidy"], cwd=ROOT, env=house.environment, check=True)
    _operate(house, "compact")


def _operate(house: House, *arguments: str) -> str:
    """Run a command of an operator; returns what it prints."""
    command = [sys.executable, "-m", "local.up", "forgetless", "--", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=house.environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
