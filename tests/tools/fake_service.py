"""A small service in memory, with what the tools call of both dialects; search finds common words."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "test-key"


@dataclass
class FakeService:
    """The fake's memories, requests and address."""

    url: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    memories: list[dict[str, Any]] = field(default_factory=list)
    superseded: set[str] = field(default_factory=set)
    requests: list[tuple[str, str]] = field(default_factory=list)
    #: The bodies of the searches.
    asked: list[dict[str, Any]] = field(default_factory=list)
    #: Answers that override everything: path -> (status, body).
    broken: dict[str, tuple[int, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, body: dict[str, Any]) -> dict[str, Any]:
        stored = []
        for message in body["messages"]:
            given = {name: body.get(name) for name in ("user_id", "run_id", "metadata", "timestamp")}
            named = {"role": message["role"], "name": message.get("name")}
            stored.append({"id": str(uuid.uuid4()), "memory": message["content"], **given, **named})
        self.memories += stored
        return {"results": [{"id": one["id"], "memory": one["memory"], "event": "ADD"} for one in stored]}

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        words = set(body["query"].casefold().split())
        found = [one for one in self.live() if one["user_id"] == body["filters"]["user_id"]]
        scored = [one | {"score": len(words & set(one["memory"].casefold().split())) / len(words)} for one in found]
        scored.sort(key=lambda one: -one["score"])
        least = body.get("threshold", 0)
        return {"results": [one for one in scored if one["score"] >= least][: body.get("top_k", 20)]}

    def live(self) -> list[dict[str, Any]]:
        return [one for one in self.memories if one["id"] not in self.superseded]

    def answer(self, method: str, target: str, body: dict[str, Any]) -> tuple[int, Any]:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        self.requests.append((method, path))
        if path in self.broken:
            return self.broken[path]
        match method, path:
            case "POST", "/memories" | "/v3/memories/add/":
                return 200, self.add(body)
            case "POST", "/search" | "/v3/memories/search/":
                self.asked.append(body)
                return 200, self.search(body)
            case "GET", "/memories":
                return 200, {"results": [one for one in self.live() if [one["user_id"]] == query["user_id"]]}
            case "DELETE", "/memories":
                self.memories = [one for one in self.memories if [one["user_id"]] != query["user_id"]]
                return 200, {"message": "All relevant memories deleted"}
            case "GET", "/entities":
                totals = Counter(one["user_id"] for one in self.live())
                return 200, [{"id": user, "type": "user", "total_memories": total} for user, total in totals.items()]
            case "GET", "/configure":
                return 200, self.settings
            case "GET", "/configure/providers":
                return 200, {"llm": []}
        if path.endswith("/history"):
            return 200, [
                {
                    "event": "ADD",
                    "created_at": "t",
                    "updated_at": None,
                    "new_memory": f"history of {path}",
                    "old_memory": None,
                },
            ]
        return 404, {"detail": "Not Found"}


@contextmanager
def fake_service() -> Iterator[FakeService]:
    """A running fake on a free port."""
    service = FakeService()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length) or b"{}")
            if self.headers.get("X-API-Key") != KEY:
                status, answer = 401, {"detail": "Invalid API key."}
            else:
                with service.lock:
                    status, answer = service.answer(self.command, self.path, body)
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_DELETE = handle_one  # noqa: N815 - names of the base class

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
