"""The quotas of a tenant: one document, and a copy in each of its keys, so that requests read them with their key."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from forgetless.domain.documents import Document
from forgetless.domain.quotas import QUOTAS, Quotas, read_quotas
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import KeyStore
from forgetless.ports.request_ledger import DocumentStore
from forgetless.service.access.key_pages import unrevoked_keys
from forgetless.service.document_change import change_document

__all__ = ["KeyLedger", "TenantQuotas", "copied_to_keys", "held_quotas"]

_ID = "tenant"


class KeyLedger(KeyStore, DocumentStore, Protocol):
    """The part of the ledger that keys and their quotas need."""


class TenantQuotas:
    """Reads and sets the quotas of tenants, for operators."""

    def __init__(self, *, ledger: KeyLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def get(self, tenant: str) -> Quotas:
        """What was set for the tenant; the settings' quotas apply to all else."""
        return held_quotas(self._ledger, tenant)

    def set(self, tenant: str, changes: list[str]) -> Quotas:
        """Apply changes such as `adds_per_day=1000`; they are in force everywhere within 30 s.

        Raises InvalidRequestError. If it is stopped halfway, repeat it: then all keys have the same copy.
        """

        def changed(held: Document | None) -> dict[str, int | None]:
            before = Quotas() if held is None else Quotas.of(held.body)
            return read_quotas(changes, field="--quota", held=before).record()

        change_document(self._ledger, (tenant, QUOTAS, _ID), changed, clock=self._clock)
        return copied_to_keys(self._ledger, tenant)


def held_quotas(ledger: DocumentStore, tenant: str) -> Quotas:
    """The quotas in the tenant's document."""
    document = ledger.document(tenant, QUOTAS, _ID)
    return Quotas() if document is None else Quotas.of(document.body)


def copied_to_keys(ledger: KeyLedger, tenant: str) -> Quotas:
    """Give every key of the tenant a copy of its quotas, also if they or the keys change meanwhile; returns them.

    A revoked key needs none.
    """
    while True:
        quotas = held_quotas(ledger, tenant)
        done = [
            key.tenant_quotas == quotas or ledger.put_key(replace(key, tenant_quotas=quotas), held=key)
            for key in unrevoked_keys(ledger, tenant)
        ]
        if all(done) and held_quotas(ledger, tenant) == quotas:
            return quotas
