"""Exports and summaries: a tenant's memories in the shape of a JSON schema, made anew whenever they are read."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.errors import InvalidRequestError, LlmUnavailableError, NotFoundError
from forgetless.domain.filters.ast import And, Filter
from forgetless.domain.filters.parse_platform import parse_platform_filter
from forgetless.domain.limits import REQUEST_S
from forgetless.domain.memory import Memory
from forgetless.ports.clock import Clock
from forgetless.ports.llm import Llm
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.reading.lists import ReadService
from forgetless.service.reading.search import unexpired
from forgetless.service.transfer import schema_shape as export_shaping
from forgetless.service.writing.extraction import ask_export, ask_summary

__all__ = ["EXPORT", "ExportService", "Shaped"]

#: The kind of these documents.
EXPORT = "export"
#: Memories in one export or summary: the newest.
MOST_MEMORIES = 1000
#: Exports among which one is looked for by its filters.
_LOOKED_THROUGH = 200


@dataclass(frozen=True, slots=True)
class Shaped:
    """An export's content; `by_llm` is False where fields were filled by their names."""

    content: Any
    by_llm: bool


class ExportService:
    """Keeps what was asked for, never what was found: what is deleted later is in no export."""

    def __init__(self, *, ledger: RequestLedger, reads: ReadService, llm: Llm | None, clock: Clock) -> None:
        self._ledger = ledger
        self._reads = reads
        self._llm = llm
        self._clock = clock

    def create(
        self, tenant: str, schema: Mapping[str, Any], filters: Mapping[str, Any], instructions: str | None
    ) -> str:
        """Remember the request; returns its id. Raises FilterError."""
        parse_platform_filter(filters)
        id_ = str(uuid.uuid4())
        body = {"schema": dict(schema), "filters": dict(filters), "instructions": instructions}
        if not self._ledger.put_document(Document(tenant, EXPORT, id_, body, self._clock.now())):
            raise InvalidRequestError("The export could not be created; try again.")
        return id_

    def get(self, tenant: str, id_: str | None, filters: Mapping[str, Any] | None) -> Shaped:
        """The export by its id, else the newest with these filters.

        Raises NotFoundError, LlmUnavailableError, LlmReplyError.
        """
        document = self._find(tenant, id_, filters)
        body = document.body
        memories = self._memories(tenant, parse_platform_filter(body["filters"]))
        if self._llm is None:
            return Shaped(export_shaping.shape(body["schema"], memories), by_llm=False)
        try:
            content = ask_export(
                self._llm,
                memories,
                body["schema"],
                body["instructions"],
                deadline_s=REQUEST_S,
                clock=self._clock,
            )
        except TimeoutError:
            raise LlmUnavailableError(f"the LLM did not answer within {REQUEST_S:g} s") from None
        return Shaped(content, by_llm=True)

    def summarise(self, tenant: str, where: Filter) -> tuple[str, int, bool]:
        """A text about what matches, the number of memories in it, and whether an LLM wrote it."""
        memories = self._memories(tenant, where)
        if self._llm is None or not memories:
            return "\n".join(memory.text for memory in memories), len(memories), False
        try:
            text = ask_summary(self._llm, memories, deadline_s=REQUEST_S)
        except TimeoutError:
            raise LlmUnavailableError(f"the LLM did not answer within {REQUEST_S:g} s") from None
        return text, len(memories), True

    def _find(self, tenant: str, id_: str | None, filters: Mapping[str, Any] | None) -> Document:
        if id_ is not None:
            found = self._ledger.document(tenant, EXPORT, id_)
        else:
            newest, _ = self._ledger.documents(tenant, EXPORT, limit=_LOOKED_THROUGH)
            found = next((one for one in newest if filters is None or one.body["filters"] == filters), None)
        if found is None:
            raise NotFoundError("No memory export request found")
        return found

    def _memories(self, tenant: str, where: Filter) -> Sequence[Memory]:
        judged = And((where, unexpired(self._clock.now())))
        return list(islice(self._reads.matching(tenant, judged), MOST_MEMORIES))
