"""A small form of `make test-erasure` over a service in this process: what was erased is in no byte that is stored."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from forgetless.ports.ledger import Ledger
from forgetless.ports.llm import ChatMessage
from forgetless.service.webhooks.delivery import DeliveryService
from tests.erasure.planting import Person, plant, plant_hook
from tests.erasure.scanning import Needles, bytes_of_item, found_in, found_in_files
from tests.unit.api.client import Api, make_api
from tests.unit.api.mcp_client import connected
from tests.unit.service.webhooks.post import Receiver
from tests.unit.service.world import World, make_world
from local.llm_stub.rules import answer_for


def reply(messages: Sequence[ChatMessage]) -> str:
    return answer_for(messages[0].content, messages[-1].content)


def finish(world: World) -> None:
    """Let sweep, the worker of bulk jobs and the deliveries do all that waits."""
    deliveries = DeliveryService(ledger=world.services.event_exports._ledger, sender=Receiver(), clock=world.clock)
    for _ in range(6):
        world.clock.advance(130)
        world.services.sweep.sweep()
        while world.services.bulk_worker.turn():
            world.clock.advance(1)
        deliveries.run()
    world.services.audit.flush()


def tool_of(api: Api) -> Callable[[str, Mapping[str, Any]], Any]:
    def call(name: str, arguments: Mapping[str, Any]) -> Any:
        async def main() -> Any:
            async with connected(api.client.app) as client:
                return await client.call_tool(name, dict(arguments))

        answer = anyio.run(main)
        assert not answer.is_error, answer
        return answer

    return call


def erase_user(api: Api, person: Person) -> None:
    headers = {"Idempotency-Key": person.mark("keyentity")}
    assert api.delete(f"/v2/entities/user/{person.id('user')}/", headers=headers).status_code == 200


def erase_agent(api: Api, person: Person) -> None:
    assert api.delete("/memories", params={"agent_id": person.id("agent")}).status_code == 200
    assert api.delete("/v1/memories/", params={"run_id": person.id("runimport")}).status_code == 200


def erase_runs(api: Api, person: Person) -> None:
    for kind in ("selfhosted", "platform", "mcp", "import"):
        assert api.delete("/memories", params={"run_id": person.id(f"run{kind}")}).status_code == 200


def reset(api: Api, _person: Person) -> None:
    assert api.post("/reset").status_code == 200


WAYS = {"user": erase_user, "agent": erase_agent, "run": erase_runs, "reset": reset}


@pytest.mark.parametrize("about", WAYS)
def test_nothing_is_left_in_the_files(tmp_path: Path, about: str) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    world = make_world(folder, reply)
    api = make_api(world, mcp=True)
    person = Person("a")
    plant_hook(api.call, "https://example.com/hook")
    plant(api.call, person, about="user" if about == "reset" else about, tool=tool_of(api))
    needles = person.needles("default")
    finish(world)
    assert found_in_files(copy_of(folder), needles)
    WAYS[about](api, person)
    finish(world)
    left = found_in_files(copy_of(folder), needles)
    rows = lefts(folder, needles)
    world.ledger.close()
    assert not left, f"{rows}\n{left}"


def copy_of(folder: Path) -> Path:
    """A copy that another process made: if this one opened a database file beside SQLite, its locks would go."""
    target = folder.with_name("copy")
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-r", str(folder), str(target)], check=True)
    return target


def lefts(folder: Path, needles: Needles) -> str:
    import sqlite3
    out = []
    db = sqlite3.connect(copy_of(folder) / "ledger.db")
    for (table,) in db.execute("select name from sqlite_master where type='table'").fetchall():
        for row in db.execute(f"select * from {table}"):
            blob = b"\0".join(c if isinstance(c, bytes) else str(c).encode() for c in row)
            if (marks := found_in(blob, needles)):
                out.append(f"{table}: {sorted(marks)[:4]}: {row!r:.300}")
    return "\n".join(out[:60])
