"""IndexCleanings: notes when the index's files were rewritten, so that receipts of erasures can say so.

Sweep looks once a minute. It notes which tenants have memories whose rows in the index may be out of date, and whether
the files were rewritten since its last look. Such a rewriting counts for erasures that had ended before that look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.erasure_receipts import Cleaning
from forgetless.ports.clock import Clock
from forgetless.ports.index_files import IndexFiles
from forgetless.ports.ledger import Ledger
from forgetless.service.document_change import change_document

__all__ = ["IndexCleanings"]

#: The document, which belongs to no tenant.
_PLACE = ("", "index-files", "cleanings")
#: So many are kept: more than one a day for as long as records of erasures are kept. The oldest ones go first.
_KEPT = 200
#: If more tenants have pending memories, a rewriting counts for none.
_MOST_PENDING = 1000


class IndexCleanings:
    """`files` is None where nobody tells when files of the index are rewritten."""

    def __init__(self, *, ledger: Ledger, files: IndexFiles | None, clock: Clock) -> None:
        self._ledger = ledger
        self._files = files
        self._clock = clock

    def look(self) -> int:
        """Note what is to be noted; returns how many rewritings were new. Raises IndexUnavailableError."""
        if self._files is None:
            return 0
        # In this order: what had ended by `now` and is not pending after it, was out of the index before the rewriting
        # that the next look finds.
        now = self._clock.now()
        pending = self._ledger.pending_tenants(limit=_MOST_PENDING)
        cleaned_at = self._files.cleaned_at()
        noted = 0

        def change(held: Document | None) -> Mapping[str, Any]:
            nonlocal noted
            body: Mapping[str, Any] = {} if held is None else held.body
            cleanings = list(body.get("cleanings", ()))
            looked_at = body.get("looked_at")
            # One that began before the last look was noted then, or is older than the first look.
            noted = int(cleaned_at is not None and looked_at is not None and cleaned_at > looked_at)
            if noted and len(body["pending"]) < _MOST_PENDING:
                cleanings.append({"at": cleaned_at, "since": looked_at, "pending": body["pending"]})
            return {"looked_at": now, "pending": pending, "cleanings": cleanings[-_KEPT:]}

        change_document(self._ledger, _PLACE, change, clock=self._clock)
        return noted

    def all(self) -> list[Cleaning]:
        """The rewritings that are known, the oldest first."""
        held = self._ledger.document(*_PLACE)
        found = () if held is None else held.body["cleanings"]
        return [Cleaning(one["at"], one["since"], tuple(one["pending"])) for one in found]
