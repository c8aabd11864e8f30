"""A running Forgetless as the commands use it: over HTTP, with an administrator's key. Lost requests are sent again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpcore

from forgetless.cli.service_answers import Answer, detail_of, export_place, import_counts, import_place
from forgetless.domain.backoff import Backoff, Timer, Tries
from forgetless.domain.errors import (
    ConflictError,
    DependencyError,
    ForbiddenError,
    ForgetlessError,
    InvalidRequestError,
    NotFoundError,
)
from forgetless.service.transfer.export_jobs import ExportAnswer, ExportPlace
from forgetless.service.transfer.import_check import ImportCounts
from forgetless.service.transfer.import_jobs import ImportPlace

__all__ = ["RemoteExports", "RemoteImports", "Service", "read_key"]

#: Seconds that a request may take: the gateway gives up before that.
TIMEOUT_S = 60.0
#: Seconds for which a request is sent again while the service does not answer: it may be starting.
PATIENCE_S = 60.0
#: The most bytes of an answer. A portion of an export has a tenth of it.
MOST_BYTES = 64 * 1024 * 1024
_PAUSES = Backoff(first_s=0.5, longest_s=10.0)
#: Statuses that a later try may change. Every request of this module may be repeated.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSALS: Mapping[int, type[ForgetlessError]] = {
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
}


def read_key(given: str | None, environment: Mapping[str, str]) -> str:
    """The key: the option, the environment, or the file that `make up` wrote; raises InvalidRequestError without."""
    key = given or environment.get("FORGETLESS_API_KEY", "").strip()
    if key:
        return key
    file = Path(environment.get("FORGETLESS_STATE") or ".forgetless").expanduser() / "api_key"
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        raise InvalidRequestError(
            f"no API key: give --api-key or set FORGETLESS_API_KEY (there is no {file})"
        ) from None


class Service:
    """Requests to one service. What it refuses is raised as the error that it stands for."""

    def __init__(
        self, url: str, key: str, *, clock: Timer, patience_s: float = PATIENCE_S, timeout_s: float = TIMEOUT_S
    ) -> None:
        try:
            httpcore.URL(url)
        except (ValueError, TypeError) as error:
            raise InvalidRequestError(f"--url: {url!a} is no address: {error}") from None
        if not (key.isascii() and key.isprintable()):
            raise InvalidRequestError("--api-key: a key of Forgetless has only characters of ASCII that can be seen")
        self._url = url.rstrip("/")
        self._key = key
        self._pool = httpcore.ConnectionPool()
        self._clock = clock
        self._patience_s = patience_s
        self._timeout_s = timeout_s

    def call(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, lines: bytes = b""
    ) -> Answer:
        """The answer to a request with a JSON `body`, or with `lines`. It is sent again while the service is away."""
        url = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        content = lines if body is None else json.dumps(body).encode()
        kind = "application/x-ndjson" if body is None else "application/json"
        headers = {"X-API-Key": self._key, "Content-Type": kind}
        tries = Tries(_PAUSES, patience_s=self._patience_s, clock=self._clock)
        while True:
            answer = self._attempt(method, url, headers, content)
            if not isinstance(answer, str):
                found, received = answer
                return Answer(received, found, f"{method} {path}")
            if not tries.again():
                raise DependencyError(f"{method} {path}: {answer}. Give the command again to go on where it was.")

    def _attempt(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes
    ) -> tuple[Mapping[str, str], bytes] | str:
        """The headers and the body of the answer, or why there is none yet."""
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s)
        try:
            with self._pool.stream(
                method, url, headers=list(headers.items()), content=content, extensions={"timeout": limits}
            ) as answer:
                received = self._received(answer)
        except httpcore.UnsupportedProtocol:
            raise InvalidRequestError(f"--url: {self._url} must begin with http:// or https://") from None
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            return f"no answer from {self._url} ({type(error).__name__})"
        if answer.status in _PASSING:
            return f"status {answer.status}: {detail_of(answer.status, received)}"
        if answer.status != HTTPStatus.OK:
            raise _REFUSALS.get(answer.status, InvalidRequestError)(detail_of(answer.status, received))
        found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
        return found, received

    def _received(self, answer: httpcore.Response) -> bytes:
        """The body of an answer; raises InvalidRequestError before it fills the memory."""
        received = bytearray()
        for part in answer.iter_stream():
            received += part
            if len(received) > MOST_BYTES:
                raise InvalidRequestError(
                    f"--url: an answer of {self._url} has more than {MOST_BYTES} bytes, so it is none of Forgetless; "
                    "check the address"
                )
        return bytes(received)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class RemoteImports:
    """The imports of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def begin(self, job_id: str, *, file: str, lines: int | None, afresh: bool) -> ImportPlace:
        body = {"id": job_id, "file": file, "lines": lines, "afresh": afresh}
        return import_place(self._service.call("POST", "/import-jobs", body=body))

    def take(self, job_id: str, body: bytes, *, line: int, before: str, last: bool) -> ImportPlace:
        query = {"line": line, "before": before, "last": "true" if last else "false"}
        answer = self._service.call("POST", f"/import-jobs/{job_id}/lines", query=query, lines=body)
        place = import_place(answer)
        if place.line == line and not place.ended:
            answer.odd("it has taken no line of those that were sent")
        return place

    def check(self, body: bytes, *, ours: bool) -> ImportCounts:
        """Which memories of these lines the service has."""
        query = {"events": "true" if ours else "false"}
        answer = self._service.call("POST", "/import-checks", query=query, lines=body)
        return import_counts(answer, most=body.count(b"\n"))


class RemoteExports:
    """The exports of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def begin(self, job_id: str) -> ExportPlace:
        return export_place(self._service.call("POST", "/export-jobs", body={"id": job_id}))

    def fetch(self, job_id: str, cursor: str | None) -> ExportAnswer:
        answer = self._service.call("POST", f"/export-jobs/{job_id}/lines", body={"cursor": cursor})
        following = answer.cursor(before=cursor)
        place = ExportPlace(following, 0, answer.count("x-events"), ended=following is None)
        return ExportAnswer(answer.lines(), place)

    def all_lines(self) -> Iterator[bytes]:
        cursor: str | None = None
        while True:
            answer = self._service.call("GET", "/export", query={"cursor": cursor} if cursor else None)
            yield answer.lines()
            cursor = answer.cursor(before=cursor)
            if cursor is None:
                return
