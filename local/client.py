"""A client of the service for demo, evaluation and bench: mem0's self-hosted dialect over HTTP."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

__all__ = ["Client", "Connection", "ToolError", "add_options", "read_connection", "run"]

DEFAULT_URL = "http://127.0.0.1:3000"
#: An add with an LLM may take as long as the gateway's time limit.
TIMEOUT_S = 60.0

#: A message as it goes over the wire: {"role": …, "content": …}.
Message = Mapping[str, str]


class ToolError(Exception):
    """A tool cannot go on; the message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The address of the service, and the key of the requests."""

    url: str
    key: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` the two options that every tool has."""
    parser.add_argument("--url", default=DEFAULT_URL, help="where the service answers (default %(default)s)")
    parser.add_argument(
        "--api-key", default=None, help="its key (default: FORGETLESS_API_KEY, or the file api_key in the state folder)"
    )


def state_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder in which `make up` keeps the key and the record of its processes."""
    return Path(environment.get("FORGETLESS_STATE") or ".forgetless").expanduser()


def read_connection(options: argparse.Namespace, environment: Mapping[str, str]) -> Connection:
    """Take the key from the option, the environment or the file that `make up` wrote; raises ToolError without one."""
    key = options.api_key or environment.get("FORGETLESS_API_KEY", "").strip()
    if not key:
        file = state_folder(environment) / "api_key"
        try:
            key = file.read_text(encoding="utf-8").strip()
        except OSError:
            raise ToolError(f"no API key: start the service with `make up` (no {file}) or give --api-key") from None
    return Connection(options.url.rstrip("/"), key)


class Client:
    """Calls that raise ToolError for every answer but 200; may be shared by threads."""

    def __init__(self, connection: Connection, *, timeout_s: float = TIMEOUT_S) -> None:
        self._http = httpx.Client(
            base_url=connection.url, headers={"X-API-Key": connection.key}, timeout=timeout_s, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def add(self, messages: Sequence[Message], **fields: Any) -> dict[str, Any]:
        """POST /memories; the whole answer."""
        return self._object("POST", "/memories", json={"messages": list(messages), **fields})

    def search(self, query: str, filters: Mapping[str, Any], **fields: Any) -> list[dict[str, Any]]:
        """POST /search; the results, best first."""
        answer = self._object("POST", "/search", json={"query": query, "filters": dict(filters), **fields})
        return list(answer["results"])

    def add_dated(self, messages: Sequence[Message], **fields: Any) -> list[dict[str, Any]]:
        """POST /v3/memories/add/, where an add may have a `timestamp`; its results, once the add is done."""
        body = {"messages": list(messages), "async_mode": False, **fields}
        answer = self._object("POST", "/v3/memories/add/", json=body)
        if "results" not in answer:
            raise ToolError(f"the add was not done at once: {answer}")
        return list(answer["results"])

    def search_dated(self, query: str, filters: Mapping[str, Any], **fields: Any) -> list[dict[str, Any]]:
        """POST /v3/memories/search/, where a question may have a `reference_date`; the results, best first."""
        body = {"query": query, "filters": dict(filters), **fields}
        return list(self._object("POST", "/v3/memories/search/", json=body)["results"])

    def history(self, memory_id: str) -> list[dict[str, Any]]:
        """GET /memories/{id}/history; its events, oldest first."""
        return list(self.call("GET", f"/memories/{memory_id}/history"))

    def get(self, memory_id: str) -> dict[str, Any]:
        """GET /memories/{id}; shows superseded memories as well."""
        return self._object("GET", f"/memories/{memory_id}")

    def delete_user(self, user_id: str) -> None:
        """DELETE /memories?user_id=…; deletes all memories of this user."""
        self.call("DELETE", "/memories", params={"user_id": user_id})

    def settings(self) -> dict[str, Any]:
        """GET /configure; the settings in force, without secrets."""
        return self._object("GET", "/configure")

    def call(self, method: str, path: str, **rest: Any) -> Any:
        """Send one request and return the JSON of the answer."""
        try:
            answer = self._http.request(method, path, **rest)
        except httpx.HTTPError as error:
            raise ToolError(
                f"{method} {path}: no answer from {self._http.base_url} ({type(error).__name__}); does `make up` run?"
            ) from error
        if answer.status_code != httpx.codes.OK:
            raise ToolError(f"{method} {path}: status {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    def _object(self, method: str, path: str, **rest: Any) -> dict[str, Any]:
        answer = self.call(method, path, **rest)
        if not isinstance(answer, dict):
            raise ToolError(f"{method} {path}: expected a JSON object, got {str(answer)[:100]}")
        return answer


def llm_configured(settings: Mapping[str, Any]) -> bool:
    """Whether the service extracts facts: its settings name an LLM (an API key alone does not)."""
    shown = settings.get("settings", settings)
    return any(bool(shown.get(name)) for name in ("OPENAI_BASE_URL", "FORGETLESS_LLM_MODEL"))


def run(tool: Callable[[Sequence[str], Mapping[str, str]], int]) -> None:
    """Run a tool's main function and end the process: errors are one line, Ctrl-C ends with 130."""
    try:
        sys.exit(tool(sys.argv[1:], os.environ))
    except ToolError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
