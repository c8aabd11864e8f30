"""Measures the CPU time that metrics add to a request, and prints it: `python -m local.bench.metrics`.

Everything but the request itself is in memory or does nothing, so the difference is what recording and writing cost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

from mangum import Mangum

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.metrics_emf import EmfMetrics
from forgetless.adapters.metrics_prometheus import PrometheusMetrics
from forgetless.adapters.queue_none import NoQueue
from forgetless.api.app import create_app
from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.ports.embedder import Embedder
from forgetless.ports.index import Hit, Index
from forgetless.ports.metrics import MetricSink, recording_metrics
from forgetless.runtime.timed_ports import timed
from forgetless.service.services import Ports, Services

__all__ = ["main", "measured"]

_KEY = "key-of-the-measurement"
_OUTPUTS = ("off", "prometheus", "emf")
_DIMENSIONS = 8
#: Requests between two changes of the output, so that a slower moment of the machine is shared by all.
_PORTION = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table; the last column is what counts."""
    parser = argparse.ArgumentParser(prog="python -m local.bench.metrics", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="rounds of 20 requests (default %(default)s)")
    options = parser.parse_args(arguments)
    times = measured(options.rounds)
    print(f"{'request':10}{'metrics':>12}{'CPU ms':>10}{'added ms':>10}")
    for name, outputs in times.items():
        for output in _OUTPUTS:
            print(f"{name:10}{output:>12}{outputs[output]:10.3f}{outputs[output] - outputs['off']:10.3f}")
    return 0


def measured(rounds: int) -> dict[str, dict[str, float]]:
    """The CPU milliseconds of a request by its kind and the output of metrics, as the median of the rounds."""
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w", encoding="utf-8") as nowhere:
        sinks: dict[str, MetricSink | None] = {
            "off": None,
            "prometheus": PrometheusMetrics(),
            "emf": EmfMetrics(
                namespace="bench", service="forgetless", write=lambda line: print(line, file=nowhere, flush=True)
            ),
        }
        with _service(Path(folder)) as send:
            return {name: _medians(rounds, sinks, send, body) for name, body in _requests().items()}


def _requests() -> dict[str, tuple[str, dict[str, Any]]]:
    said = [{"role": "user", "content": "I like tea."}]
    return {
        "add": ("/memories", {"messages": said, "user_id": "alice", "infer": False}),
        "search": ("/search", {"query": "tea", "filters": {"user_id": "alice"}, "threshold": 0}),
    }


def _medians(
    rounds: int, sinks: dict[str, MetricSink | None], send: Callable[..., None], request: tuple[str, dict[str, Any]]
) -> dict[str, float]:
    times: dict[str, list[float]] = {output: [] for output in sinks}
    for _ in range(rounds):
        for output, sink in sinks.items():
            with recording_metrics(sink):
                began = time.process_time()
                for _ in range(_PORTION):
                    send(*request)
                    if sink is not None:
                        sink.flush()
                times[output].append((time.process_time() - began) * 1000 / _PORTION)
    return {output: statistics.median(found) for output, found in times.items()}


@contextmanager
def _service(folder: Path) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """A whole API on a SQLite file, called as Lambda calls it."""
    ledger = SqliteLedger(folder / "ledger.db")
    ledger.put_key(ApiKey(key_hash(_KEY), "default", Role.ADMIN, SystemClock().now()))
    index = cast("Index", _Everything())
    ports = Ports(
        ledger=timed("ledger", ledger),
        index=timed("index", index),
        embedder=timed("embedder", cast("Embedder", _SameVector())),
        queue=NoQueue(),
        clock=SystemClock(),
    )
    services = Services(ports)
    # Mangum would make a loop where there is none, and never close it.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    handler = Mangum(create_app(lambda: services, inline=True), lifespan="off")

    def send(path: str, body: dict[str, Any]) -> None:
        answer = handler(_event(path, body), None)  # type: ignore[arg-type] # Mangum looks into no context
        assert answer["statusCode"] == 200, answer["body"]

    with closing(loop), closing(services):
        send("/memories", _requests()["add"][1])
        yield send
        asyncio.set_event_loop(None)


def _event(path: str, body: dict[str, Any]) -> dict[str, Any]:
    http = {"method": "POST", "path": path, "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1"}
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"x-api-key": _KEY, "content-type": "application/json", "host": "localhost"},
        "requestContext": {"http": http, "requestId": "r", "stage": "$default", "timeEpoch": int(time.time() * 1000)},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


class _Everything:
    """An index that finds the last ten rows whatever is asked."""

    def __init__(self) -> None:
        self._rows: list[Hit] = []

    def insert(self, rows: Sequence[Any]) -> None:
        self._rows = [*(Hit(row.memory.id, row.memory.version, 0.5, row.signals) for row in rows), *self._rows][:10]

    def search_vector(self, *_: Any) -> list[Hit]:
        return self._rows

    def search_words(self, *_: Any) -> list[Hit]:
        return self._rows

    def ping(self) -> None:
        """It is always ready."""

    def close(self) -> None:
        """Nothing is open."""


class _SameVector:
    """An embedder that gives every text the same vector."""

    def embed(self, texts: Sequence[str], *_: Any, **__: Any) -> list[list[float]]:
        return [[1.0] + [0.0] * (_DIMENSIONS - 1) for _ in texts]

    def ping(self) -> None:
        """It is always ready."""

    def close(self) -> None:
        """Nothing is open."""


if __name__ == "__main__":
    raise SystemExit(main())
