"""The control address of the supervisor: says when the index file was compacted, and has it compacted at once.

`GET /compaction` and `POST /compaction`, which answers 202, say
`{"compacted_at": SECONDS | null, "waiting": bool, "error": TEXT | null}`. Whoever asked waits until `compacted_at`, the
time when the last compaction began, is later than that. There is no authentication, as in Milvus Lite itself.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.milvus.small_http import Answer, SmallHttp

__all__ = ["CompactionRequests", "ControlServer"]

_PATH = "/compaction"


class CompactionRequests:
    """Whether a compaction is wanted. Clients set it, and the supervisor's loop takes it."""

    def __init__(self, compacted_at: Callable[[], float | None]) -> None:
        self._compacted_at = compacted_at
        self._wanted = threading.Event()
        self._running = False
        self._error: str | None = None

    def want(self) -> None:
        """Ask for one."""
        self._error = None
        self._wanted.set()

    def begin(self) -> bool:
        """Whether one is wanted, which then begins. Who asks from now on gets another one."""
        self._running = self._wanted.is_set()
        self._wanted.clear()
        return self._running

    def end(self, error: str | None = None) -> None:
        """The compaction has ended."""
        self._error = error
        self._running = False

    def shown(self) -> dict[str, Any]:
        """The body of the answers."""
        waiting = self._running or self._wanted.is_set()
        return {"compacted_at": self._compacted_at(), "waiting": waiting, "error": self._error}


class ControlServer:
    """Answers on a unix socket (`PATH`) or on `HOST:PORT`, in a thread of its own."""

    def __init__(self, address: str, requests: CompactionRequests) -> None:
        self._requests = requests
        self._path = None if _is_port(address) else Path(address).absolute()
        if self._path is None:
            host, _, port = address.rpartition(":")
            bound = socket.create_server((host, int(port)))
            self._address = f"http://{bound.getsockname()[0]}:{bound.getsockname()[1]}"
        else:
            bound = _bound_path(self._path)
            self._address = f"unix:{self._path}"
        self._server = SmallHttp(bound, self._answer, name="control")

    @property
    def address(self) -> str:
        """Where it answers: `unix:PATH` or `http://HOST:PORT`."""
        return self._address

    def close(self) -> None:
        """Stop answering."""
        self._server.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _answer(self, method: str, path: str, _host: str) -> Answer:
        if path != _PATH or method not in {"GET", "POST"}:
            return self._shown(404 if path != _PATH else 405)
        if method == "POST":
            self._requests.want()
        return self._shown(202 if method == "POST" else 200)

    def _shown(self, status: int) -> Answer:
        return Answer(status, json.dumps(self._requests.shown()).encode(), "application/json")


def _bound_path(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound.bind(str(path))
    path.chmod(0o600)  # before anybody can connect: it does not listen yet
    return bound


def _is_port(address: str) -> bool:
    return "/" not in address and address.rpartition(":")[2].isdigit()
