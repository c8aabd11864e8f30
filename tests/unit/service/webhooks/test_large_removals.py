"""What webhooks are told of deletions: up to MOST_ANNOUNCED one by one, of more than that only scope and number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from forgetless.domain.errors import LedgerError
from forgetless.domain.retention import DAY_S, Retention
from forgetless.domain.scope import Scope
from forgetless.service.jobs import delete_matching, erase, removal
from forgetless.service.services import Services
from forgetless.service.writing import change
from forgetless.service.writing.erase_memories import FilteredDelete
from tests.unit.service.webhooks.post import Post, make
from tests.unit.service.world import ALICE, World, only

MOST = 3
TEA = {"metadata": {"topic": "tea"}}

Delete = Callable[[World], Any]

WAYS: dict[str, Delete] = {
    "scope": lambda world: world.services.changes.delete_scope("default", {"user_id": "alice"}),
    "filter": lambda world: world.services.changes.delete_matching(
        FilteredDelete("default", {"user_id": "alice"}, (), TEA)
    ),
    "batch": lambda world: world.services.changes.delete_many(
        "default", [memory.id for memory in world.ledger.list_memories("default", {}, limit=99).items]
    ),
}


@pytest.fixture
def post(world: World, monkeypatch: pytest.MonkeyPatch) -> Post:
    """Few memories are many, and a step is two rows."""
    for module in (removal, change):
        monkeypatch.setattr(module, "MOST_ANNOUNCED", MOST)
    for module, name in ((removal, "STEP"), (erase, "_STEP"), (change, "_PORTION")):
        monkeypatch.setattr(module, name, 2)
    made = make(world)
    made.hook(event_types=("memory_delete",))
    return made


def remember(world: World, count: int) -> list[str]:
    scope = replace(ALICE, run_id="r")
    return [one.id for _ in range(count) for one in world.say("tea", scope=scope, metadata={"topic": "tea"}).results]


def finish(world: World) -> None:
    while world.services.bulk_worker.turn():
        world.clock.advance(1)


def told(post: Post) -> list[Any]:
    """What the receiver was told of: ids, or scope and number."""
    while post.deliveries.run().delivered:
        pass
    return [one.get("id") or (one["scope"], one["count"]) for one in post.receiver.details()]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("in_request", [True, False], ids=["in the request", "by the job"])
def test_few_are_told_one_by_one_and_more_in_one_delivery(
    post: Post, monkeypatch: pytest.MonkeyPatch, way: str, in_request: bool
) -> None:
    if not in_request:
        monkeypatch.setattr(erase, "ERASE_IN_REQUEST_S", -1.0)
        monkeypatch.setattr(delete_matching, "ERASE_IN_REQUEST_S", -1.0)
    few = remember(post.world, MOST)
    WAYS[way](post.world)
    finish(post.world)
    assert post.world.texts() == []
    assert sorted(told(post)) == sorted(few)
    post.receiver.got.clear()
    remember(post.world, MOST + 4)
    WAYS[way](post.world)
    finish(post.world)
    assert post.world.texts() == []
    scope = {"user_id": "alice", "run_id": "r"} if way == "batch" else {"user_id": "alice"}
    assert told(post) == [(scope, MOST + 4)]


def test_a_removal_whose_end_is_done_again_is_told_once(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "ERASE_IN_REQUEST_S", -1.0)
    remember(post.world, MOST + 4)
    WAYS["scope"](post.world)
    end, failures = post.world.ledger.end_erasure, [1, 2]

    def fail_twice(*arguments: Any, **named: Any) -> None:
        if failures.pop():
            raise LedgerError("out")
        end(*arguments, **named)

    failures.insert(0, 0)
    monkeypatch.setattr(post.world.ledger, "end_erasure", fail_twice)
    for _ in range(4):
        finish(post.world)
        post.world.clock.advance(600)
    assert told(post) == [({"user_id": "alice"}, MOST + 4)]


def test_nobody_is_waited_for_where_no_webhook_wants_deletions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delete_matching, "ERASE_IN_REQUEST_S", -1.0)
    monkeypatch.setattr(removal, "STEP", 2)
    post = make(world)
    post.hook(event_types=("memory_add",))
    remember(world, 3)
    assert WAYS["filter"](world).deleted == 2
    finish(world)
    post.run()
    assert {one["event"] for one in post.receiver.details()} == {"ADD"}


def test_a_key_limited_to_several_users_tells_what_their_scopes_have_in_common(post: Post) -> None:
    for user in ("alice", "bob"):
        for _ in range(2):
            post.world.say("tea", scope=Scope("default", user_id=user, agent_id="bot"))
    post.world.services.limited_to(only("alice", "bob")).changes.delete_scope("default", {"agent_id": "bot"})
    assert told(post) == [({"agent_id": "bot"}, 4)]


def test_retention_is_told_in_the_same_way(post: Post) -> None:
    for _ in range(MOST + 1):
        post.world.say("tea", expiration_date="2026-01-02")
    post.world.clock.advance(10 * DAY_S)
    retention = Retention(expired_memories_s=DAY_S)
    services = Services(post.world.services._ports, retention=retention)
    services.sweep.sweep()
    while services.bulk_worker.turn():
        pass
    assert told(post) == [({}, MOST + 1)]
