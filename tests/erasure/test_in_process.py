"""A small form of `make test-erasure`: a service in this process, of which every byte that it stored is looked at."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from forgetless.domain.keys import Role
from forgetless.domain.known_names import NameOwner
from forgetless.ports.ledger import Ledger
from forgetless.service.jobs.delete_tenant import NOBODY
from tests.dynamo_server import DynamoServer
from tests.erasure.planting import Person, plant, plant_failed, plant_hook, plant_one
from tests.erasure.scanning import Needles, bytes_of_item, found_in, found_in_files
from tests.erasure.served import WAYS, finish, reply, tool_of
from tests.erasure.whole import WHOLE
from tests.unit.api.client import make_api, put_key
from tests.unit.service.world import World, make_world

HOOK = "https://example.com/hook"


@pytest.mark.parametrize("about", WAYS)
def test_nothing_is_left_in_the_files(tmp_path: Path, about: str) -> None:
    (tmp_path / "state").mkdir()
    world = make_world(tmp_path / "state", reply)
    with closing(world.services):
        needles = erased(world, about)
        left = found_in_files(copy_of(tmp_path / "state"), needles)
    assert left == {}


def test_nothing_of_one_memory_is_left(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    world = make_world(tmp_path / "state", reply)
    with closing(world.services):
        api, person = make_api(world), Person("one")
        plant_hook(api.call, HOOK)
        memory_id = plant_one(api.call, person)
        finish(world)
        assert found_in_files(copy_of(tmp_path / "state"), person.needles("default"))
        assert api.delete(f"/v1/memories/{memory_id}/").status_code == 200
        finish(world)
        left = found_in_files(copy_of(tmp_path / "state"), person.needles("default"))
    assert left == {}


@pytest.mark.parametrize("expired", [False, True])
def test_nothing_is_left_of_adds_that_made_no_memory(tmp_path: Path, expired: bool) -> None:
    (tmp_path / "state").mkdir()
    world = make_world(tmp_path / "state", lambda _messages: "no JSON")
    with closing(world.services):
        needles = erased_without_memories(world, tmp_path / "state", expired=expired)
        left = found_in_files(copy_of(tmp_path / "state"), needles)
    assert left == {}


@WHOLE
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("expired", [False, True])
def test_nothing_is_left_in_the_table_of_adds_that_made_no_memory(
    tmp_path: Path, dynamo: Callable[[], Ledger], dynamo_server: DynamoServer, expired: bool
) -> None:
    world = make_world(tmp_path, lambda _messages: "no JSON", None, dynamo())
    with closing(world.services):
        needles = erased_without_memories(world, None, expired=expired)
    assert found_in_tables(dynamo_server, needles) == []
    assert found_in_files(tmp_path, needles) == {}


@WHOLE
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("about", WAYS)
def test_nothing_is_left_in_the_table(
    tmp_path: Path, dynamo: Callable[[], Ledger], dynamo_server: DynamoServer, about: str
) -> None:
    world = make_world(tmp_path, reply, None, dynamo())
    with closing(world.services):
        needles = erased(world, about)
    assert found_in_tables(dynamo_server, needles) == []
    assert found_in_files(tmp_path, needles) == {}


def test_nothing_of_a_deleted_tenant_is_left_in_the_files(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    world = make_world(tmp_path / "state", reply)
    with closing(world.services):
        needles = deleted_tenant(world, tmp_path / "state")
        left = found_in_files(copy_of(tmp_path / "state"), needles)
    assert left == {}


@WHOLE
@pytest.mark.timeout(1200)
def test_nothing_of_a_deleted_tenant_is_left_in_the_table(
    tmp_path: Path, dynamo: Callable[[], Ledger], dynamo_server: DynamoServer
) -> None:
    (tmp_path / "state").mkdir()
    world = make_world(tmp_path / "state", reply, None, dynamo())
    with closing(world.services):
        needles = deleted_tenant(world, None)
    assert found_in_tables(dynamo_server, needles) == []
    assert found_in_files(tmp_path, needles) == {}


def deleted_tenant(world: World, folder: Path | None) -> Needles:
    """Plant in every way in a tenant with a marked name, delete it, let everything finish."""
    person = Person("t")
    tenant, key = person.mark("tenant"), person.mark("key")
    put_key(world, key, tenant, Role.ADMIN)
    api = make_api(world, mcp=True)
    call = partial(api.call, key=key)
    plant_hook(call, HOOK)
    plant(call, person, tool=tool_of(api, key=key))
    assert call("POST", "/api-keys", json={"label": person.mark("label"), "role": "read"}).status_code < 300
    kept = Person("kept")
    plant_one(api.call, kept)
    finish(world)
    needles = person.needles(tenant)
    if folder is not None:
        assert found_in_files(copy_of(folder), needles)
    world.services.tenant_deletions.begin(tenant)
    assert call("GET", "/memories", params={"user_id": person.id("user")}).status_code == 401
    finish(world)
    assert [job.finished for job in world.services.bulk.jobs(NOBODY, limit=9)[0]] == [True]
    assert len(api.get("/memories", params={"user_id": kept.id("user")}).json()["results"]) == 1
    return needles


def erased_without_memories(world: World, folder: Path | None, *, expired: bool) -> Needles:
    """Plant adds that fail, let their messages expire or not, erase the user, let everything finish."""
    api, person = make_api(world), Person("f")
    plant_failed(api.call, person)
    finish(world)
    for job in world.ledger.jobs("default", limit=99)[0]:  # the LLM is not asked for a day
        world.services.ingest.run("default", job.id, seconds=60)
    if folder is not None:
        assert found_in_files(copy_of(folder), person.needles("default"))
    while expired and world.ledger.expire_messages(before=world.clock.now(), limit=100):
        pass
    assert api.delete(f"/entities/user/{person.id('user')}").status_code == 200
    finish(world)
    assert api.get("/v1/events/", params={"user_id": person.id("user")}).json()["results"] == []
    return person.needles("default")


def erased(world: World, about: str) -> Needles:
    """Plant in every way, erase, let everything finish; returns what must not be found."""
    api, person = make_api(world, mcp=True), Person("a")
    plant_hook(api.call, HOOK)
    plant(api.call, person, about="user" if about == "reset" else about, tool=tool_of(api))
    finish(world)
    speakers = [NameOwner.user("default", person.id("user"))]
    assert world.ledger.known_names("default", speakers)
    for answer in WAYS[about](api.call, person):
        assert answer.status_code == 200, answer.text
    finish(world)
    assert api.get("/memories", params={"user_id": person.id("user")}).json()["results"] == []
    assert world.ledger.known_names("default", speakers) == {}
    world.services.audit.flush()
    return person.needles("default")


def found_in_tables(server: DynamoServer, needles: Needles) -> list[str]:
    """The items of all tables that have marks."""
    return [
        f"{item['pk']['S']} {item['sk']['S']}: {marks}"
        for table in server.admin.list_tables()["TableNames"]
        for page in server.admin.get_paginator("scan").paginate(TableName=table)
        for item in page["Items"]
        if (marks := found_in(bytes_of_item(item), needles))
    ]


def copy_of(folder: Path) -> Path:
    """A copy that another process made: if this one opened a database file beside SQLite, its locks would go."""
    target = folder.with_name("copy")
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-r", str(folder), str(target)], check=True)
    return target
