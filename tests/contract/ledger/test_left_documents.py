"""Feedback that an earlier version left when its memory was deleted is found and removed, and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from forgetless.domain.documents import Document
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.service.projects import left_documents
from forgetless.service.projects.left_documents import remove_left_documents
from tests.contract.ledger.making import a_memory, add, at, delete, put_as_earlier_versions


def test_it_is_removed_from_every_tenant(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left_documents, "_PAGE", 2)
    kept: list[Document] = []
    for tenant in ("acme", "other"):
        memories = [a_memory(f"{tenant} {place}", scope=Scope(tenant, user_id="anna")) for place in range(7)]
        ledger.append(add(*memories))
        ledger.append(list(map(delete, memories[2:])))
        for second, memory in enumerate(memories):
            document = Document(tenant, "feedback", memory.id, {"feedback_reason": "told"}, at(second))
            put_as_earlier_versions(ledger, document)
            kept += [document] if memory in memories[:2] else []
        others = Document(tenant, "webhook", memories[-1].id, {}, at(1))
        unknown = replace(kept[-1], id="unknown", created_at=at(9))
        put_as_earlier_versions(ledger, others)
        put_as_earlier_versions(ledger, unknown)
        kept += [others, unknown]
    assert remove_left_documents(ledger) == 10
    held: Callable[[Document], Document | None] = lambda one: ledger.document(one.tenant, one.kind, one.id)  # noqa: E731
    assert list(map(held, kept)) == kept
    assert len(ledger.documents("acme", "feedback", limit=9)[0]) == 3
    assert remove_left_documents(ledger) == 0
