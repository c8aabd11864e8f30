"""Milvus Lite as a server process on a unix socket: the index of a single machine."""

from __future__ import annotations

from local.milvus.server import LiteServer, LiteServerError

__all__ = ["LiteServer", "LiteServerError"]
