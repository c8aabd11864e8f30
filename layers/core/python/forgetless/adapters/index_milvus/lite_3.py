"""Milvus Lite 3: how it is told from other servers, and what it needs that they do not.

It flushes by size alone, and scans what is not flushed, so it must be told to flush. Its AUTOINDEX is a graph: a search
follows its links, over rows that the filter excludes as well, and ends before it has seen all rows. FLAT is exact.
"""

from __future__ import annotations

from typing import Any

__all__ = ["EXACT_INDEX", "FLUSHED_ROWS", "is_lite_3"]

#: It is told to flush after so many rows: 3,000 unflushed rows make a search take 0.4 s.
FLUSHED_ROWS = 500
#: The vector index that finds every row. It costs little there, because each search looks at every row anyway.
EXACT_INDEX = "FLAT"
_VERSION = "milvus_lite-3"


def is_lite_3(client: Any, uri: str, *, timeout_s: float) -> bool:
    """Whether the server is Milvus Lite 3; raises the client's error if the server cannot be reached."""
    from grpc import RpcError, StatusCode  # type: ignore[import-untyped]  # noqa: PLC0415 - only where Milvus is used
    from pymilvus import MilvusException  # noqa: PLC0415 - takes half a second

    if uri.startswith("unix:"):
        return False  # our own Lite 2.5.1, which does not know the question
    try:
        return str(client.get_server_version(timeout=timeout_s)).startswith(_VERSION)
    except MilvusException as error:
        # A server may refuse the question. pymilvus passes on gRPC's status if there was no answer at all.
        if isinstance(error.code, StatusCode):
            raise
        return False
    except RpcError as error:
        if error.code() is StatusCode.UNIMPLEMENTED:
            return False  # Lite 2.5.1 over TCP, as in compose
        raise
