"""Server-Timing: the time of each part is reported, and a timed port behaves like the port itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from forgetless.api.caller import Caller, set_caller
from forgetless.api.request_middleware import RequestMiddleware
from forgetless.api.routing import run_inline
from forgetless.api.server_timing import server_timing
from forgetless.domain.filters.ast import Filter
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.recipe import Words
from forgetless.ports.call_times import CallTimes, begin_call_times
from forgetless.ports.index import Hit
from forgetless.runtime.timed_ports import timed
from forgetless.service.requests import SearchRequest
from forgetless.service.services import Ports, Services
from tests.unit.service.world import LooseIndex, make_world


class Port:
    name = "a port"

    def add(self, one: int, *, other: int) -> int:
        return one + other

    def fail(self) -> None:
        raise ValueError("as it is")


def as_key(role: Role) -> dict[str, Any]:
    """The scope of a request with a key of this role."""
    scope: dict[str, Any] = {}
    set_caller(scope, Caller(lambda: pytest.fail("no service is needed"), ApiKey("hash", "default", role, "2026")))
    return scope


def times_of(header: str) -> dict[str, float]:
    return {part: float(ms) for part, ms in re.findall(r"(\w+);dur=([\d.]+)", header)}


def test_a_timed_port_answers_as_it_did() -> None:
    port = timed("ledger", Port())
    begin_call_times()
    assert port.add(1, other=2) == 3
    assert port.add(3, other=4) == 7
    assert port.name == "a port"
    with pytest.raises(ValueError, match="as it is"):
        port.fail()
    with pytest.raises(AttributeError):
        port.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_calls_add_up_by_part_and_failing_ones_count() -> None:
    ledger, index = timed("ledger", Port()), timed("index", Port())
    times = begin_call_times()
    ledger.add(1, other=2)
    after_one = times.seconds()["ledger"]
    ledger.add(1, other=2)
    with pytest.raises(ValueError, match="as it is"):
        index.fail()
    assert 0 < after_one < times.seconds()["ledger"]
    assert set(times.seconds()) == {"ledger", "index"}


def test_without_a_request_nothing_is_recorded() -> None:
    port = timed("ledger", Port())
    assert copy_context().run(_unrecorded, port.add) == 3


def _unrecorded(call: Callable[..., int]) -> int:
    return call(1, other=2)


def test_the_search_by_words_counts_though_a_thread_beside_the_request_runs_it(tmp_path: Path) -> None:
    class SlowWords(LooseIndex):
        def search_words(self, tenant: str, words: Words, where: Filter, limit: int) -> list[Hit]:
            time.sleep(0.05)
            return super().search_words(tenant, words, where, limit)

        def search_vector(self, tenant: str, vector: Sequence[float], where: Filter, limit: int) -> list[Hit]:
            return []

    world = make_world(tmp_path)
    index = timed("index", SlowWords())
    services = Services(Ports(world.ledger, index, world.embedder, world.queue, world.clock))
    times = begin_call_times()
    services.search.search(SearchRequest("default", "tea"))
    services.close()
    assert times.seconds()["index"] >= 0.05


def test_time_in_which_two_calls_overlap_counts_once() -> None:
    times = CallTimes()
    for began, ended in ((3.0, 4.0), (0.0, 2.0), (1.0, 1.5), (1.0, 2.5)):
        times.add("index", began, ended)
    assert times.seconds() == {"index": 3.5}


def test_the_gateways_part_is_from_its_receipt_until_the_function_began() -> None:
    scope = as_key(Role.ADMIN) | {"aws.event": {"requestContext": {"timeEpoch": int(time.time() * 1000) - 500}}}
    told = times_of(server_timing({"ledger": 0.002}, 0.1, scope))
    assert told["gateway"] >= 400
    assert told["ledger"] == 2.0
    assert told["total"] == 100.0


@pytest.mark.parametrize("event", [None, {}, {"requestContext": {}}, {"requestContext": {"timeEpoch": "soon"}}])
def test_without_a_gateway_it_is_left_out(event: Any) -> None:
    assert server_timing({}, 0.001, {"aws.event": event}) == "total;dur=1.00"


def test_a_clock_that_is_ahead_gives_no_negative_time() -> None:
    scope = {"aws.event": {"requestContext": {"timeEpoch": int(time.time() * 1000) + 60_000}}}
    assert times_of(server_timing({}, 0.0, scope))["gateway"] == 0.0


@pytest.mark.parametrize("role", [Role.READ, Role.WRITE])
def test_only_an_administrator_is_told_how_long_each_part_took(role: Role) -> None:
    """The time of the ledger or the embedder may tell a key what others have stored."""
    assert server_timing({"ledger": 0.002}, 0.1, as_key(role)) == "total;dur=100.00"
    assert set(times_of(server_timing({"ledger": 0.002}, 0.1, as_key(Role.ADMIN)))) == {"ledger", "total"}


def test_requests_do_not_see_each_others_times() -> None:
    port = timed("ledger", Port())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] |= as_key(Role.ADMIN)["state"]
        if scope["path"] == "/used":
            port.add(1, other=1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    client = TestClient(RequestMiddleware(app, run=run_inline))
    assert set(times_of(client.get("/used").headers["server-timing"])) == {"ledger", "total"}
    assert set(times_of(client.get("/unused").headers["server-timing"])) == {"total"}
