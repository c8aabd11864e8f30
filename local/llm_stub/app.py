"""The stub's HTTP server: OpenAI's chat completions, and the ways in which an LLM can fail."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local.llm_stub.rules import answer_for

__all__ = ["BEHAVIOURS", "make_app"]

#: Behaviours by the model's name. The header `x-stub-behaviour` (the name without "stub-") overrides the model.
BEHAVIOURS = {
    "stub": "facts by rule",
    "stub-nonsense": "always prose instead of JSON",
    "stub-repair": "prose first, facts when asked to repair it",
    "stub-nofacts": "an empty list of facts",
    "stub-empty": "no choices",
    "stub-400": "400 with a code",
    "stub-401": "401",
    "stub-429": "429 with Retry-After: 3",
    "stub-500": "500",
    "stub-slow": "one byte every 100 ms for ever",
    "stub-refuses-schema": "400 for response_format json_schema, else facts by rule",
}

_NONSENSE = "Sure! The user seems lovely."
_ERRORS = {
    "400": (400, "context_length_exceeded"),
    "401": (401, "invalid_api_key"),
    "429": (429, "rate_limit_exceeded"),
    "500": (500, "server_error"),
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parts of a completion request that the stub reads."""

    model: str
    system: str
    user: str
    repairs: bool
    format: str

    @classmethod
    def read(cls, body: dict[str, Any]) -> _Asked:
        messages = body.get("messages", [])
        data = [m["content"] for m in messages if m["role"] == "user" and "<data>" in m["content"]]
        users = [m["content"] for m in messages if m["role"] == "user"]
        return cls(
            model=str(body.get("model", "stub")),
            system=next((m["content"] for m in messages if m["role"] == "system"), ""),
            user=(data or users or [""])[-1],
            repairs=any(m["role"] == "assistant" for m in messages),
            format=str((body.get("response_format") or {}).get("type", "none")),
        )


def make_app(*, latency_ms: float = 300.0) -> Starlette:
    """Return the server; each completion takes `latency_ms`, or the time in the header `x-stub-latency-ms`."""
    ids = itertools.count(1)

    async def completions(request: Request) -> Response:
        number = next(ids)
        asked = _Asked.read(await request.json())
        behaviour = request.headers.get("x-stub-behaviour", asked.model.removeprefix("stub").lstrip("-"))
        await asyncio.sleep(float(request.headers.get("x-stub-latency-ms", latency_ms)) / 1000)
        return _respond(behaviour, asked, number)

    async def models(_request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in BEHAVIOURS]})

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", completions, methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
        ]
    )


def _respond(behaviour: str, asked: _Asked, number: int) -> Response:
    if behaviour in _ERRORS:
        return _error(*_ERRORS[behaviour])
    if behaviour == "slow":
        return StreamingResponse(_drip(), media_type="application/json")
    if behaviour == "empty":
        return JSONResponse({"choices": []})
    if behaviour == "refuses-schema" and asked.format == "json_schema":
        return _error(400, "unsupported_response_format")
    return JSONResponse(
        {
            "id": f"chatcmpl-stub-{number}",
            "object": "chat.completion",
            "created": 0,
            "model": asked.model,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": _content(behaviour, asked)},
                }
            ],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        }
    )


def _content(behaviour: str, asked: _Asked) -> str:
    if behaviour == "nonsense" or (behaviour == "repair" and not asked.repairs):
        return _NONSENSE
    if behaviour == "nofacts":
        return '{"facts": []}'
    return answer_for(asked.system, asked.user)


def _error(status: int, code: str) -> Response:
    headers = {"retry-after": "3"} if status == 429 else {}
    return JSONResponse(
        {"error": {"message": "the stub was asked to fail", "type": "stub_error", "code": code}}, status, headers
    )


async def _drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.1)
