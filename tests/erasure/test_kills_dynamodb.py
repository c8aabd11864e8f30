"""An erasure whose process dies at any of its writes to DynamoDB: once it has ended, no item has a word of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.domain.errors import LedgerError
from forgetless.ports.ledger import Ledger
from tests.dynamo_server import DynamoServer
from tests.erasure.planting import Person
from tests.erasure.served import finish, reply
from tests.erasure.test_in_process import found_in_tables
from tests.unit.api.client import make_api
from tests.unit.service.world import World, make_world

_WRITES = frozenset({"put_item", "delete_item", "update_item", "transact_write_items"})


class _Killer:
    """Lets a process write so many times, and then no more."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        call = Client.call

        def killed(client: Client, operation: str, **parameters: Any) -> Any:
            if operation in _WRITES and self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise LedgerError("killed")
            return call(client, operation, **parameters)

        patch.setattr(Client, "call", killed)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_kill_at_any_write_of_an_erasure_leaves_no_id(
    tmp_path: Path, dynamo: Callable[[], Ledger], dynamo_server: DynamoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also not of the run and the agent, which the erasure of the user does not name."""
    killer = _Killer(monkeypatch)
    now: str | None = None
    for writes in count():
        person = Person(f"k{writes}")
        world = _world(tmp_path / f"{writes}", dynamo(), now)
        with closing(world.services):
            api = make_api(world)
            body = {"messages": [{"role": "user", "content": person.mark("text")}], "infer": False}
            api.call("POST", "/memories", json={**body, **person.ids("selfhosted")})
            world.clock.advance(5)
            killer.left = writes
            api.call("DELETE", f"/v2/entities/user/{person.id('user')}/")
            was_killed, killer.left = killer.left < 0, None
            now = world.clock.now()
        world = _world(tmp_path / f"{writes}-after", dynamo(), now)
        with closing(world.services):
            assert make_api(world).call("DELETE", f"/v2/entities/user/{person.id('user')}/").status_code in {200, 404}
            finish(world)
            now = world.clock.now()
        assert found_in_tables(dynamo_server, person.needles("default")) == [], f"killed after {writes} writes"
        if not was_killed:
            return


def _world(folder: Path, ledger: Ledger, now: str | None) -> World:
    folder.mkdir()
    world = make_world(folder, reply, None, ledger)
    if now is not None:
        world.clock.set(now)
    return world
