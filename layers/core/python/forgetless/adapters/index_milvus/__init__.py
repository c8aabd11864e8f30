"""The index on Milvus: Milvus Lite, Milvus standalone or Zilliz Cloud."""

from __future__ import annotations

from forgetless.adapters.index_milvus.index import MilvusIndex

__all__ = ["MilvusIndex"]
