"""A closed-loop HTTP client that needs little CPU: each client sends its next request after its last answer.

It runs in a process of its own (`python -m local.bench.load`, a Plan as JSON on standard input, a LoadResult on
standard output), so that its CPU time is not counted as the service's.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

from local.client import ToolError

__all__ = ["LoadResult", "Plan", "measure", "request_text"]

#: Seconds to wait for requests in progress when the time is over.
GRACE_S = 10.0
#: Seconds between two attempts to connect to a service that refuses.
RECONNECT_S = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests to send, the number of clients, and the seconds; the warm-up is not counted."""

    url: str
    requests: tuple[str, ...]
    clients: int
    seconds: float
    warmup_s: float = 1.0


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The figures of a load; an error is a status other than 200, a broken connection or no answer."""

    clients: int
    requests: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]

    @property
    def per_second(self) -> float:
        """Answers in a second."""
        return self.requests / self.seconds if self.seconds else 0.0

    def as_object(self) -> dict[str, Any]:
        """Return the figures as they are saved."""
        return {**asdict(self), "per_second": round(self.per_second, 1)}


def request_text(url: str, method: str, path: str, key: str, body: object = None) -> str:
    """Return one whole HTTP/1.1 request, which can be sent repeatedly."""
    payload = "" if body is None else json.dumps(body)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", f"X-API-Key: {key}", "Accept: */*"]
    if payload:
        lines += ["Content-Type: application/json", f"Content-Length: {len(payload.encode())}"]
    return "\r\n".join([*lines, "", payload])


def measure(plan: Plan) -> LoadResult:
    """Carry out the plan in another process; raises ToolError when that fails."""
    limit = plan.warmup_s + plan.seconds + GRACE_S + 20.0
    command = (sys.executable, "-m", "local.bench.load")
    done = subprocess.run(
        command, input=json.dumps(asdict(plan)), capture_output=True, text=True, timeout=limit, check=False
    )
    if done.returncode != 0:
        raise ToolError(f"the load client failed: {done.stderr.strip()[-300:]}")
    return LoadResult(**json.loads(done.stdout))


class Run:
    """The state that all clients of a plan share."""

    def __init__(self, plan: Plan) -> None:
        self.requests = cycle([text.encode() for text in plan.requests])
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.began = time.perf_counter() + plan.warmup_s
        self.end = self.began + plan.seconds
        self.last = self.began

    @property
    def over(self) -> bool:
        """Return whether no further request is sent."""
        return time.perf_counter() >= self.end

    def record(self, sent: float, outcome: str) -> None:
        """Count an answer, unless its request belongs to the warm-up."""
        if sent < self.began:
            return
        self.last = time.perf_counter()
        self.latencies.append(self.last - sent)
        self.statuses[outcome] += 1

    def result(self, clients: int) -> LoadResult:
        """Return the figures so far."""
        ordered = sorted(self.latencies)
        errors = sum(count for outcome, count in self.statuses.items() if outcome != "200")
        return LoadResult(
            clients=clients,
            requests=len(ordered) - errors,
            errors=errors,
            seconds=round(self.last - self.began, 3),
            p50_ms=round(_share(ordered, 0.50) * 1000, 3),
            p99_ms=round(_share(ordered, 0.99) * 1000, 3),
            statuses=dict(self.statuses),
        )


class Exchange(asyncio.Protocol):
    """A connection that sends its next request after each answer."""

    def __init__(self, run: Run) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._run = run
        self._sent: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Parse the data; anything but HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_complete(self) -> None:
        """Count the answer and send the next request; the parser calls this."""
        if self._sent is not None:
            self._run.record(self._sent, str(self._parser.get_status_code()))
        self._sent = None
        if self._run.over or not self._parser.should_keep_alive():
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """Count a request without an answer."""
        if self._sent is not None:
            self._run.record(self._sent, "broken connection")
        if not self.closed.done():
            self.closed.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(next(self._run.requests))


async def _client(run: Run, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    while not run.over:
        attempt = time.perf_counter()
        try:
            _, exchange = await loop.create_connection(lambda: Exchange(run), host, port)
        except OSError:
            run.record(attempt, "no connection")
            await asyncio.sleep(RECONNECT_S)
            continue
        await exchange.closed


async def _carry_out(plan: Plan) -> LoadResult:
    address = urlsplit(plan.url)
    run = Run(plan)
    tasks = [
        asyncio.create_task(_client(run, address.hostname or "127.0.0.1", address.port or 80))
        for _ in range(plan.clients)
    ]
    _, hanging = await asyncio.wait(tasks, timeout=plan.warmup_s + plan.seconds + GRACE_S)
    for task in hanging:
        task.cancel()
        run.record(run.end, "no answer")
    return run.result(plan.clients)


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def main() -> None:
    """Read a plan, carry it out, write the result."""
    plan = Plan(**json.load(sys.stdin))
    json.dump(asdict(asyncio.run(_carry_out(plan))), sys.stdout)


if __name__ == "__main__":
    main()
