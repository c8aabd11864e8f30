"""Idempotency-Key on writes: a request repeated with the same key and body gets the same answer and has one effect.

Requests that only read, and those that may be repeated without harm, accept the header and ignore it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forgetless.api.body_limit import read_body, replayed
from forgetless.api.caller import get_caller, set_idempotency_key
from forgetless.api.routing import Route, Runner
from forgetless.api.value_count import MOST_VALUES, has_more_values, json_work, read_json
from forgetless.domain.errors import ForgetlessError, InvalidRequestError
from forgetless.domain.memory import MEMORY_ID
from forgetless.domain.usage import UsageKind
from forgetless.ports.request_effects import note_repeat
from forgetless.ports.request_ledger import IdempotencyRecord
from forgetless.service.access.idempotency import StoredAnswer

__all__ = ["MAX_KEY_CHARS", "Idempotency", "fingerprint"]

MAX_KEY_CHARS = 255

_logger = logging.getLogger(__name__)


class Idempotency:
    """ASGI layer around an endpoint: stores answers by tenant, method, path and key; failures are not stored."""

    def __init__(self, app: ASGIApp, *, run: Runner, route: Route) -> None:
        self._app = app
        self._run = run
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._route
        key = _key(scope)
        if key is None:
            await self._app(scope, receive, send)
            return
        if not route.kept:
            raise InvalidRequestError(f"Idempotency-Key: leave it out; answers of {route.shown} are never stored.")
        name = f"{scope['method']} {scope['path']} {key}"
        caller = get_caller(scope)
        body = await read_body(receive)

        def begin() -> tuple[str, IdempotencyRecord | StoredAnswer]:
            digest, adds = fingerprint(body, scope["query_string"]), route.counts is UsageKind.ADDS
            requests = caller.services.idempotency
            return requests.begin(caller.tenant, name, digest, limits=caller.key_limits, adds=adds)

        job, began = await self._run(begin)
        if isinstance(began, StoredAnswer):
            note_repeat()
            await Response(began.body, began.status, _REPLAYED, "application/json")(scope, receive, send)
            return
        set_idempotency_key(scope, job)
        answer = _Answer()
        try:
            await self._app(scope, replayed(body, receive), answer.take)
        except Exception:
            await self._forget(scope, name, began)
            raise
        if 200 <= answer.status < 300 and _can_be_found(scope):
            await self._keep(scope, name, began, answer)
        else:
            await self._forget(scope, name, began)
        await answer.give(send)

    async def _keep(self, scope: Scope, name: str, began: IdempotencyRecord, answer: _Answer) -> None:
        caller = get_caller(scope)

        def finish() -> None:
            text = answer.body.decode()
            caller.services.idempotency.finish(caller.tenant, name, began, answer.status, text)

        try:
            await self._run(finish)
        except ForgetlessError as error:  # the request was done, and the client must get its answer
            _logger.warning("request %s: the answer was not stored: %s", scope["state"]["request_id"], error.code)

    async def _forget(self, scope: Scope, name: str, began: IdempotencyRecord) -> None:
        caller = get_caller(scope)
        try:
            await self._run(lambda: caller.services.idempotency.drop(caller.tenant, name, began))
        except ForgetlessError as error:  # the lease of the record expires
            _logger.warning("request %s: the key was not released: %s", scope["state"]["request_id"], error.code)


def fingerprint(body: bytes, query: bytes = b"") -> str:
    """A digest of query and body. A JSON body counts with its keys sorted, any other body with its bytes.

    So does one with too many values: no route accepts it, and to sort it takes long.
    """
    canonical = body
    with suppress(ValueError, RecursionError), json_work(body):
        if not has_more_values(body, MOST_VALUES):
            canonical = json.dumps(read_json(body), sort_keys=True, separators=(",", ":")).encode("ascii")
    return hashlib.sha256(query + b"\n" + canonical if query else canonical).hexdigest()


class _Answer:
    """A response that is held back until it is stored."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self._start: Message = {}

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._start = message
        else:
            self.body += message.get("body", b"")

    async def give(self, send: Send) -> None:
        await send(self._start)
        await send({"type": "http.response.body", "body": self.body})


def _can_be_found(scope: Scope) -> bool:
    """Whether an erasure of the memory in the path finds the answer: earlier imports took ids of any form."""
    memory_id = scope.get("path_params", {}).get("memory_id")
    return memory_id is None or MEMORY_ID.fullmatch(memory_id) is not None


_REPLAYED = {"Idempotency-Replayed": "true"}


def _key(scope: Scope) -> str | None:
    raw = next((value for name, value in scope["headers"] if name == b"idempotency-key"), None)
    if raw is None:
        return None
    key: str = raw.decode("latin-1").strip()
    if not 1 <= len(key) <= MAX_KEY_CHARS or not (key.isascii() and key.isprintable()):
        raise InvalidRequestError(f"Idempotency-Key must be 1 to {MAX_KEY_CHARS} printable ASCII characters.")
    return key
