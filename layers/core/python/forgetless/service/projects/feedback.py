"""Feedback: what users think of a memory. Each memory has at most one, which is deleted together with the memory."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.errors import NotFoundError
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.document_change import change_document

__all__ = ["FEEDBACK", "FeedbackService", "feedback_id"]

#: The kind of these documents. Their id is the id of the memory.
FEEDBACK = "feedback"


def feedback_id(memory_id: str) -> str:
    """The id of the feedback that clients see."""
    return str(uuid.uuid5(uuid.UUID(memory_id), FEEDBACK))


class FeedbackService:
    """Stores the last feedback on each memory."""

    def __init__(self, *, ledger: RequestLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def give(self, tenant: str, memory_id: str, feedback: str | None, reason: str | None) -> None:
        """Store the feedback in place of an earlier one; raises NotFoundError when there is no such memory."""

        def change(_: Document | None) -> dict[str, Any]:
            self._require(tenant, memory_id)
            return {"feedback": feedback, "feedback_reason": reason}

        # The ledger refuses the document of a memory that was deleted meanwhile; then `change` runs again and raises.
        change_document(self._ledger, (tenant, FEEDBACK, memory_id), change, clock=self._clock)

    def list(self, tenant: str, *, limit: int) -> Sequence[Document]:
        """The newest feedback, at most `limit` documents."""
        return self._ledger.documents(tenant, FEEDBACK, limit=limit)[0]

    def _require(self, tenant: str, memory_id: str) -> None:
        memory = self._ledger.read(tenant, [memory_id]).get(memory_id)
        if memory is None or memory.deleted:
            raise NotFoundError("Memory not found!")
