"""RequestServices: the use cases that serve requests. Their ports do not offer what only operators may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from forgetless.domain.erasure_receipts import Cleaning
from forgetless.domain.limits import LLM_WAITS, RequestLimits
from forgetless.domain.moments import Moment
from forgetless.domain.recipe import Recipe
from forgetless.domain.recipes import CURRENT
from forgetless.domain.supersession import SupersessionRules
from forgetless.ports.bulk_queue import BulkQueue
from forgetless.ports.clock import Clock
from forgetless.ports.embedder import Embedder
from forgetless.ports.index import RequestIndex
from forgetless.ports.llm import Llm
from forgetless.ports.queue import JobQueue
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.access.idempotency import IdempotencyService
from forgetless.service.jobs.bulk import BulkService
from forgetless.service.jobs.failed_adds import FailedAdds
from forgetless.service.known_names import KnownNames
from forgetless.service.llm_waits import LlmWaits
from forgetless.service.projects.feedback import FeedbackService
from forgetless.service.projects.settings import ProjectService
from forgetless.service.reading.as_of import AsOfService
from forgetless.service.reading.explain import ExplainService
from forgetless.service.reading.lists import ReadService
from forgetless.service.reading.retrieval import Retrieval
from forgetless.service.reading.search import SearchService
from forgetless.service.reading.views import AsOfView, PresentView, View
from forgetless.service.transfer.schema_export import ExportService
from forgetless.service.webhooks.outbox import WebhookOutbox
from forgetless.service.webhooks.registry import WebhookService
from forgetless.service.writing.add import AddService
from forgetless.service.writing.change import ChangeService
from forgetless.service.writing.erase_memories import MatchEraser, ScopeEraser
from forgetless.service.writing.extraction_calls import KnownContext
from forgetless.service.writing.generate_instructions import InstructionService
from forgetless.service.writing.indexer import Beside, Indexer
from forgetless.service.writing.infer import InferenceRun
from forgetless.service.writing.related_memories import RelatedMemories
from forgetless.service.writing.restore import RestoreService
from forgetless.service.writing.supersession import Supersession

__all__ = ["RequestPorts", "RequestServices"]


@dataclass(frozen=True, slots=True)
class RequestPorts:
    """The adapters that requests need; `llm` is None without an LLM, and `bulk_queue` where a worker polls instead."""

    ledger: RequestLedger
    index: RequestIndex
    embedder: Embedder
    queue: JobQueue
    clock: Clock
    llm: Llm | None = None
    bulk_queue: BulkQueue | None = None
    #: How rows of the index are made and compared with questions.
    recipe: Recipe = CURRENT


class RequestServices:
    """The use cases over one set of ports: either for all users, or for a key that is limited to some users."""

    def __init__(
        self,
        ports: RequestPorts,
        *,
        settings_shown: Mapping[str, Any],
        outbox: WebhookOutbox,
        pool: Executor,
        erasures: ScopeEraser,
        matching: MatchEraser,
        beside: Beside | None = None,
        past_is_filled: Callable[[], bool] = lambda: True,
        cleanings: Callable[[], Sequence[Cleaning]],
        limits: RequestLimits | None = None,
        supersession: SupersessionRules | None = None,
        llm_waits: int = LLM_WAITS,
        llm_context: KnownContext,
    ) -> None:
        ledger, clock = ports.ledger, ports.clock
        waits = LlmWaits(ledger=ledger, clock=clock, most=llm_waits)
        #: What a request may contain at most; the API checks it.
        self.limits = limits or RequestLimits()
        self._settings_shown = dict(settings_shown)
        #: The names of speakers, which searches leave out of questions, and rows out of vectors.
        self.names = names = KnownNames(ledger=ledger, clock=clock)
        self._indexer = indexer = Indexer(
            ledger=ledger,
            index=ports.index,
            embedder=ports.embedder,
            recipe=ports.recipe,
            names=names,
            beside=beside,
        )
        self._inference = _inference(
            ports, indexer, names, outbox, supersession or SupersessionRules(), known=llm_context
        )
        self.add = AddService(
            ledger=ledger,
            indexer=indexer,
            names=names,
            queue=ports.queue,
            clock=clock,
            inference=self._inference,
            outbox=outbox,
            waits=waits,
        )
        self.search = SearchService(
            ledger=ledger,
            index=ports.index,
            embedder=ports.embedder,
            recipe=ports.recipe,
            names=names,
            clock=clock,
            pool=pool,
        )
        self.explain = ExplainService(
            ledger=ledger,
            index=ports.index,
            embedder=ports.embedder,
            recipe=ports.recipe,
            names=names,
            clock=clock,
        )
        self.reads = ReadService(ledger=ledger, clock=clock)
        self.as_of = AsOfService(
            ledger=ledger,
            index=ports.index,
            indexer=indexer,
            recipe=ports.recipe,
            retrieval=Retrieval(embedder=ports.embedder, recipe=ports.recipe, names=names, pool=pool),
            clock=clock,
            past_is_filled=past_is_filled,
        )
        self._present = PresentView(self.search, self.reads)
        self.changes = ChangeService(
            ledger=ledger,
            indexer=indexer,
            names=names,
            clock=clock,
            outbox=outbox,
            erasures=erasures,
            matching=matching,
            history_bytes=self.limits.history_bytes,
        )
        self.restores = RestoreService(ledger=ledger, indexer=indexer, clock=clock, outbox=outbox)
        self.projects = ProjectService(ledger=ledger, clock=clock)
        self.feedback = FeedbackService(ledger=ledger, clock=clock)
        self.webhooks = WebhookService(ledger=ledger, clock=clock, known=outbox.webhooks)
        self.exports = ExportService(ledger=ledger, reads=self.reads, llm=ports.llm, clock=clock, waits=waits)
        self.idempotency = IdempotencyService(ledger=ledger, clock=clock)
        self.bulk = BulkService(ledger=ledger, queue=ports.bulk_queue, clock=clock)
        #: When the files of the index were rewritten, for receipts of erasures.
        self.cleanings = cleanings
        self.failed_adds = FailedAdds(ledger=ledger, queue=ports.queue, clock=clock)
        self.instructions = InstructionService(llm=ports.llm, clock=clock, waits=waits)

    def at(self, moment: Moment | None) -> View:
        """The view for searches, lists and gets, of the present or as of `moment`."""
        return self._present if moment is None else AsOfView(self.as_of, moment)

    def describe(self) -> dict[str, Any]:
        """The effective settings, without secrets."""
        return dict(self._settings_shown)


def _inference(
    ports: RequestPorts,
    indexer: Indexer,
    names: KnownNames,
    outbox: WebhookOutbox,
    rules: SupersessionRules,
    *,
    known: KnownContext,
) -> InferenceRun | None:
    if ports.llm is None:
        return None
    related = RelatedMemories(
        ledger=ports.ledger, index=ports.index, embedder=ports.embedder, recipe=ports.recipe, names=names
    )
    return InferenceRun(
        ledger=ports.ledger,
        indexer=indexer,
        names=names,
        related=related,
        supersession=Supersession(embedder=ports.embedder, rules=rules),
        llm=ports.llm,
        clock=ports.clock,
        outbox=outbox,
        known=known,
    )
