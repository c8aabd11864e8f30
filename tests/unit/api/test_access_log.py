"""The access log: a useful line for each request, from which nobody can be recognised."""

from __future__ import annotations

import io
import json
import logging
import uuid
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import anyio
import pytest
from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers

from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.keys import key_hash
from forgetless.domain.webhook_deliveries import DELIVERY, Delivery
from forgetless.ports.trace import TRACE, Trace, TraceFilter, begin_trace, current_trace
from tests.unit.api.client import ADMIN, STRANGER, Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_client import connected


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What Powertools writes for the package's loggers."""
    out = io.StringIO()
    package = logging.getLogger("forgetless")
    before = (package.level, list(package.handlers), package.propagate)
    # Powertools keeps its loggers by name, with their first stream.
    source = Logger(service=f"access-log-{uuid.uuid4()}", stream=out)
    for handler in source.handlers:
        handler.addFilter(TraceFilter())
    copy_config_to_registered_loggers(source, include={"forgetless"})
    yield out
    package.setLevel(before[0])
    package.handlers[:] = before[1]
    package.propagate = before[2]


def lines(log: io.StringIO) -> list[dict[str, object]]:
    written = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in written if line["message"] == "request"]


def test_a_request_is_one_line(api: Api, log: io.StringIO) -> None:
    (memory,) = api.say("tea")
    log.truncate(0)
    log.seek(0)
    answer = api.get(f"/memories/{memory}")
    (line,) = lines(log)
    key = api.world.ledger.key(key_hash(ADMIN))
    assert key is not None
    expected = {
        "method": "GET",
        "route": "/memories/{memory_id}",
        "status": 200,
        "tenant": "default",
        "key_id": key.id,
        "request_id": answer.headers["X-Request-ID"],
    }
    assert {name: line[name] for name in expected} == expected
    assert isinstance(line["ms"], float)


@pytest.mark.parametrize(
    ("key", "path", "status", "route", "tenant"),
    [
        (None, "/memories/secret-id", 401, "/memories/{memory_id}", None),
        (STRANGER, "/secret-path", 404, None, "other"),
        (STRANGER, "/entities?secret=1", 200, "/entities", "other"),
        (None, "/health", 200, "/health", None),
    ],
)
def test_refusals_are_lines_too(
    api: Api, log: io.StringIO, key: str | None, path: str, status: int, route: str | None, tenant: str | None
) -> None:
    assert api.get(path, key=key).status_code == status
    (line,) = lines(log)
    assert (line["status"], line.get("route"), line.get("tenant")) == (status, route, tenant)


def test_nothing_personal_is_written(api: Api, log: io.StringIO) -> None:
    secret = "sesame-9c1d"
    api.say(secret, user_id=secret, metadata={secret: secret})
    api.get(f"/memories?user_id={secret}", headers={"User-Agent": secret, "X-Forwarded-For": secret})
    api.post("/search", {"query": secret, "filters": {"user_id": secret}})
    api.get(f"/memories/{secret}")
    api.get(f"/{secret}")
    api.call(secret.upper(), "/memories")
    assert len(lines(log)) == 6
    assert secret not in log.getvalue().lower()


def test_a_failure_is_logged_with_its_status(api: Api, log: io.StringIO) -> None:
    api.world.index.available = False
    api.post("/search", {"query": "tea", "filters": {"user_id": "alice"}})
    assert [line["status"] for line in lines(log)] == [503]


def test_a_line_names_the_tool_that_mcp_was_asked_for(new_api: NewApi, log: io.StringIO) -> None:
    api = new_api(mcp=True)

    async def main() -> None:
        async with connected(api.client.app) as client:
            await client.call_tool("delete_all_memories", {"user_id": "alice-secret"})

    anyio.run(main)
    found = [line for line in lines(log) if "tool" in line]
    assert [(line["route"], line["tool"], line["status"]) for line in found] == [("/mcp", "delete_all_memories", 200)]
    assert all(line.get("route") == "/mcp" for line in lines(log) if line["method"] == "POST")
    assert "alice-secret" not in log.getvalue()


TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SAID = {"messages": "I like tea", "user_id": "alice"}


def all_lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_request_its_job_and_their_calls_have_one_trace(new_api: NewApi, log: io.StringIO) -> None:
    seen: list[Trace | None] = []

    def reply(_messages: object) -> str:
        seen.append(current_trace())
        return "nonsense"

    api = new_api(reply, inline=False)
    answer = api.post("/v3/memories/add/", SAID, headers={"traceparent": TRACEPARENT})
    request_id, job_id = answer.headers["x-request-id"], answer.json()["event_id"]
    api.world.services.ingest.run("default", job_id, seconds=60)
    (failed,) = [line for line in all_lines(log) if line["message"] == "an add failed"]
    trace_id = TRACEPARENT.split("-")[1]
    assert (failed["request_id"], failed["trace_id"], failed["job_id"]) == (request_id, trace_id, job_id)
    assert failed["reason"].startswith("provider_bad_reply")
    assert {trace and trace.ids()["request_id"] for trace in seen} == {request_id}
    (line,) = lines(log)
    assert (line["request_id"], line["trace_id"]) == (request_id, trace_id)
    assert current_trace() is None, "the worker's thread is free again"


def test_bulk_jobs_and_deliveries_know_the_request_that_caused_them(api: Api) -> None:
    body = {"url": "https://example.com/hook", "name": "all", "event_types": ["memory_add"]}
    project = api.get("/v1/ping/").json()["project_id"]
    assert api.post(f"/api/v1/webhooks/projects/{project}/", body).status_code == 201
    said = {"messages": [{"role": "user", "content": "tea"}], "user_id": "alice", "infer": False}
    added = api.post("/memories", said, headers={"traceparent": TRACEPARENT})
    (delivery,) = [Delivery.of(one) for one in api.world.ledger.documents("default", DELIVERY, limit=9)[0]]
    trace = [added.headers["x-request-id"], TRACEPARENT.split("-")[1]]
    assert list(delivery.trace) == trace

    def start() -> BulkJob:
        begin_trace(Trace(*trace))
        return api.world.services.bulk.start("default", BulkKind.REINDEX, {})

    job = copy_context().run(start)
    assert job.request[TRACE] == trace
