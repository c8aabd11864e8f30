"""Shrinks a history to the shortest one that still shows an anomaly.

It is greedy and deterministic: the same history always shrinks to the same one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from tests.histories.anomalies import Anomaly
from tests.histories.checker import check, judge_memory
from tests.histories.history import History, Kind, Operation, Outcome, Rest, State
from tests.histories.linearizability import Quiet
from tests.histories.memory_origins import attribute
from tests.histories.partition import partition, versions
from tests.histories.register import Supersede

__all__ = ["project", "shrink"]

#: Steps tried for one memory in each of many checks.
_BUDGET = 200_000


def shrink(history: History, anomaly: Anomaly) -> History:
    """The least that still has an anomaly of the same kind about the same memories."""

    def fails(candidate: History) -> bool:
        found = check(candidate, budget=_BUDGET).anomalies
        return any((one.kind, set(one.memories)) == (anomaly.kind, set(anomaly.memories)) for one in found)

    small = project(history, anomaly)
    if not fails(small):
        # It needs more than its own memories (a total): then all of it is shown.
        return history
    for _ in range(2):
        small = _begin_later(_drop(small, fails), anomaly, fails)
    return _drop(small, fails)


def project(history: History, anomaly: Anomaly) -> History:
    """What concerns the anomaly's memories alone: operations, and parts of answers."""
    wanted = set(anomaly.memories)
    origins = attribute(history)
    calls = partition(history, origins)
    concerned = [call for id_ in sorted(wanted) for call in calls.get(id_, ())]
    numbers = {call.operation.index for call in concerned if call.operation is not None} | {*anomaly.operations}
    # An add that superseded one of them is known by its own memory.
    known = wanted | {call.step.by for call in concerned if isinstance(call.step, Supersede)}
    numbers |= {origins.nameless[id_].index for id_ in known & origins.nameless.keys()}
    operations = (one for one in history.operations if one.index in numbers)
    return replace(
        history,
        operations=tuple(_only(one, known if one.kind is Kind.ADD else wanted) for one in operations),
        faults=(),
        rest=_rest_of(history.rest, known),
        start=tuple(state for state in history.start if state["id"] in known),
    )


def _only(operation: Operation, wanted: set[str]) -> Operation:
    answer = dict(operation.answer)
    if "memories" in answer:
        answer["memories"] = [state for state in answer["memories"] if state["id"] in wanted]
    if "events" in answer and "id" not in operation.request:
        answer["events"] = [event for event in answer["events"] if event["id"] in wanted]
    if "supersedes" in answer:
        answer["supersedes"] = [pair for pair in answer["supersedes"] if pair[0] in wanted]
    return replace(operation, answer=answer)


def _rest_of(rest: Rest | None, wanted: set[str]) -> Rest | None:
    if rest is None:
        return None

    def some(part: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return None if part is None else {id_: value for id_, value in part.items() if id_ in wanted}

    def shown(part: Iterable[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        if part is None:
            return None
        return [{**one, "memories": [state for state in one["memories"] if state["id"] in wanted]} for one in part]

    index = None if rest.index is None else [row for row in rest.index if row["id"] in wanted]
    lists, searches = shown(rest.lists), shown(rest.searches)
    return Rest(some(rest.ledger), some(rest.export), some(rest.history), some(rest.get), lists, None, searches, index)


def _drop(history: History, fails: Callable[[History], bool]) -> History:
    """Without whatever can go: the rest, then operations, in portions that become smaller."""
    if history.rest is not None and fails(without := replace(history, rest=None)):
        history = without
    size = max(1, len(history.operations) // 2)
    while True:
        place, dropped = 0, False
        while place < len(history.operations):
            kept = history.operations[:place] + history.operations[place + size :]
            if fails(shorter := replace(history, operations=kept)):
                history, dropped = shorter, True
            else:
                place += size
        if size == 1 and not dropped:
            return history
        size = max(1, size // 2)


def _begin_later(history: History, anomaly: Anomaly, fails: Callable[[History], bool]) -> History:
    """Instead of the operations up to a quiet moment, the memory as it was then; the latest moment that will do."""
    origins = attribute(history)
    if len(anomaly.memories) != 1 or anomaly.memories[0] not in origins.by_id:
        return history
    (id_,) = anomaly.memories
    origin = origins.by_id[id_]
    result = judge_memory(origin, partition(history, origins)[id_], versions(history)[id_], _BUDGET, quiet=True)
    for quiet in reversed(result.quiet):
        if quiet.register.there:
            later = _after(history, quiet, {"id": id_, "scope": dict(origin.scope)})
            if fails(later):
                return later
    return history


def _after(history: History, quiet: Quiet, about: State) -> History:
    register = quiet.register
    start: State = {
        **about,
        "version": register.version,
        "text": register.text,
        "metadata": {key: json.loads(value) for key, value in register.metadata},
        "expiration": register.expiration,
        "superseded_by": register.superseded_by,
    }
    used = {call.operation.index for call in quiet.used if call.operation is not None}
    kept = [one for one in history.operations if one.started > quiet.at or (_endless(one) and one.index not in used)]
    others = tuple(state for state in history.start if state["id"] != start["id"])
    return replace(history, operations=tuple(kept), start=(start, *others))


def _endless(operation: Operation) -> bool:
    return operation.outcome is Outcome.UNKNOWN
