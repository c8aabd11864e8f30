"""Services: all use cases of one environment, for requests and for operators, composed from ports."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from forgetless.domain.bulk_jobs import BulkKind
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.limits import CONCURRENT_REQUESTS, GUESSES_PER_MINUTE, LLM_WAITS, RequestLimits
from forgetless.domain.llm_context import DEFAULT_CONTEXT
from forgetless.domain.quotas import DefaultQuotas
from forgetless.domain.retention import Retention
from forgetless.domain.supersession import SupersessionRules
from forgetless.ports.erasure_log import ErasureLog
from forgetless.ports.index import Index
from forgetless.ports.index_files import IndexFiles
from forgetless.ports.ledger import Ledger
from forgetless.ports.webhooks import WebhookSender
from forgetless.service.access.audit import AuditLog
from forgetless.service.access.hiding_operator_ledger import HidingOperatorLedger
from forgetless.service.access.keys import KeyService
from forgetless.service.access.limited_index import LimitedIndex
from forgetless.service.access.limited_ledger import LimitedLedger
from forgetless.service.access.oauth_grants import OAuthGrants
from forgetless.service.access.usage_meter import UsageMeter
from forgetless.service.access.usage_reports import UsageReports
from forgetless.service.generations.kept import GenerationServices, KeptGenerations
from forgetless.service.health import HealthService
from forgetless.service.jobs.bulk import BulkService, PortionWork
from forgetless.service.jobs.bulk_worker import BulkWorker
from forgetless.service.jobs.delete_matching import MatchingDeletes
from forgetless.service.jobs.delete_tenant import TenantDeletions
from forgetless.service.jobs.erase import EraseWork, Erasures
from forgetless.service.jobs.erasure_logbook import ErasureLogbook
from forgetless.service.jobs.expired_memories import ExpiredMemories
from forgetless.service.jobs.held_adds import HeldAdds
from forgetless.service.jobs.index_cleanings import IndexCleanings
from forgetless.service.jobs.ingest import IngestService
from forgetless.service.jobs.ingest_worker import IngestWorker
from forgetless.service.jobs.open_deletes import OpenDeletes
from forgetless.service.jobs.reindex import Reindexer
from forgetless.service.jobs.reindex_all import ReindexAll
from forgetless.service.jobs.reindex_job import ReindexWork
from forgetless.service.jobs.removal import Remover
from forgetless.service.jobs.retention import RetentionService
from forgetless.service.jobs.sweep import SweepService
from forgetless.service.known_names import KnownNames
from forgetless.service.llm_state import LlmState, WatchedLlm
from forgetless.service.llm_trials import LlmTrials
from forgetless.service.request_services import RequestPorts, RequestServices
from forgetless.service.webhooks.delivery import DeliveryService
from forgetless.service.webhooks.outbox import WebhookOutbox
from forgetless.service.writing.embedding_trials import EmbeddingTrials
from forgetless.service.writing.erase_memories import MemoryEraser
from forgetless.service.writing.extraction_calls import KnownContext
from forgetless.service.writing.indexer import Beside, Indexer

if TYPE_CHECKING:
    from forgetless.service.transfer.event_export import EventExport
    from forgetless.service.transfer.export_jobs import ExportJobs
    from forgetless.service.transfer.import_check import ImportCheck
    from forgetless.service.transfer.import_jobs import ImportJobs

__all__ = ["Ports", "Services"]

#: The services for at most this many limits are cached. The least recently used ones are removed first.
_MOST_LIMITED = 256
#: How long the end waits for an add that runs in the background. One that is cut off is run again.
_ENDING_S = 5.0


@dataclass(frozen=True, slots=True)
class Ports(RequestPorts):
    """The adapters of an environment; `llm`, `webhooks`, `erasure_log` and `index_files` are None if it has none."""

    ledger: Ledger
    index: Index
    webhooks: WebhookSender | None = None
    erasure_log: ErasureLog | None = None
    index_files: IndexFiles | None = None


class Services(RequestServices):
    """The use cases over one set of ports."""

    def __init__(
        self,
        ports: Ports,
        *,
        settings_shown: Mapping[str, Any] | None = None,
        checks: Mapping[str, Callable[[], None]] | None = None,
        retention: Retention | None = None,
        rebuilds_lost_index: bool = True,
        quotas: DefaultQuotas | None = None,
        guesses_per_minute: int = GUESSES_PER_MINUTE,
        limits: RequestLimits | None = None,
        supersession: SupersessionRules | None = None,
        llm_waits: int = LLM_WAITS,
        kept: KeptGenerations | None = None,
        before: Services | None = None,
        llm_context_tokens: int = DEFAULT_CONTEXT,
    ) -> None:
        """`kept` knows the other generations of the index, and `before` are the services of the one that served so far.

        From those, what is counted and noted and not written yet is taken over.
        """
        clock, whole = ports.clock, ports.ledger
        self._kept = kept
        #: What all use cases read and write: nothing that an erasure covers is in it.
        self._ledger = ledger = HidingOperatorLedger(whole)
        self._llm_state = LlmState(ledger=ledger, clock=clock)
        llm_trials = LlmTrials(ledger=ledger, clock=clock)
        llm = None if ports.llm is None else WatchedLlm(ports.llm, self._llm_state, llm_trials)
        self._ports = replace(ports, llm=llm)
        ports = replace(self._ports, ledger=ledger)
        self._outbox = WebhookOutbox(ledger=ledger, clock=clock)
        starts = BulkService(ledger=whole, queue=ports.bulk_queue, clock=clock, retention=retention)
        # One more thread for each request that is processed. The threads start when they are first needed.
        self._pool: ThreadPoolExecutor = (
            before._pool if before else ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="search-words")
        )
        #: What looks after the other generations of the index; None where there is only one, as in most tests.
        self.generations = (
            None
            if kept is None
            else GenerationServices(kept, ledger=ledger, starts=starts, clock=clock, pool=self._pool)
        )
        self._beside = beside = None if self.generations is None else self.generations.beside
        # What erasures cover is hidden from all others, so its removal works on the whole ledger.
        logbook = ErasureLogbook(ledger=whole, log=ports.erasure_log)
        removal = _remover(self._ports, self._outbox, beside)
        erase_work = EraseWork(ledger=whole, remover=removal, clock=clock, logbook=logbook)
        self._erasures = Erasures(ledger=whole, work=erase_work, bulk=starts, clock=clock, logbook=logbook)
        self.tenant_deletions = TenantDeletions(
            ledger=whole,
            index=ports.index,
            work=erase_work,
            bulk=starts,
            clock=clock,
            logbook=logbook,
            other_indexes=tuple if beside is None else beside.indexes,
        )
        self._cleanings = IndexCleanings(ledger=whole, files=ports.index_files, clock=clock)
        remover = _remover(ports, self._outbox, beside)
        open_deletes = OpenDeletes(ledger=whole, bulk=starts, clock=clock)
        self._matching = MatchingDeletes(remover=remover, bulk=starts, open_deletes=open_deletes, clock=clock)
        llm_context = KnownContext(llm_context_tokens, ports.clock)
        super().__init__(
            ports,
            settings_shown=settings_shown or {},
            outbox=self._outbox,
            pool=self._pool,
            limits=limits,
            erasures=self._erasures,
            supersession=supersession,
            llm_waits=llm_waits,
            llm_context=llm_context,
            matching=self._matching,
            beside=beside,
            past_is_filled=self._past_is_filled,
            cleanings=self._cleanings.all,
        )
        self._llm_context = llm_context
        self._supersession = supersession
        self._llm_waits = llm_waits
        #: By limits, the least recently used first. Several threads of the process use it at once.
        self._limited: OrderedDict[KeyLimits, RequestServices] = OrderedDict()
        self._limiting = threading.Lock()
        # What waits to be removed counts as stored, so that an erasure that goes on lifts no quota.
        self.meter: UsageMeter = before.meter if before else UsageMeter(ledger=whole, clock=clock, defaults=quotas)
        self.usage = UsageReports(ledger=whole, meter=self.meter, clock=clock)
        self.keys: KeyService = (
            before.keys if before else KeyService(ledger=ledger, clock=clock, guesses_per_minute=guesses_per_minute)
        )
        self.grants = OAuthGrants(ledger=ledger, clock=clock)
        self.audit: AuditLog = before.audit if before else AuditLog(ledger=ledger, clock=clock)
        self.deliveries = DeliveryService(ledger=ledger, sender=ports.webhooks, clock=clock)
        self.ingest = IngestService(
            ledger=ledger,
            clock=clock,
            inference=self._inference,
            queue=ports.queue,
            llm_state=self._llm_state,
            llm_trials=llm_trials,
            held_s=(retention or Retention()).held_jobs_s,
            meter=self.meter,
        )
        trials = EmbeddingTrials(clock)
        indexer = self._indexer.in_background(trials)
        reindexer = Reindexer(ledger=ledger, index=ports.index, indexer=indexer, names=self.names, clock=clock)
        works: dict[BulkKind, PortionWork] = {
            BulkKind.ERASE: erase_work,
            BulkKind.DELETE: self._matching,
            BulkKind.REINDEX: ReindexWork(ledger=ledger, reindexer=reindexer, clock=clock),
            BulkKind.RETENTION: ExpiredMemories(remover=remover),
            BulkKind.TENANT: self.tenant_deletions,
            **(
                {}
                if self.generations is None
                else {BulkKind.FILL: self.generations.work, BulkKind.PAST: self.generations.past_work}
            ),
        }
        self.bulk = BulkService(ledger=ledger, queue=ports.bulk_queue, clock=clock, works=works, retention=retention)
        self.reindex_all = ReindexAll(ledger=ledger, bulk=self.bulk, clock=clock)
        self.sweep = SweepService(
            ledger=ledger,
            reindexer=reindexer,
            doubtful=trials.doubtful,
            queue=ports.queue,
            bulk=self.bulk,
            erasures=self._erasures,
            cleanings=self._cleanings,
            clock=clock,
            retention=RetentionService(ledger=ledger, bulk=self.bulk, clock=clock, retention=retention or Retention()),
            rebuilds=rebuilds_lost_index,
            generations=(lambda: 0) if self.generations is None else self.generations.upkeep.look,
            held_adds=HeldAdds(
                ledger=ledger, queue=ports.queue, llm_state=self._llm_state, check=ports.embedder.ping, clock=clock
            ).bring_forward,
        )
        self.ingest_worker = IngestWorker(ledger=ledger, ingest=self.ingest, clock=clock)
        self.bulk_worker = BulkWorker(ledger=ledger, bulk=self.bulk, clock=clock)
        parts = {"ledger": ledger.ping, "index": ports.index.ping, "embedder": ports.embedder.ping}
        if ports.llm is not None:
            parts["llm"] = self._llm_state.check
        self.health = HealthService({**parts, **(checks or {})})

    # Imports and exports are loaded when they are first asked for: the function for searches starts without them.

    @cached_property
    def event_exports(self) -> EventExport:
        """The export of everything, line by line."""
        from forgetless.service.transfer.event_export import EventExport  # noqa: PLC0415 - as said above

        return EventExport(ledger=self._ledger)

    @cached_property
    def export_jobs(self) -> ExportJobs:
        """Exports that a client drives."""
        from forgetless.service.transfer.export_jobs import ExportJobs  # noqa: PLC0415

        return ExportJobs(ledger=self._ledger, clock=self._ports.clock)

    @cached_property
    def import_jobs(self) -> ImportJobs:
        """Imports that a client drives."""
        from forgetless.service.transfer.import_jobs import ImportJobs  # noqa: PLC0415

        return ImportJobs(ledger=self._ledger, clock=self._ports.clock, limits=self.limits, outbox=self._outbox)

    @cached_property
    def import_check(self) -> ImportCheck:
        """What compares a file with what was imported of it."""
        from forgetless.service.transfer.import_check import ImportCheck  # noqa: PLC0415

        return ImportCheck(ledger=self._ledger, clock=self._ports.clock, limits=self.limits)

    def limited_to(self, limits: KeyLimits) -> RequestServices:
        """The use cases of requests for a key with these limits."""
        with self._limiting:
            found = self._limited.pop(limits, None) or self._new_limited(limits)
            self._limited[limits] = found
            if len(self._limited) > _MOST_LIMITED:
                self._limited.popitem(last=False)
        return found

    def close(self) -> None:
        """Write what waits for the audit list, close ledger, index and embedder, and release the threads."""
        self.ingest_worker.wait(_ENDING_S)
        self._pool.shutdown(wait=False)
        self.audit.flush()
        self.meter.close()
        self._ports.ledger.close()
        self._ports.index.close()
        self._ports.embedder.close()
        if self._kept is not None:
            self._kept.openings.close()
        if self._ports.erasure_log is not None:
            self._ports.erasure_log.close()

    def _past_is_filled(self) -> bool:
        """Whether searches of the past find everything in the index. Without a record, there was nothing before."""
        return self._kept is None or self._kept.mine.collection in self._kept.record.known().past

    def _new_limited(self, limits: KeyLimits) -> RequestServices:
        ports = self._ports
        limited = RequestPorts(
            LimitedLedger(self._ledger, limits),
            LimitedIndex(ports.index, limits),
            ports.embedder,
            ports.queue,
            ports.clock,
            ports.llm,
            ports.bulk_queue,
            ports.recipe,
        )
        # A limited key may not see webhooks, but its changes are sent to them as well.
        return RequestServices(
            limited,
            settings_shown=self._settings_shown,
            outbox=self._outbox,
            pool=self._pool,
            limits=self.limits,
            erasures=self._erasures,
            supersession=self._supersession,
            llm_waits=self._llm_waits,
            llm_context=self._llm_context,
            matching=self._matching.within(limits),
            beside=self._beside,
            past_is_filled=self._past_is_filled,
            cleanings=self._cleanings.all,
        )


def _remover(ports: Ports, outbox: WebhookOutbox, beside: Beside | None) -> Remover:
    """The removal of what these ports show."""
    ledger, clock = ports.ledger, ports.clock
    names = KnownNames(ledger=ledger, clock=clock)
    indexer = Indexer(
        ledger=ledger, index=ports.index, embedder=ports.embedder, recipe=ports.recipe, names=names, beside=beside
    )
    eraser = MemoryEraser(ledger=ledger, indexer=indexer, clock=clock, outbox=outbox)
    return Remover(ledger=ledger, eraser=eraser, outbox=outbox, clock=clock)
