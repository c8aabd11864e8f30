"""DynamoLedger: all stores of the ledger port in one table."""

from __future__ import annotations

import uuid

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_dynamodb import schema
from forgetless.adapters.ledger_dynamodb.backlog import BacklogStore
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.adapters.ledger_dynamodb.documents import DocumentStore
from forgetless.adapters.ledger_dynamodb.erasures import ErasureStore
from forgetless.adapters.ledger_dynamodb.expiry import Expiry
from forgetless.adapters.ledger_dynamodb.idempotency_records import IdempotencyStore
from forgetless.adapters.ledger_dynamodb.inspection import InspectionStore
from forgetless.adapters.ledger_dynamodb.item_keys import SCHEMA
from forgetless.adapters.ledger_dynamodb.keys import KeyStore
from forgetless.adapters.ledger_dynamodb.leases import LeaseStore
from forgetless.adapters.ledger_dynamodb.memories import MemoryStore
from forgetless.adapters.ledger_dynamodb.messages import MessageStore
from forgetless.adapters.ledger_dynamodb.names import NameStore
from forgetless.adapters.ledger_dynamodb.page_ends import PageEndStore
from forgetless.adapters.ledger_dynamodb.ranges import RangeStore
from forgetless.adapters.ledger_dynamodb.staged_commit import Stages
from forgetless.adapters.ledger_dynamodb.table import Table
from forgetless.adapters.ledger_dynamodb.tenant_removal import TenantStore
from forgetless.adapters.ledger_dynamodb.unit_of_work import Units
from forgetless.adapters.ledger_dynamodb.usage import UsageStore
from forgetless.domain.limits import SCRUB_PATIENCE_S
from forgetless.ports.clock import Clock
from forgetless.ports.schema_plan import SchemaPlan

__all__ = ["DynamoLedger"]


class DynamoLedger(
    MemoryStore,
    MessageStore,
    BacklogStore,
    LeaseStore,
    KeyStore,
    DocumentStore,
    IdempotencyStore,
    PageEndStore,
    NameStore,
    ErasureStore,
    TenantStore,
    InspectionStore,
    RangeStore,
    UsageStore,
):
    """The ledger in the table with this name, which any number of processes can share.

    botocore finds region, credentials and endpoint as usual (also AWS_ENDPOINT_URL_DYNAMODB). Nothing is opened before
    the first call. A call that is throttled or conflicts with other writes is retried for `patience_s` seconds.
    A job that succeeds expires `succeeded_jobs_s` seconds later (None: never); the table's TTL removes it.
    """

    def __init__(
        self,
        table: str,
        *,
        endpoint_url: str | None = None,
        patience_s: float = 10.0,
        succeeded_jobs_s: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._client = Client(table, patience_s=patience_s, endpoint_url=endpoint_url)
        expiry = Expiry(clock or SystemClock(), succeeded_jobs_s=succeeded_jobs_s)
        super().__init__(Units(Table(self._client, expiry)))

    def ping(self) -> None:
        self._table.read([SCHEMA])
        if self._units.in_doubt:
            # A lease that expires before it begins. It has a new owner each time, so that something is written.
            self.acquire_lease("write trial", owner=uuid.uuid4().hex, now="", until="")
            self._units.in_doubt = False

    def tidy(self) -> int:
        return self._units.stages.tidy()

    def scrub_erased(self, *, patience_s: float = SCRUB_PATIENCE_S) -> bool:
        del patience_s
        return True  # nothing of an item remains in the table when it is replaced or deleted

    def create_table(self) -> None:
        """Create the table where no template does (tests, one machine); harmless when it exists."""
        schema.create(self._client)

    def plan(self) -> SchemaPlan:
        """What `migrate` would do."""
        return schema.plan(self._client)

    def migrate(self) -> int:
        """Bring the table to our schema version; returns the number of steps."""
        # A change that a dead process left half done would bring back items of the old version.
        Stages(Table(self._client, self._table.expiry, of_any_version=True)).tidy()
        return schema.migrate(self._client)

    def close(self) -> None:
        self._client.close()
