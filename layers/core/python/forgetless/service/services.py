"""Services: all use cases of one environment, composed from ports."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from forgetless.domain.limits import CONCURRENT_REQUESTS
from forgetless.domain.moments import Moment
from forgetless.ports.clock import Clock
from forgetless.ports.embedder import Embedder
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger
from forgetless.ports.llm import Llm
from forgetless.ports.queue import JobQueue
from forgetless.ports.webhooks import WebhookSender
from forgetless.service.access.idempotency import IdempotencyService
from forgetless.service.access.keys import KeyService
from forgetless.service.access.limited_index import LimitedIndex
from forgetless.service.access.limited_ledger import LimitedLedger
from forgetless.service.access.rate_limit import RateLimiter
from forgetless.service.health import HealthService
from forgetless.service.jobs.ingest import IngestService
from forgetless.service.jobs.sweep import SweepService
from forgetless.service.projects.feedback import FeedbackService
from forgetless.service.projects.settings import ProjectService
from forgetless.service.reading.as_of import AsOfService
from forgetless.service.reading.lists import ReadService
from forgetless.service.reading.search import SearchService
from forgetless.service.reading.views import AsOfView, PresentView, View
from forgetless.service.transfer.event_export import EventExport
from forgetless.service.transfer.event_import import EventImport
from forgetless.service.transfer.schema_export import ExportService
from forgetless.service.webhooks.delivery import DeliveryService
from forgetless.service.webhooks.outbox import Announcer
from forgetless.service.webhooks.registry import WebhookService
from forgetless.service.writing.add import AddService
from forgetless.service.writing.change import ChangeService
from forgetless.service.writing.generate_instructions import InstructionService
from forgetless.service.writing.indexer import Indexer
from forgetless.service.writing.infer import InferenceRun
from forgetless.service.writing.recall import Recall

__all__ = ["Ports", "Services"]

#: Sets of users whose services are kept ready; the one that was not asked for longest goes first.
_MOST_LIMITED = 256


@dataclass(frozen=True, slots=True)
class Ports:
    """The adapters that an environment has chosen; `llm` and `webhooks` are None where there are none."""

    ledger: Ledger
    index: Index
    embedder: Embedder
    queue: JobQueue
    clock: Clock
    llm: Llm | None = None
    webhooks: WebhookSender | None = None


class Services:
    """The use cases over one set of ports."""

    def __init__(
        self,
        ports: Ports,
        *,
        settings_shown: Mapping[str, Any] | None = None,
        checks: Mapping[str, Callable[[], None]] | None = None,
        message_retention_s: float | None = None,
        rebuilds_lost_index: bool = True,
        requests_per_minute: int = 0,
        announcer: Announcer | None = None,
        pool: Executor | None = None,
    ) -> None:
        ledger, clock = ports.ledger, ports.clock
        indexer = Indexer(ledger=ledger, index=ports.index, embedder=ports.embedder)
        # Webhooks hear of a limited key's changes too, though it may not see them.
        self._announcer = announcer = announcer or Announcer(ledger=ledger, clock=clock)
        inference = _inference(ports, indexer, announcer)
        self._ports = ports
        self.rates = RateLimiter(per_minute=requests_per_minute, clock=clock) if requests_per_minute > 0 else None
        self._limited: OrderedDict[tuple[str, ...], Services] = OrderedDict()
        self._limiting = threading.Lock()
        # One thread beside each request that is worked on; they start when they are first needed.
        self._pool = pool or ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="search-words")
        self._settings_shown = dict(settings_shown or {})
        self.add = AddService(
            ledger=ledger, indexer=indexer, queue=ports.queue, clock=clock, inference=inference, announcer=announcer
        )
        self.search = SearchService(
            ledger=ledger, index=ports.index, embedder=ports.embedder, clock=clock, pool=self._pool
        )
        self.reads = ReadService(ledger=ledger, clock=clock)
        self.as_of = AsOfService(ledger=ledger, indexer=indexer, embedder=ports.embedder, clock=clock)
        self._present = PresentView(self.search, self.reads)
        self.changes = ChangeService(ledger=ledger, indexer=indexer, clock=clock, announcer=announcer)
        self.projects = ProjectService(ledger=ledger, clock=clock)
        self.feedback = FeedbackService(ledger=ledger, clock=clock)
        self.webhooks = WebhookService(ledger=ledger, clock=clock)
        self.exports = ExportService(ledger=ledger, reads=self.reads, llm=ports.llm, clock=clock)
        self.keys = KeyService(ledger=ledger, clock=clock)
        self.idempotency = IdempotencyService(ledger=ledger, clock=clock)
        self.deliveries = DeliveryService(ledger=ledger, sender=ports.webhooks, clock=clock)
        self.event_exports = EventExport(ledger=ledger)
        self.event_imports = EventImport(ledger=ledger, clock=clock)
        self.instructions = InstructionService(llm=ports.llm, clock=clock)
        self.ingest = IngestService(ledger=ledger, clock=clock, inference=inference, queue=ports.queue)
        self.sweep = SweepService(
            ledger=ledger,
            indexer=indexer,
            queue=ports.queue,
            clock=clock,
            message_retention_s=message_retention_s,
            rebuilds=rebuilds_lost_index,
        )
        self.health = HealthService(
            {
                "ledger": ledger.ping,
                "index": ports.index.ping,
                "embedder": ports.embedder.ping,
                **(checks or {}),
            }
        )

    def at(self, moment: Moment | None) -> View:
        """Searches, lists and gets of the present, or of `moment`."""
        return self._present if moment is None else AsOfView(self.as_of, moment)

    def limited_to(self, users: tuple[str, ...]) -> Services:
        """The same use cases for a key that is limited to these users."""
        with self._limiting:
            limited = self._limited.get(users)
            if limited is None:
                limited = self._limited[users] = self._limit_to(users)
                if len(self._limited) > _MOST_LIMITED:
                    self._limited.popitem(last=False)
            self._limited.move_to_end(users)
            return limited

    def _limit_to(self, users: tuple[str, ...]) -> Services:
        ledger, index = LimitedLedger(self._ports.ledger, users), LimitedIndex(self._ports.index, users)
        ports = replace(self._ports, ledger=ledger, index=index)
        return Services(ports, settings_shown=self._settings_shown, announcer=self._announcer, pool=self._pool)

    def close(self) -> None:
        """Release ledger, index, embedder and threads."""
        self._pool.shutdown(wait=False)
        self._ports.ledger.close()
        self._ports.index.close()
        self._ports.embedder.close()

    def describe(self) -> dict[str, Any]:
        """The effective settings, without secrets."""
        return dict(self._settings_shown)


def _inference(ports: Ports, indexer: Indexer, announcer: Announcer) -> InferenceRun | None:
    if ports.llm is None:
        return None
    recall = Recall(ledger=ports.ledger, index=ports.index, embedder=ports.embedder)
    return InferenceRun(
        ledger=ports.ledger, indexer=indexer, recall=recall, llm=ports.llm, clock=ports.clock, announcer=announcer
    )
