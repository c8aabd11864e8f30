"""Changes a document that several writers share: read, change, write if nobody else has, otherwise try again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.errors import ConflictError
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore
from forgetless.service.conflict_retry import ConflictRetry

__all__ = ["Change", "change_document", "put_within"]

#: Maps the present document (None: there is none) to its next body. The result None leaves the document as it is.
Change = Callable[[Document | None], Mapping[str, Any] | None]


def change_document(
    ledger: DocumentStore, key: tuple[str, str, str], change: Change, *, clock: Clock
) -> Document | None:
    """The document with the key (tenant, kind, id) after the change.

    `change` may be called several times and must have no side effects.

    Raises what `change` raises, and ConflictError when other writers keep being first: then nothing was changed.
    """
    retry = ConflictRetry(clock)
    while True:
        held = ledger.document(*key)
        body = change(held)
        if body is None:
            return held
        changed = (
            Document(*key, body, clock.now()) if held is None else replace(held, body=body, version=held.version + 1)
        )
        if ledger.put_document(changed):
            return changed
        if not retry.again():
            raise ConflictError(f"Others keep changing this {key[1].replace('_', ' ')}; try again.")


def put_within(ledger: DocumentStore, document: Document, *, most: int) -> None:
    """Store a new document if its tenant then has at most `most` of its kind.

    Raises ConflictError when there are already `most`, or a document with this id. If several writers compete for the
    last place, it may be raised for all of them.
    """
    name = document.kind.replace("_", " ")
    full = ConflictError(f"There are {most} {name}s already; delete one first.")
    if _more_than(ledger, document, most - 1):
        raise full
    if not ledger.put_document(document):
        raise ConflictError(f"There is a {name} with this id already.")
    # Others may have counted at the same time. The writer that counts last sees the documents of all.
    if _more_than(ledger, document, most):
        ledger.delete_document(document.tenant, document.kind, document.id)
        raise full


def _more_than(ledger: DocumentStore, document: Document, count: int) -> bool:
    return ledger.count_documents(document.tenant, document.kind, limit=count + 1) > count
