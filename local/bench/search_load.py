"""Measures search over many memories through the whole service: latency, throughput, and CPU time of each part."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.bench.cpu_times import cpu_per_request_ms, cpu_seconds
from local.bench.load import LoadResult, Plan, measure, request_text
from local.bench.texts import memories, queries
from local.client import Client, Connection

__all__ = ["CLIENTS", "SearchResult", "load", "measure_search", "user_of"]

CLIENTS = (1, 16, 64)
#: Texts in one add, and adds in parallel.
BATCH = 100
LOADERS = 3
#: Seconds after which no further add is sent, so that the whole bench stays below four minutes.
LOAD_S = 140.0
QUERIES = 500


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The figures for one number of clients, and the milliseconds of CPU that each part spent on a search."""

    result: LoadResult
    cpu_ms: dict[str, float]

    @property
    def total_cpu_ms(self) -> float:
        """Return the CPU time of all parts together for one search."""
        return round(sum(self.cpu_ms.values()), 3)

    def as_object(self) -> dict[str, Any]:
        """Return the figures as they are saved."""
        return {**self.result.as_object(), "cpu_ms": self.cpu_ms, "total_cpu_ms": self.total_cpu_ms}


def user_of(count: int) -> str:
    """Return the one user that has all memories of the bench, so that the filter excludes none."""
    return f"bench-{count}"


def load(client: Client, count: int, progress: Callable[[int], None]) -> int:
    """Add memories until there are ``count``; return how many there are, fewer if the machine is slow.

    Those of an earlier bench are used again. ``progress`` is called with the number that each add stored.
    """
    user = user_of(count)
    held = {entity["id"]: entity["total_memories"] for entity in client.call("GET", "/entities")}
    if held.get(user) == count:
        return count
    if user in held:
        client.delete_user(user)
    texts = memories(count)
    batches = [texts[start : start + BATCH] for start in range(0, count, BATCH)]
    end = time.monotonic() + LOAD_S
    total = 0
    with ThreadPoolExecutor(max_workers=LOADERS) as pool:
        for added in pool.map(lambda batch: _add(client, user, batch) if time.monotonic() < end else 0, batches):
            total += added
            progress(added)
    return total


def measure_search(connection: Connection, state: Path, count: int, seconds: float) -> list[SearchResult]:
    """Search without think time at each number of clients."""
    bodies = [{"query": query, "filters": {"user_id": user_of(count)}} for query in queries(QUERIES)]
    requests = tuple(request_text(connection.url, "POST", "/search", connection.key, body) for body in bodies)
    results = []
    for clients in CLIENTS:
        # The warm-up is a separate run, so that CPU times belong to counted requests only.
        measure(Plan(connection.url, requests, clients, seconds=1.0, warmup_s=0.5))
        before = cpu_seconds(state)
        result = measure(Plan(connection.url, requests, clients, seconds, warmup_s=0.0))
        spent = cpu_per_request_ms(before, cpu_seconds(state), result.requests)
        results.append(SearchResult(result, spent))
    return results


def _add(client: Client, user: str, texts: list[str]) -> int:
    messages = [{"role": "user", "content": text} for text in texts]
    return len(client.add(messages, user_id=user, infer=False)["results"])
