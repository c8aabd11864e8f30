"""Changed bodies, paths and queries for every route and every MCP tool: no answer is a 5xx, and all are JSON."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi.routing import APIRoute

from forgetless.api.mcp.tools import TOOLS
from tests.fuzz.random_json import mutated, odd
from tests.fuzz.targets import FaultFoundError
from tests.scale.tool_cases import TOOL_CASES
from tests.tenancy.route_cases import Ids, attacks_on, routes_of
from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api, make_api
from tests.unit.service.world import make_world

__all__ = ["RequestFuzz", "ToolFuzz"]

#: A world is made anew after so many requests: some of them erase everything or add much.
_CASES_PER_WORLD = 1500
_PARAMETERS = (
    "page", "page_size", "limit", "top_k", "cursor", "as_of", "known_at", "user_id", "filters", "show_expired",
    "from_version", "org_id", "fields",
)  # fmt: skip


class _Worlds:
    """An API, and a new one when it is worn."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = 0
        self._api: Api | None = None
        self._memory = ""

    def api(self) -> tuple[Api, str]:
        """The API, and the id of a memory that was in it at first."""
        if self._left == 0:
            self.close()
            self._api = make_api(make_world(Path(tempfile.mkdtemp(dir=self._folder))), mcp=True)
            [self._memory] = self._api.say("tea with lemon", user_id="alice", metadata={"topic": "tea"})
            self._left = _CASES_PER_WORLD
        self._left -= 1
        assert self._api is not None
        return self._api, self._memory

    def close(self) -> None:
        if self._api is not None:
            self._api.world.services.close()
            self._api.world.ledger.close()
            self._api = None


class RequestFuzz:
    """Every route over HTTP."""

    name = "requests"

    def __init__(self, folder: Path) -> None:
        self._worlds = _Worlds(folder)

    def case(self, rng: random.Random) -> str:
        api, memory = self._worlds.api()
        ids = Ids("alice", "bot", "r1", memory, "e", "b", "k", "web", "1", "default", "default", "w", "x")
        routes = [route for route in routes_of(api.client.app) if isinstance(route, APIRoute)]  # type: ignore[arg-type]
        attack = rng.choice(list(attacks_on(rng.choice(routes), ids)))
        path, _, query = attack.path.partition("?")
        if rng.random() < 0.15:
            part = rng.choice(path.split("/"))
            path = path.replace(part, quote(_text(odd(rng)), safe=""), 1) if part else path
        if rng.random() < 0.3:
            query = "&".join(filter(None, (query, urlencode({rng.choice(_PARAMETERS): _text(odd(rng))}))))
        headers = {"Content-Type": "application/json"}
        if rng.random() < 0.2:
            headers["Idempotency-Key"] = rng.choice(("k", "x" * 300, "a b"))
        if rng.random() < 0.1:
            headers["If-Match"] = rng.choice(('"1"', "*", "x", '"-1"', '"99999999999999999999"'))
        body = _bytes(rng, mutated(rng, attack.body)) if attack.body is not None or rng.random() < 0.1 else None
        sent = api.call(
            attack.method,
            f"{path}?{query}" if query else path,
            key=rng.choice((ADMIN, ADMIN, MEMBER, STRANGER)),
            content=body,
            headers=headers,
        )
        lines = sent.headers.get("content-type", "") != "application/json"
        _judge(f"{attack.method} {path}?{query} {headers} {body!r}", sent.status_code, b"" if lines else sent.content)
        return f"{sent.status_code // 100}xx"

    def close(self) -> None:
        self._worlds.close()


class ToolFuzz:
    """Every MCP tool, and the protocol around it."""

    name = "tools"

    def __init__(self, folder: Path) -> None:
        self._worlds = _Worlds(folder)

    def case(self, rng: random.Random) -> str:
        api, memory = self._worlds.api()
        name = rng.choice(sorted(TOOLS))
        known = TOOL_CASES.get(name)
        arguments: Any = dict(rng.choice(known).arguments) if known else {"user_id": "alice"}
        arguments = {key: memory if value == "<memory>" else value for key, value in arguments.items()}
        call: Any = {"name": name, "arguments": mutated(rng, arguments)}
        message: Any = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        if rng.random() < 0.1:
            message = mutated(rng, message)
        body = _bytes(rng, message)
        headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        sent = api.call("POST", "/mcp", key=rng.choice((ADMIN, MEMBER)), content=body, headers=headers)
        _judge(f"/mcp {body!r}", sent.status_code, sent.content)
        if sent.status_code == 200 and b'"error"' in sent.content and b"-32603" in sent.content:
            raise FaultFoundError(f"an internal error: /mcp {body!r}: {sent.text[:500]}")
        return f"{sent.status_code // 100}xx"

    def close(self) -> None:
        self._worlds.close()


def _judge(sent: str, status: int, content: bytes) -> None:
    """Raise FaultFoundError unless the status is below 500 and the content, if there is any, is JSON."""
    if status >= 500:
        raise FaultFoundError(f"{sent}: {status} {content[:500]!r}")
    if content:
        try:
            json.loads(content)
        except ValueError:
            raise FaultFoundError(f"{sent}: {status} is no JSON: {content[:500]!r}") from None


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()


def _bytes(rng: random.Random, body: Any) -> bytes:
    text = json.dumps(body, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    if rng.random() < 0.05:
        place = rng.randrange(len(text) + 1)
        return text[:place] + rng.choice((b"", b"\xff", b"\x00", b"{", b'"')) + text[place + 1 :]
    return text
