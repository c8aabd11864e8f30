"""Checks a history: each memory for linearizability, the searches, and the final state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.histories.anomalies import Anomaly
from tests.histories.diagnosis import explain
from tests.histories.final_state_checker import disagreements
from tests.histories.history import History, Kind, Operation, Outcome
from tests.histories.linearizability import BUDGET, Call, Result, Verdict, linearize
from tests.histories.memory_origins import Origin, attribute
from tests.histories.partition import Versions, partition, versions
from tests.histories.search_checker import badly_shown, missed

__all__ = ["Judgement", "check", "judge_memory"]


@dataclass(slots=True)
class Judgement:
    """The result of the check; for `undecided` memories the search was too long, so nothing is known of them."""

    anomalies: list[Anomaly] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    memories: int = 0
    #: The steps that were tried for all memories together.
    explored: int = 0

    @property
    def good(self) -> bool:
        """Return whether everything was decided and no anomaly found."""
        return not self.anomalies and not self.undecided


def check(history: History, *, budget: int = BUDGET) -> Judgement:
    """Check the history; `budget` is the most steps for one memory."""
    origins = attribute(history)
    calls = partition(history, origins)
    known = versions(history)
    judgement = Judgement(anomalies=origins.anomalies, memories=len(origins.by_id))
    # A memory with two origins or none explains nothing further.
    doubtful = {id_ for anomaly in origins.anomalies for id_ in anomaly.memories}
    for id_, origin in origins.by_id.items():
        if id_ in doubtful:
            continue
        result = judge_memory(origin, calls[id_], known[id_], budget)
        judgement.explored += result.explored
        if result.verdict is Verdict.UNDECIDED:
            judgement.undecided.append(id_)
        elif result.verdict is Verdict.FAILED:
            judgement.anomalies.append(explain(origin, result, calls[id_], _refused(history, id_)))
    judgement.anomalies += badly_shown(history, origins.by_id)
    judgement.anomalies += missed(history, origins.by_id, calls)
    judgement.anomalies += disagreements(history, origins.by_id)
    return judgement


def _refused(history: History, id_: str) -> list[Operation]:
    updates = (one for one in history.operations if one.kind is Kind.UPDATE and one.outcome is Outcome.FAILED)
    return [one for one in updates if one.request["id"] == id_]


def judge_memory(origin: Origin, calls: Sequence[Call], known: Versions, budget: int, *, quiet: bool = False) -> Result:
    """Return whether one memory's calls can be put in an order, and if not, the first call that fits nowhere."""
    result = linearize(calls, origin.before, possible=known.allow, budget=budget, quiet=quiet)
    if result.verdict is not Verdict.FAILED:
        return result
    # Without the knowledge from later answers, the search goes on to the very answer that nothing explains.
    plain = linearize(calls, origin.before, budget=budget, quiet=quiet)
    return plain if plain.verdict is Verdict.FAILED else result
