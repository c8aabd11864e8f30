"""Server-Timing: each part's time is told, and a port that is timed behaves as it did."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from starlette.testclient import TestClient

from forgetless.api.request_middleware import RequestMiddleware
from forgetless.api.server_timing import begin, server_timing, timed


class Port:
    name = "a port"

    def add(self, one: int, *, other: int) -> int:
        return one + other

    def fail(self) -> None:
        raise ValueError("as it is")


def times_of(header: str) -> dict[str, float]:
    return {part: float(ms) for part, ms in re.findall(r"(\w+);dur=([\d.]+)", header)}


def test_a_timed_port_answers_as_it_did() -> None:
    port = timed("ledger", Port())
    begin()
    assert port.add(1, other=2) == 3
    assert port.add(3, other=4) == 7
    assert port.name == "a port"
    with pytest.raises(ValueError, match="as it is"):
        port.fail()
    with pytest.raises(AttributeError):
        port.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_calls_add_up_by_part_and_failing_ones_count() -> None:
    ledger, index = timed("ledger", Port()), timed("index", Port())
    parts = begin()
    ledger.add(1, other=2)
    after_one = parts["ledger"]
    ledger.add(1, other=2)
    with pytest.raises(ValueError, match="as it is"):
        index.fail()
    assert 0 < after_one < parts["ledger"]
    assert set(parts) == {"ledger", "index"}


def test_without_a_request_nothing_is_recorded() -> None:
    port = timed("ledger", Port())
    assert copy_context().run(_unrecorded, port.add) == 3


def _unrecorded(call: Callable[..., int]) -> int:
    return call(1, other=2)


def test_a_thread_that_works_for_the_request_counts() -> None:
    parts = begin()
    port = timed("index", Port())
    with ThreadPoolExecutor(1) as pool:
        pool.submit(copy_context().run, lambda: port.add(1, other=1)).result()
    assert parts["index"] > 0


def test_the_gateways_part_is_from_its_receipt_until_the_function_began() -> None:
    scope = {"aws.event": {"requestContext": {"timeEpoch": int(time.time() * 1000) - 500}}}
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


def test_requests_do_not_see_each_others_times() -> None:
    port = timed("ledger", Port())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/used":
            port.add(1, other=1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    client = TestClient(RequestMiddleware(app))
    assert set(times_of(client.get("/used").headers["server-timing"])) == {"ledger", "total"}
    assert set(times_of(client.get("/unused").headers["server-timing"])) == {"total"}
