"""The port to whoever keeps the files of the index: when they were rewritten, so that nothing deleted is in them."""

from __future__ import annotations

from typing import Protocol

__all__ = ["IndexFiles"]


class IndexFiles(Protocol):
    """The files of Milvus Lite; Milvus standalone and Zilliz do not tell."""

    def cleaned_at(self) -> str | None:
        """When the last rewriting began; None if there was none. Raises IndexUnavailableError."""
