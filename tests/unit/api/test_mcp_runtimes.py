"""/mcp in its runtimes: under uvicorn with many clients at once, and in one Lambda environment, call after call."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anyio
from mangum import Mangum

from forgetless.api.app import create_mcp_app
from tests.unit.api.client import ADMIN, make_api
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_client import connected
from tests.unit.servers import event_loop, serve_app
from tests.unit.service.world import make_world


def test_many_clients_at_once_under_uvicorn(new_api: NewApi) -> None:
    api = new_api(inline=False, mcp=True)
    answers: dict[int, Any] = {}

    async def converse(base: str, number: int) -> None:
        async with connected(None, base=base, mode=("auto", "legacy")[number % 2]) as client:
            user = f"user-{number}"
            await client.call_tool("add_memory", {"text": f"fact {number}", "user_id": user, "infer": False})
            answers[number] = (await client.call_tool("get_memories", {"user_id": user})).structured_content

    async def main(base: str) -> None:
        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(converse, base, number)

    with serve_app(api.client.app) as base:
        anyio.run(main, base)
    assert [[one["memory"] for one in answers[n]["results"]] for n in range(6)] == [[f"fact {n}"] for n in range(6)]


def test_one_lambda_environment_answers_call_after_call(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    make_api(world)  # its keys
    with event_loop():
        handler = Mangum(create_mcp_app(lambda: world.services, inline=True), lifespan="off")
        calls = [
            {"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": {"name": "list_entities", "arguments": {}}}
            for n in range(3)
        ]
        for call in calls:
            answer = handler(_event(call), None)  # type: ignore[arg-type]
            assert answer["statusCode"] == 200, answer
            assert json.loads(answer["body"])["id"] == call["id"]
        assert handler(_event(calls[0], method="GET"), None)["statusCode"] == 405  # type: ignore[arg-type]
        assert handler(_event(calls[0], path="/memories"), None)["statusCode"] == 404  # type: ignore[arg-type]
    world.ledger.close()


def _event(body: Any, *, method: str = "POST", path: str = "/mcp") -> dict[str, Any]:
    headers = {
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "host": "api.test",
        "x-api-key": ADMIN,
    }
    return {
        "version": "2.0",
        "routeKey": f"ANY {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "requestId": "r",
            "stage": "$default",
        },
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "isBase64Encoded": True,
    }
