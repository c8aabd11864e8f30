"""The published figures of the reference system: mem0's server, jina-v3 on infinity, Milvus, four cores or more."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["REFERENCE", "REFERENCE_CPU", "REFERENCE_NOTE", "Reference"]


@dataclass(frozen=True, slots=True)
class Reference:
    """One stage of the reference system."""

    p99_ms: float
    per_second: float
    errors: int = 0


#: By the number of concurrent users.
REFERENCE = {30: Reference(300.0, 14.0), 60: Reference(420.0, 25.0), 100: Reference(700.0, 42.5)}
#: Its CPU at 100 users in percent of one core; its proxy takes less than 2.
REFERENCE_CPU = {"API": 79.0, "embedder": 107.0, "Milvus": 52.0, "proxy": 2.0}
REFERENCE_NOTE = (
    "The reference is the published table of mem0's server with jina-v3 on infinity and Milvus standalone, on four "
    "cores or more. Its embedding model is larger than all-MiniLM-L6-v2, and its machine is another: read its figures "
    "as what its users are used to, not as a race. With a model of the same shape: make load "
    "EMBEDDING_MODEL=jina-v3-shape. For a race on one machine with one embedder: make versus-mem0."
)
