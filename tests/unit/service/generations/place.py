"""A ledger with generations of the index: processes that serve, and a clock that moves them through a switch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from forgetless.adapters.queue_none import NoQueue
from forgetless.domain.bulk_jobs import BulkJob
from forgetless.domain.generations import Generation, Generations, Phase, collection_of
from forgetless.domain.recipe import RECIPE_VERSION
from forgetless.domain.recipes import RECIPES
from forgetless.domain.scope import Scope
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.runtime.serving import Serving
from forgetless.service.generations.kept import KeptGenerations
from forgetless.service.generations.opened import OpenGeneration, Openings
from forgetless.service.generations.record import GenerationRecord
from forgetless.service.generations.upkeep import GenerationUpkeep, UpkeepRules
from forgetless.service.requests import AddRequest, IncomingMessage, SearchRequest
from forgetless.service.services import Ports, Services
from tests.fakes.clock import FakeClock
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import MemoryIndex

ANNA = Scope("acme", user_id="anna")


def generation(model: str, dimensions: int, recipe: int = RECIPE_VERSION) -> Generation:
    name = collection_of("test", model, dimensions, recipe, 1)
    return Generation(model, dimensions, recipe, 1, name, f"http://{model}")


#: The model changes, and the recipe with it.
OLD, NEW = generation("old", 64, recipe=2), generation("new", 48)


@dataclass
class Place:
    """What all processes share: the ledger, and an index and an embedder for each generation."""

    ledger: Ledger
    clock: Clock
    first: Generation = OLD
    wanted: Generation = NEW
    by_itself: bool = True
    indexes: dict[str, MemoryIndex] = field(default_factory=dict)
    embedders: dict[str, FakeEmbedder] = field(default_factory=dict)

    def opened(self, one: Generation) -> OpenGeneration:
        index = self.indexes.setdefault(one.collection, MemoryIndex(dimensions=one.dimensions))
        embedder = self.embedders.setdefault(one.collection, FakeEmbedder(one.dimensions))
        return OpenGeneration(index, embedder, RECIPES[one.recipe])

    def kept(self) -> KeptGenerations:
        """What a new process knows: it has read the record."""
        record = GenerationRecord(ledger=self.ledger, clock=self.clock, first=lambda: self.first)
        rules = UpkeepRules(self.wanted, by_itself=self.by_itself)
        return KeptGenerations(record.now().serving, record, Openings(self.opened), rules)

    def process(self) -> Serving:
        """A process that serves requests and does background work."""
        first = self.opened(self.first)
        ports = Ports(self.ledger, first.index, first.embedder, NoQueue(), self.clock, recipe=first.recipe)

        def build(kept: KeptGenerations, before: Services | None) -> Services:
            mine = kept.openings.of(kept.mine)
            mine_ports = replace(ports, index=mine.index, embedder=mine.embedder, recipe=mine.recipe)
            return Services(mine_ports, kept=kept, before=before)

        kept = self.kept()
        return Serving(build, record=kept.record, openings=kept.openings, rules=kept.rules, unread=lambda: self.first)

    def rows(self, one: Generation, tenant: str | None = None) -> list[str]:
        """The texts in the collection of a generation."""
        index = self.indexes.get(one.collection)
        rows = () if index is None else index._rows
        return sorted(row.memory.text for row in rows if tenant in {None, row.memory.scope.tenant})

    def past(self, one: Generation) -> list[str]:
        """The texts of the rows of the past of a generation."""
        index = self.indexes.get(one.collection)
        return sorted({found.row.memory.text for found in index.past_rows()}) if index is not None else []


def upkeep(serving: Serving) -> GenerationUpkeep:
    generations = serving().generations
    assert generations is not None
    return generations.upkeep


def known(serving: Serving) -> Generations:
    return upkeep(serving).record.now()


def work(serving: Serving) -> None:
    """A sweep, and a turn of the worker."""
    serving().sweep.sweep()
    serving().bulk_worker.turn()


def work_until(serving: Serving, clock: FakeClock, phase: Phase, *, most: int = 30) -> None:
    """Let a process work until the record is in this phase."""
    for _ in range(most):
        if known(serving).phase is phase:
            return
        work(serving)
        clock.advance(10)
    raise AssertionError(f"it is still {known(serving)}")


def job_of(serving: Serving) -> BulkJob:
    job = upkeep(serving).job()
    assert job is not None
    return job


def say(serving: Serving, *texts: str, scope: Scope = ANNA) -> list[str]:
    """Add messages, and return the ids of the memories."""
    messages = tuple(IncomingMessage("user", text) for text in texts)
    return [one.id for one in serving().add.add(AddRequest(scope, messages, infer=False)).results]


def find(serving: Serving, query: str, *, scope: Scope = ANNA, top_k: int = 100) -> Sequence[str]:
    """The texts that a search finds."""
    from forgetless.domain.filters.scope_ids import all_ids  # noqa: PLC0415

    ids = scope.ids()
    request = SearchRequest(scope.tenant, query, all_ids(ids), ids, top_k, threshold=0.0)
    return [one.memory.text for one in serving().search.search(request)]
