"""A gateway in this process: the APIs of a template, before functions that answer what they are told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
from starlette.testclient import TestClient

from local.emulator.gateway.app import Gateway
from local.emulator.gateway.outside import Trust
from local.emulator.invocation import InvokeResult, ThrottledError, error_result
from local.emulator.specs import Place
from local.emulator.template.reader import read_template

__all__ = ["NEVER", "REGION", "Function", "Served", "raised"]

REGION = "eu-x-1"
#: The answer of a function that never answers.
NEVER = object()


def raised(message: str) -> InvokeResult:
    """Return the result of a function that raised an error."""
    return error_result("Exception", message)


class Function:
    """A function: answers what it is told to, and keeps the events that it got."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = {"statusCode": 200} if answer is None else answer
        self.events: list[dict[str, Any]] = []

    def submit(self, payload: bytes, *, trace_id: str = "", client_context: str = "") -> asyncio.Future[InvokeResult]:
        self.events.append(json.loads(payload))
        future: asyncio.Future[InvokeResult] = asyncio.get_running_loop().create_future()
        answer = self.answer(self.events[-1]) if callable(self.answer) else self.answer
        if isinstance(answer, ThrottledError):
            future.set_exception(answer)
        elif isinstance(answer, InvokeResult):
            future.set_result(answer)
        elif answer is not NEVER:
            future.set_result(InvokeResult(answer if isinstance(answer, bytes) else json.dumps(answer).encode()))
        return future


class Served:
    """The APIs of a template, whose functions are `F` and, to authorize, `Guard`."""

    def __init__(self, path: Path, functions: Mapping[str, Function], trust: Trust) -> None:
        self.template = read_template(path, Place(REGION))
        self.functions = {"F": Function(), "Guard": Function(), **functions}
        self.client = TestClient(Gateway(self.template.apis, self.functions, 3000, REGION, trust=trust))

    def ask(self, path: str, method: str = "GET", **fields: Any) -> httpx.Response:
        response: httpx.Response = self.client.request(method, path, **fields)
        return response

    def event(self, path: str, method: str = "GET", **fields: Any) -> dict[str, Any]:
        """Return the event of a request that `F` gets."""
        answer = self.ask(path, method, **fields)
        assert answer.status_code == 200, answer.text
        return self.functions["F"].events[-1]


Serve = Callable[..., Served]
