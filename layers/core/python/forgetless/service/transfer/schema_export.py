"""Exports to a JSON schema, and summaries. An export is made from the present memories each time it is read."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.errors import ConflictError, LlmUnavailableError, NotFoundError
from forgetless.domain.filters.ast import Filter
from forgetless.domain.filters.parse_platform import parse_platform_filter
from forgetless.domain.limits import REQUEST_S
from forgetless.domain.memory import Memory
from forgetless.domain.retention import DAY_S
from forgetless.domain.schema_exports import ACCEPTED, EXPORT, KEPT_S
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.llm import Llm
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.document_change import put_within
from forgetless.service.llm_waits import LlmWaits
from forgetless.service.reading.lists import ReadService
from forgetless.service.requests import PageOf, PageRequest
from forgetless.service.transfer import schema_shape as export_shaping
from forgetless.service.writing.extraction import ask_export, ask_summary

__all__ = ["ExportService", "Shaped", "Summary"]

#: The most memories in one export or summary; the newest are taken, from as many rows as a list may look at.
MOST_MEMORIES = 1000
#: The most exports among which one is searched for by its filters.
_LOOKED_THROUGH = 200
#: The most requests of a tenant that are kept: each may have 77 KB.
MOST_KEPT = 5000
_FULL = (
    f"There are {MOST_KEPT:,} requests of exports already. Read one of them again, by its id or its filters, or wait: "
    f"each is removed {KEPT_S / DAY_S:.0f} days after it was made."
)
#: How many of them are read at once: their schemas may be large.
_READ_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Shaped:
    """The content of an export; `by_llm` is false if the fields were filled by their names, without an LLM.

    `whole` is false if more memories may match than the `memories` that it was made from.
    """

    content: Any
    by_llm: bool
    memories: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary of `memories`; `whole` is false if more may match. Without an LLM, it is their texts."""

    text: str
    by_llm: bool
    memories: int
    whole: bool


class ExportService:
    """Stores the request of an export, never its result, so that no export contains what was deleted later."""

    def __init__(
        self, *, ledger: RequestLedger, reads: ReadService, llm: Llm | None, clock: Clock, waits: LlmWaits
    ) -> None:
        self._waits = waits
        self._ledger = ledger
        self._reads = reads
        self._llm = llm
        #: Whether an LLM is asked.
        self.asks_llm = llm is not None
        self._clock = clock

    def create(
        self, tenant: str, schema: Mapping[str, Any], filters: Mapping[str, Any], instructions: str | None
    ) -> str:
        """Store the request of an export and return its id.

        Raises FilterError, and ConflictError if the tenant has as many as are kept, or if anything of it is erased
        meanwhile: the erasure may already have looked through the requests, and this one may name what it is about.
        """
        parse_platform_filter(filters)
        accepted = self._ledger.erasure_state(tenant).last
        id_ = str(uuid.uuid4())
        body = {"schema": dict(schema), "filters": dict(filters), "instructions": instructions, ACCEPTED: accepted}
        now = self._clock.now()
        export = Document(tenant, EXPORT, id_, body, now, due_at=later(now, KEPT_S))
        put_within(self._ledger, export, most=MOST_KEPT, full=_FULL)
        if self._ledger.erasure_state(tenant).last > accepted:
            self._ledger.delete_document(tenant, EXPORT, id_)
            raise ConflictError("Memories of this tenant were erased meanwhile; send the request of the export again.")
        return id_

    def get(
        self,
        tenant: str,
        id_: str | None,
        filters: Mapping[str, Any] | None,
        *,
        check_reader: Callable[[Filter], None],
    ) -> Shaped:
        """The export with the id or, without an id, the newest one with these filters (None: with any filters).

        `check_reader` raises unless the reader, who may be another than the maker, may read what the export's filters
        match. Raises NotFoundError, LlmUnavailableError and LlmReplyError.
        """
        document = self._find(tenant, id_, filters)
        body = document.body
        where = parse_platform_filter(body["filters"])
        check_reader(where)
        page = self._memories(tenant, where)
        memories, whole = page.items, page.cursor is None
        if self._llm is None:
            return Shaped(export_shaping.shape(body["schema"], memories), False, len(memories), whole)
        try:
            with self._waits.needed(tenant):
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
        return Shaped(content, True, len(memories), whole)

    def summarise(self, tenant: str, where: Filter) -> Summary:
        """A summary of the memories that match. Raises LlmUnavailableError and LlmReplyError."""
        page = self._memories(tenant, where)
        memories, whole = page.items, page.cursor is None
        if self._llm is None or not memories:
            return Summary("\n".join(memory.text for memory in memories), False, len(memories), whole)
        try:
            with self._waits.needed(tenant):
                text = ask_summary(self._llm, memories, deadline_s=REQUEST_S)
        except TimeoutError:
            raise LlmUnavailableError(f"the LLM did not answer within {REQUEST_S:g} s") from None
        return Summary(text, True, len(memories), whole)

    def _find(self, tenant: str, id_: str | None, filters: Mapping[str, Any] | None) -> Document:
        if id_ is not None:
            found = self._ledger.document(tenant, EXPORT, id_)
        else:
            newest = islice(self._newest(tenant), _LOOKED_THROUGH)
            found = next((one for one in newest if filters is None or one.body["filters"] == filters), None)
        if found is None:
            raise NotFoundError("No memory export request found")
        return found

    def _newest(self, tenant: str) -> Iterator[Document]:
        cursor = None
        while True:
            found, cursor = self._ledger.documents(tenant, EXPORT, limit=_READ_AT_ONCE, cursor=cursor)
            yield from found
            if cursor is None:
                return

    def _memories(self, tenant: str, where: Filter) -> PageOf[Memory]:
        """The newest of the memories that match; as for a page of a list, the rows that are looked at are bounded."""
        return self._reads.page(PageRequest(tenant, where, MOST_MEMORIES, number=None, counted=False))
