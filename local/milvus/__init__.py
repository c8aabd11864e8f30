"""Milvus Lite as a server process on a unix socket: the embedded index of one machine."""

from __future__ import annotations

from local.milvus.server import LiteServer, LiteServerError

__all__ = ["LiteServer", "LiteServerError"]
