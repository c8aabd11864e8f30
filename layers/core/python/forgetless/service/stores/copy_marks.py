"""Marks of copies: each backup has a random name, which the ledger notes before it is copied.

A ledger that knows the name of a copy has been in use after that copy was made, or took its keys from one that was.
Times cannot tell that: a revocation leaves none, and a ledger that was restored from an older copy has newer ones.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from forgetless.domain.documents import Document
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore
from forgetless.service.document_change import change_document

__all__ = ["COPIES", "knows_copy", "note_copy"]

#: The kind of the document, which belongs to no tenant.
COPIES = "copies"
_PLACE = ("", COPIES, "names")
#: So many names are kept, the newest last. A copy that is older is judged by its keys.
_MOST = 1000
_NAME_BYTES = 8


def note_copy(ledger: DocumentStore, *, clock: Clock) -> None:
    """Give the copy that is made next a name. Raises ConflictError when other processes keep doing so."""
    name = secrets.token_hex(_NAME_BYTES)

    def noted(held: Document | None) -> dict[str, list[str]]:
        names = () if held is None else _names([held])
        return {"names": [*names, name][-_MOST:]}

    change_document(ledger, _PLACE, noted, clock=clock)


def knows_copy(held: Iterable[Document], copy: Iterable[Document]) -> bool | None:
    """Whether the ledger with the documents `held` knows a copy with these documents; None: nothing tells."""
    known, names = _names(held), _names(copy)
    if not names:
        return None  # an earlier version made the copy
    if names[-1] in known:
        return True
    return None if len(known) == _MOST else False


def _names(documents: Iterable[Document]) -> tuple[str, ...]:
    return tuple(name for one in documents if one.kind == COPIES for name in one.body["names"])
