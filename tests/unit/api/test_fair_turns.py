"""Requests of one tenant that take long do not hold up another tenant's, however many wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import httpx2
import pytest

from forgetless.api.app import create_app
from forgetless.api.fair_turns import FairTurns
from forgetless.api.routing import pool
from forgetless.ports.trace import Trace, begin_trace, name_tenant
from tests.unit.api.client import ADMIN
from tests.unit.api.conftest import NewApi
from tests.unit.servers import serve_app


def run(coroutine: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(coroutine(), 20))


async def waiting(turns: FairTurns, *owners: str) -> tuple[list[str], list[asyncio.Task[None]]]:
    """Let these wait, in this order; returns in which order they get their turns."""
    order: list[str] = []

    async def take(owner: str) -> None:
        await turns.take(owner)
        order.append(owner)

    tasks = [asyncio.create_task(take(owner)) for owner in owners]
    await asyncio.sleep(0)
    return order, tasks


def test_the_next_turn_is_that_of_whoever_has_the_fewest() -> None:
    async def check() -> None:
        turns = FairTurns(3)
        for _ in range(3):
            await turns.take("busy")
        order, tasks = await waiting(turns, "busy", "busy", "b", "b", "c")
        for owner in ("busy", "busy", "busy", "b", "c"):
            turns.give(owner)
            await asyncio.sleep(0)
        assert order == ["b", "c", "busy", "b", "busy"]
        await asyncio.gather(*tasks)
        for owner in ("busy", "busy", "b"):
            turns.give(owner)
        for _ in range(3):  # all are free again
            await turns.take("d")

    run(check)


def test_nobody_has_all_turns() -> None:
    async def check() -> None:
        turns = FairTurns(4, each=3)
        order, tasks = await waiting(turns, *["busy"] * 5, "b", "b")
        assert order == ["busy", "busy", "busy", "b"]
        turns.give("b")
        await asyncio.sleep(0)
        assert order[4:] == ["b"], "one is free, but not for the busy one"
        turns.give("busy")
        await asyncio.sleep(0)
        assert order[5:] == ["busy"]
        for owner in ("b", "busy"):
            turns.give(owner)
            await asyncio.sleep(0)
        assert order[6:] == ["busy"]
        await asyncio.gather(*tasks)
        for _ in range(3):
            turns.give("busy")
        order, tasks = await waiting(turns, "c", "c", "d", "d")
        assert order == ["c", "c", "d", "d"], "all are free again"
        await asyncio.gather(*tasks)

    run(check)


@pytest.mark.parametrize("given", [False, True])
def test_whoever_is_cancelled_leaves_no_turn_behind(given: bool) -> None:
    async def check() -> None:
        turns = FairTurns(1)
        await turns.take("a")
        order, (first, second) = await waiting(turns, "b", "c")
        if given:
            turns.give("a")  # to b, who is cancelled before it runs
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        if not given:
            turns.give("a")
        await second
        assert order == ["c"]
        turns.give("c")
        await turns.take("a")

    run(check)


def test_a_request_of_another_tenant_is_next_in_the_pool() -> None:
    work, go_on = pool(2), threading.Semaphore(0)
    order: list[str] = []

    async def request(tenant: str) -> None:
        begin_trace(Trace.new())
        name_tenant(tenant)
        await work(lambda: go_on.acquire(timeout=10))
        order.append(tenant)

    async def check() -> None:
        tasks = [asyncio.create_task(request("busy")) for _ in range(9)]
        await asyncio.sleep(0.05)
        tasks.append(asyncio.create_task(request("other")))
        await asyncio.sleep(0.05)
        for _ in range(10):
            go_on.release()
            await asyncio.sleep(0.02)
        await asyncio.gather(*tasks)

    run(check)
    assert order.index("other") <= 2


def test_questions_about_health_without_a_key_keep_nobody_from_being_let_in(
    new_api: NewApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a part does not answer, each of them waits for it."""
    api, answers = new_api(inline=False), threading.Event()
    monkeypatch.setitem(api.world.services.health._checks, "embedder", lambda: answers.wait(10) and None)

    async def check(base: str) -> None:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(base_url=base, timeout=20, limits=limits) as client:
            asked = [asyncio.create_task(client.get("/health")) for _ in range(60)]
            await asyncio.sleep(0.5)
            found = await asyncio.wait_for(client.get("/memories?user_id=a", headers={"X-API-Key": ADMIN}), 4)
            assert found.status_code == 200
            assert not any(one.done() for one in asked)
            answers.set()
            assert {one.status_code for one in await asyncio.gather(*asked)} == {200}

    with serve_app(create_app(lambda: api.world.services, inline=False)) as base:
        asyncio.run(check(base))
