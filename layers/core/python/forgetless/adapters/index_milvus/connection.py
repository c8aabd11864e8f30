"""The connection: one client for each Milvus server and process, calls with a timeout, and our own errors."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from forgetless.adapters.index_milvus import direct_calls
from forgetless.adapters.index_milvus.direct_calls import Found
from forgetless.adapters.index_milvus.grouped_inserts import GroupedInserts
from forgetless.adapters.index_milvus.lite_3 import FLUSHED_ROWS, is_lite_3
from forgetless.adapters.index_milvus.schema import load_collection, make_collection
from forgetless.adapters.index_milvus.word_columns import WordColumns
from forgetless.adapters.secrets_aws import Secret, shown
from forgetless.domain.backoff import Backoff
from forgetless.domain.errors import IndexDamagedError, IndexRefusedError, IndexUnavailableError
from forgetless.ports.trace import current_trace

__all__ = ["Collection"]

#: Milvus' error codes for a collection that does not exist, is not loaded, or has no index yet.
_NOT_READY = frozenset({100, 101, 700})
#: Lite may read BM25's statistics while a row is being written. A retry gets the right ones.
_BM25_RACE = "Invalid sparse row"
#: Lite accepts connections some milliseconds before it can store rows.
_STARTING = "has not been init"
#: Milvus' error codes when it cannot read its own data: an internal error, and an error of its segment reader.
_DAMAGED = frozenset({5, 2000})
#: Milvus' error codes for a parameter that is invalid, missing or too large.
_REFUSED = frozenset({1100, 1101, 1102})
_ATTEMPTS = 4
#: The waits between attempts. They have no jitter, because a Lite that is starting needs a certain time.
_BACKOFF = Backoff(first_s=0.01, longest_s=0.03, least=1.0)
_STARTING_BACKOFF = Backoff(first_s=0.2, longest_s=0.6, least=1.0)
#: Lite's errors for a collection without rows: BM25 has no mean length, and there are no vectors to read.
_EMPTY = ("Invalid sparse row: NaN", "Growing segment loss raw data")

#: Reconnect to a restarted Milvus quickly; by default gRPC waits one second at first. Ping as seldom as the server of
#: Milvus Lite allows, which is gRPC's default: every five minutes, during calls only. pymilvus pings every ten seconds,
#: and Lite then ends the connection ("too_many_pings"). A dead peer is noticed by the time-outs of the calls.
_GRPC_OPTIONS = {
    "grpc.keepalive_time_ms": 330_000,
    "grpc.keepalive_permit_without_calls": 0,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1000,
}

_lock = threading.Lock()
_clients: dict[tuple[str, str], Any] = {}
_users: dict[tuple[str, str], int] = {}


def _acquire(uri: str, token: str, timeout_s: float) -> Any:
    from pymilvus import MilvusClient  # noqa: PLC0415 - takes half a second, only where Milvus is used

    # pymilvus logs whole expressions, which contain clients' values. Failures are raised anyway.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    key = (uri, token)
    with _lock:
        if key not in _clients:
            _clients[key] = MilvusClient(uri=uri, token=token, timeout=timeout_s, grpc_options=_GRPC_OPTIONS)
        _users[key] = _users.get(key, 0) + 1
        return _clients[key]


def _release(uri: str, token: str) -> None:
    key = (uri, token)
    with _lock:
        _users[key] = _users.get(key, 0) - 1
        if _users[key] <= 0 and (client := _clients.pop(key, None)) is not None:
            client.close()


class Collection:
    """One collection in Milvus. It is connected and created at its first use. Thread-safe."""

    def __init__(
        self,
        uri: str,
        *,
        token: Secret,
        name: str,
        dimensions: int,
        words: WordColumns,
        missing: frozenset[str],
        past: bool = False,
        timeout_s: float,
    ) -> None:
        self._uri = uri
        self._token = token
        self._held_token = ""
        self._name = name
        self._dimensions = dimensions
        self._words = words
        self._missing = missing
        self._past = past
        self._timeout_s = timeout_s
        # Without any field named, 3.2.2 sends whole rows with vectors.
        self._shown = words.shown or ("pk",)
        #: Whether the server is Milvus Lite 3, and how many rows have been inserted since it was told to flush.
        self._lite_3 = False
        self._unflushed = 0
        self._inserts = GroupedInserts(self._insert, slow_s=timeout_s / 2)
        self._preparing = threading.Lock()
        self._client: Any = None
        self._prepared = False
        #: Milvus' types of the columns, once it is prepared.
        self._types: Mapping[str, int] = {}

    def call(self, operation: str, **arguments: Any) -> Any:
        """Call the client's method for this collection and return its result; raises IndexUnavailableError."""
        return self._translated(operation, lambda: self._call(operation, arguments))

    def insert(self, rows: list[dict[str, Any]]) -> None:
        """Insert rows, few of them with those of other threads; raises IndexRefusedError and IndexUnavailableError."""
        self._inserts.insert(rows)

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        self.call("insert", data=rows)
        self._unflushed += len(rows)
        if self._lite_3 and self._unflushed >= FLUSHED_ROWS:
            self._unflushed = 0
            self.call("flush")

    def search(self, *, data: list[Any], **arguments: Any) -> list[Found]:
        """The hits of each query in `data`; raises IndexUnavailableError."""
        asked = {"data": data, **arguments, "output_fields": list(self._shown)}
        found: list[Found] = self._translated("search", lambda: self._call("search", asked))
        return found or [Found((), (), {}) for _ in data]

    def ping(self) -> None:
        """Raise IndexUnavailableError unless Milvus answers now."""
        self.exists()

    def exists(self) -> bool:
        """Whether Milvus has the collection; raises IndexUnavailableError."""
        return bool(
            self._translated(
                "has_collection", lambda: self._connected().has_collection(self._name, timeout=self._timeout_s)
            )
        )

    def forget(self) -> None:
        """Drop the collection; its next use creates it again."""
        self._translated("drop", lambda: self._connected().drop_collection(self._name, timeout=self._timeout_s))
        self._prepared = False

    def close(self) -> None:
        """Release the client; its last user closes it."""
        with self._preparing:
            client, self._client, self._prepared = self._client, None, False
        if client is not None:
            _release(self._uri, self._held_token)

    def _call(self, operation: str, arguments: dict[str, Any]) -> Any:
        from pymilvus import MilvusException  # noqa: PLC0415

        for attempt in range(_ATTEMPTS):
            try:
                return self._once(operation, arguments)
            except MilvusException as exc:
                text = str(exc)
                if exc.code in _NOT_READY:
                    self._prepared = False
                elif any(reason in text for reason in _EMPTY) and attempt > 0:
                    return []
                elif not any(reason in text for reason in (_BM25_RACE, _STARTING, *_EMPTY)):
                    raise
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep((_STARTING_BACKOFF if _STARTING in text else _BACKOFF).wait_s(attempt))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _once(self, operation: str, arguments: dict[str, Any]) -> Any:
        client = self._connected()
        if not self._prepared:
            self._prepare(client)
        if (trace := current_trace()) is not None:  # Milvus writes it to its own log
            arguments = {**arguments, "client_request_id": trace.request_id or trace.job_id}
        if operation == "search":
            return self._searched(client, arguments)
        if operation == "insert" and self._inserted(client, arguments):
            return None
        return getattr(client, operation)(self._name, timeout=self._timeout_s, **arguments)

    def _searched(self, client: Any, arguments: dict[str, Any]) -> list[Found]:
        found = direct_calls.search(client, self._name, arguments, timeout_s=self._timeout_s)
        if found is not None:
            return found
        hits = client.search(self._name, timeout=self._timeout_s, **arguments)
        return [
            Found(
                one.ids, one.distances, {column: [hit["entity"][column] for hit in one] for column in self._words.shown}
            )
            for one in hits
        ]

    def _inserted(self, client: Any, arguments: dict[str, Any]) -> bool:
        request_id = arguments.get("client_request_id", "")
        return direct_calls.insert(
            client, self._name, arguments["data"], types=self._types, request_id=request_id, timeout_s=self._timeout_s
        )

    def _connected(self) -> Any:
        token = shown(self._token)
        if self._client is None or token != self._held_token:
            with self._preparing:
                if self._client is not None and token != self._held_token:
                    _release(self._uri, self._held_token)
                    self._client = None
                if self._client is None:
                    self._client, self._held_token = _acquire(self._uri, token, self._timeout_s), token
        return self._client

    def _prepare(self, client: Any) -> None:
        with self._preparing:
            if self._prepared:
                return
            self._types = make_collection(
                client,
                self._name,
                dimensions=self._dimensions,
                words=self._words,
                missing=self._missing,
                past=self._past,
                timeout_s=self._timeout_s,
            )
            self._lite_3 = is_lite_3(client, self._uri, timeout_s=self._timeout_s)
            load_collection(client, self._name, words=self._words, exact=self._lite_3, timeout_s=self._timeout_s)
            self._prepared = True

    def _translated(self, operation: str, call: Any) -> Any:
        from grpc import RpcError  # type: ignore[import-untyped]  # noqa: PLC0415
        from pymilvus import MilvusException  # noqa: PLC0415
        from pymilvus.exceptions import DataNotMatchException, ParamError  # noqa: PLC0415

        try:
            return call()
        except (MilvusException, RpcError) as exc:
            # Milvus' own message is left out, because it repeats the expression with clients' values.
            code = _code_of(exc)
            kind = IndexDamagedError if code in _DAMAGED else IndexUnavailableError
            # pymilvus itself compares rows with the collection, without a code.
            ours = isinstance(exc, ParamError | DataNotMatchException)
            if operation == "insert" and (code in _REFUSED or ours):
                kind = IndexRefusedError
            raise kind(f"Milvus did not complete {operation} (code {code})") from exc


def _code_of(error: Exception) -> object:
    """Milvus' number or gRPC's name of what went wrong."""
    code = getattr(error, "code", None)
    return getattr(code(), "name", None) if callable(code) else code
