"""Clients of Milvus that count what is asked of them, or whose channel fails."""

from __future__ import annotations

from collections import Counter
from typing import Any

from grpc import RpcError, StatusCode  # type: ignore[import-untyped]
from pymilvus.grpc_gen import common_pb2, milvus_pb2


class CountingClient:
    """Counts what is asked of pymilvus' client, by name."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self._client, name)


class FailingChannel(CountingClient):
    """A client on whose channel each direct call ends as told."""

    def __init__(self, client: Any, outcome: Any) -> None:
        super().__init__(client)
        self._outcome, self._stub = outcome, self

    def _get_connection(self) -> FailingChannel:
        return self

    def Search(self, *_: Any, **__: Any) -> Any:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    Insert = Search


class LostCallError(RpcError):  # type: ignore[misc]
    """gRPC's error for a call that ended with a status."""

    def __init__(self, status: StatusCode) -> None:
        super().__init__()
        self.code = lambda: status


REFUSED = milvus_pb2.MutationResult(status=common_pb2.Status(code=1100, reason="a refusal"))
