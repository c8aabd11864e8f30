"""The quotas of a tenant reach every key, also those that are made meanwhile, and stay with a key that is rotated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.quotas import Quotas, read_quotas
from forgetless.service.access.keys import KeyService
from forgetless.service.access.tenant_quotas import TenantQuotas
from tests.contract.ledger.making import keys_of as keys_held
from tests.fakes.clock import FakeClock

FIVE = Quotas.of({"adds_per_day": 5})


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


def keys_of(ledger: SqliteLedger) -> KeyService:
    return KeyService(ledger=ledger, clock=FakeClock())


def set_quota(ledger: SqliteLedger, *changes: str, tenant: str = "acme") -> Quotas:
    return TenantQuotas(ledger=ledger, clock=FakeClock()).set(tenant, list(changes))


def test_every_key_has_a_copy(ledger: SqliteLedger) -> None:
    keys = keys_of(ledger)
    before, _ = keys.create("acme", label="a", role=Role.ADMIN)
    other, _ = keys.create("other", label="a", role=Role.ADMIN)
    assert set_quota(ledger, "adds_per_day=5") == FIVE
    keys.create("acme", label="b", role=Role.READ)
    keys.register("acme", "r" * 40, role=Role.WRITE, label="c")
    successor, _, _ = keys.rotate("acme", before.id, overlap_s=60)
    assert successor.tenant_quotas == FIVE
    assert [key.tenant_quotas for key in keys_held(ledger, "acme")] == [FIVE] * 4
    assert ledger.key(other.hash) == other
    assert set_quota(ledger, "adds_per_day=none", "stored_memories=7") == Quotas.of(
        {"adds_per_day": None, "stored_memories": 7}
    )
    assert set_quota(ledger, "adds_per_day=default", "stored_memories=default") == Quotas()
    assert {key.tenant_quotas for key in keys_held(ledger, "acme")} == {Quotas()}


def test_a_key_that_is_made_while_the_quotas_are_set_gets_them(ledger: SqliteLedger) -> None:
    class Meanwhile(SqliteLedger):
        def put_key(self, key: ApiKey, *, held: ApiKey | None = None, most: int | None = None, now: str = "") -> bool:
            if held is None:
                set_quota(ledger, "adds_per_day=5")
            return super().put_key(key, held=held, most=most, now=now)

    slow = Meanwhile(ledger._connections.path)
    made, _ = keys_of(slow).create("acme", label="a", role=Role.WRITE)
    slow.close()
    found = ledger.key(made.hash)
    assert found is not None
    assert found.tenant_quotas == FIVE


def test_quotas_of_a_key_of_its_own(ledger: SqliteLedger) -> None:
    keys = keys_of(ledger)
    made, _ = keys.create("acme", label="a", role=Role.WRITE, quotas=["adds_per_day=5", "searches_per_day=2"])
    changed = keys.set_quotas("acme", made.id, ["adds_per_day=default", "searches_per_day=none"])
    assert changed.quotas == Quotas.of({"searches_per_day": None})
    successor, _, _ = keys.rotate("acme", made.id, overlap_s=60)
    assert successor.quotas == changed.quotas


def test_what_cannot_be_counted_is_refused(ledger: SqliteLedger) -> None:
    keys = keys_of(ledger)
    one_agent, whole = KeyLimits(("alice",), ("helper",), ("*",)), KeyLimits(("alice",), ("*",), ("*",))
    with pytest.raises(InvalidRequestError, match="stored_memories is counted only"):
        keys.create("acme", label="a", role=Role.WRITE, limits=one_agent, quotas=["stored_memories=5"])
    assert keys.create("acme", label="a", role=Role.WRITE, limits=whole, quotas=["stored_memories=5"])


@pytest.mark.parametrize(
    "given", ["adds=5", "adds_per_day", "adds_per_day=-1", "adds_per_day=many", "adds_per_day=1.5"]
)
def test_a_quota_that_is_none(given: str) -> None:
    with pytest.raises(InvalidRequestError, match="--quota: "):
        read_quotas([given], field="--quota")
