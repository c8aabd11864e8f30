"""The index on Milvus: Lite, standalone and Zilliz alike."""

from __future__ import annotations

from forgetless.adapters.index_milvus.index import MilvusIndex

__all__ = ["MilvusIndex"]
