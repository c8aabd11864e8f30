"""Tests of the turnstile: the same seed gives the same run, and writers that lose updates are detected."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace

import httpx
import pytest

from forgetless.domain.documents import Document
from forgetless.ports.ledger import Ledger
from tests.concurrency.arena import Arena
from tests.contract.ledger.making import at

pytestmark = pytest.mark.parametrize("arena", [("dynamodb", 3)], indirect=True, ids=["dynamodb-3"])


def _count_up_carelessly(ledger: Ledger, number: int, name: str) -> None:
    """Reads, writes on condition, and does not look whether that was done."""
    held = ledger.document(name, "counter", "a")
    assert held is not None
    ledger.put_document(replace(held, version=held.version + 1, body={"n": held.body["n"] + 1}))


def _play(arena: Arena, name: str) -> tuple[int, list[tuple[int, str, str]]]:
    arena.ledger.put_document(Document(name, "counter", "a", {"n": 0}, at(0)))
    arena.race(_count_up_carelessly, name)
    document = arena.ledger.document(name, "counter", "a")
    assert document is not None
    assert arena.turnstile is not None
    return document.body["n"], list(arena.turnstile.trace)


def test_a_seed_says_what_happens(arena: Arena) -> None:
    games = []
    for seed in (1, 1, 2):
        arena.seed = seed
        games.append(_play(arena, f"game-{len(games)}"))
    assert games[0] == games[1]
    assert games[0][1] != games[2][1]


def test_updates_that_are_lost_are_seen_and_everything_happens_that_may(arena: Arena) -> None:
    counts, fates = [], set()
    for seed in range(12):
        arena.seed = seed
        count, trace = _play(arena, f"round-{seed}")
        counts.append(count)
        fates |= {fate for _, _, fate in trace}
    assert min(counts) < 3
    assert {"well", "throttled", "lost", "cut"} <= fates


def test_a_client_that_did_not_wait_for_its_turn_gets_it_when_it_asks_again(arena: Arena) -> None:
    """On a busy machine, a client's timeout ends before the others are at their doors."""
    turnstile = arena.turnstile
    assert turnstile is not None
    turnstile.begin(2, 1, faults={})

    def ask(door: int, timeout_s: float) -> int:
        headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
        return httpx.post(
            turnstile.urls[door], json={}, headers=headers, timeout=timeout_s, trust_env=False
        ).status_code

    with pytest.raises(httpx.TimeoutException):
        ask(0, 0.3)
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(ask, 0, 30.0)]
        time.sleep(0.5)  # it is at its door, beside the request that was given up
        asked.append(pool.submit(ask, 1, 30.0))
        first = next(as_completed(asked))
        turnstile.left(asked.index(first))
        assert [one.result() for one in asked] == [200, 200]
    assert len(turnstile.trace) == 2, "the request that was given up did nothing"
