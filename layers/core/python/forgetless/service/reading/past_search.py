"""PastSearch: a search as of a moment, in what is current now and in what was replaced since.

The index filters by times of which it knows an upper bound. The ledger decides: it knows the version that was known at
the moment, and whether that was true.
"""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.domain.filters.ast import And, Compare, Field, Filter, Operator, Or
from forgetless.domain.filters.evaluate import Matcher
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.ports.index import RequestIndex
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.candidates import Candidate
from forgetless.service.reading.moment_reader import MomentReader
from forgetless.service.reading.retrieval import Miss, PastPlace, Place, PresentPlace, Retrieval
from forgetless.service.reading.search import refuse_costly, with_own_ranks
from forgetless.service.requests import ScoredMemory, SearchRequest

__all__ = ["PastSearch"]


class PastSearch:
    """Two searches in the index, however many memories there are."""

    def __init__(self, *, ledger: RequestLedger, index: RequestIndex, retrieval: Retrieval) -> None:
        self._ledger = ledger
        self._index = index
        self._retrieval = retrieval
        self._reader = MomentReader(ledger)

    def search(self, request: SearchRequest, moment: Moment, where: Filter, *, reference: str) -> list[ScoredMemory]:
        """Up to `top_k` memories as of the moment that match `where`, best first."""
        tenant, matches = request.tenant, Matcher(where)
        places: list[Place] = [
            PresentPlace(self._index, tenant, And((where, _begun_by(moment)))),
            PastPlace(self._index.past, tenant, where, moment),
        ]
        found = self._retrieval.results(
            request,
            places,
            reference=reference,
            confirm=lambda portion: self._confirmed(tenant, portion, moment, matches),
        )
        return with_own_ranks(found)

    def _confirmed(
        self, tenant: str, portion: Sequence[Candidate], moment: Moment, matches: Matcher
    ) -> list[Memory | Miss]:
        present = self._ledger.read(tenant, list(dict.fromkeys(candidate.memory_id for candidate in portion)))
        # The row that was found is mostly that of the version that was known.
        likely = {candidate.memory_id: candidate.version for candidate in portion}
        then = self._reader.then(list(present.values()), moment, likely)
        true = {memory.id: memory for memory in self._reader.true(list(then.values()), moment)}
        others = [one.key for one in portion if one.memory_id in true and true[one.memory_id].version != one.version]
        rows = self._ledger.versions(tenant, others) if others else {}
        confirmed: list[Memory | Miss] = []
        for candidate in portion:
            refuse_costly(matches)
            id_ = candidate.memory_id
            memory = true.get(id_)
            if id_ not in present:
                confirmed.append(Miss.GONE)
            elif memory is not None and _says_the_same(rows.get(candidate.key, memory), memory) and matches(memory):
                confirmed.append(memory)
            else:
                confirmed.append(Miss.REFUSED)
        return confirmed


def _says_the_same(row: Memory, memory: Memory) -> bool:
    """Whether the row of this version has the content of the memory as it was known then.

    While a writer moves rows, the one that is found may be of the version before, which often says the same.
    """
    return (row.text, row.created_at) == (memory.text, memory.created_at)


def _begun_by(moment: Moment) -> Filter:
    """What the rows of current versions say of a moment; it lets all through that were known and true then.

    The first version of an imported memory may have been updated before it was known, and one that was told late was
    known after the time that it is about. One that was told before that time stands among those of the past as well.
    """
    created, updated = Field("created_at"), Field("updated_at")
    conditions: list[Filter] = []
    if moment.as_of is not None:
        conditions.append(Compare(created, Operator.LTE, moment.as_of))
    if (known_at := moment.known_at) is not None:
        first = And((Compare(Field("version"), Operator.EQ, 1), Compare(created, Operator.LTE, known_at)))
        conditions.append(Or((Compare(updated, Operator.LTE, known_at), first)))
    return And(tuple(conditions))
