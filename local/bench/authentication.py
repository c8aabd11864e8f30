"""Measures the CPU time of authentication and access for one request, with a warm cache."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.embedder_http import HttpEmbedder
from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.queue_none import NoQueue
from forgetless.api.access import GuardedRoute
from forgetless.api.app import all_routes
from forgetless.api.auth import Authentication
from forgetless.api.routing import run_inline
from forgetless.api.usage import CountedRequests
from forgetless.domain.keys import Role
from forgetless.domain.quotas import DefaultQuotas, QuotaName, Quotas
from forgetless.service.services import Ports, Services

__all__ = ["AuthenticationCost", "authentication_cost"]

REQUESTS = 5000
_REPEATS = 5
_NOWHERE = "http://127.0.0.1:1"
_METHOD, _ROUTE = "DELETE", "/api-keys/{key_id}"
_PATH = "/api-keys/5f0c2a9e-0000-5000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class AuthenticationCost:
    """Milliseconds of CPU for one request: of any key, and of one whose requests are counted."""

    key_ms: float
    counted_ms: float


def authentication_cost(requests: int = REQUESTS) -> AuthenticationCost:
    """Return the lowest of several runs, minus the time of the same loop without these layers."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = SqliteLedger(Path(folder) / "ledger.db")
        # Index and embedder are asked for nothing here, so they never connect.
        index = MilvusIndex(_NOWHERE, collection="bench", dimensions=1)
        ports = Ports(ledger, index, HttpEmbedder(_NOWHERE, model="none", dimensions=1), NoQueue(), SystemClock())
        quotas = DefaultQuotas(key=Quotas.of({QuotaName.REQUESTS_PER_MINUTE: 10**9}))
        plain, counted = Services(ports), Services(ports, quotas=quotas)
        _, secret = plain.keys.create("bench", label="bench", role=Role.ADMIN)
        apps = (_nothing, _layers(plain), _layers(counted))
        nothing, key, with_rate = (min(_seconds(app, secret, requests) for _ in range(_REPEATS)) for app in apps)
        ledger.close()
    return AuthenticationCost((key - nothing) / requests * 1000, (with_rate - nothing) / requests * 1000)


def _layers(services: Services) -> ASGIApp:
    declared = next(one for one in all_routes() if (one.method, one.shown) == (_METHOD, _ROUTE))
    guarded = GuardedRoute(declared, run=run_inline)
    guarded.app = _nothing
    return Authentication(CountedRequests(guarded.handle, run=run_inline), services=lambda: services, run=run_inline)


async def _nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


def _seconds(app: ASGIApp, secret: str, requests: int) -> float:
    headers = [(b"host", b"localhost"), (b"user-agent", b"bench"), (b"authorization", b"Bearer " + secret.encode())]

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Message) -> None:
        return None

    async def run() -> float:
        start = 0.0
        for number in range(requests + 1):
            if number == 1:  # The first request asks the ledger.
                start = time.process_time()
            scope = {"type": "http", "method": _METHOD, "path": _PATH, "headers": headers}
            await app(scope, receive, send)
        return time.process_time() - start

    return asyncio.run(run())
