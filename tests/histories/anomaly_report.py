"""Writes a report for a person: each anomaly, its seed, and the shortest history that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.histories.anomalies import Anomaly
from tests.histories.checker import Judgement
from tests.histories.history import History, Operation, Outcome, Rest
from tests.histories.shrink import shrink

__all__ = ["report"]

#: The number of anomalies that are shown with their history; the others are counted by kind.
_SHOWN = 5
_MOST_RECORDED = 60


def report(history: History, judgement: Judgement) -> Iterator[str]:
    """Return the lines of the report."""
    yield (
        f"{len(history.operations)} operations on {judgement.memories} memories, {len(history.faults)} faults, "
        f"{judgement.explored} steps tried: {len(judgement.anomalies)} anomalies, {len(judgement.undecided)} undecided"
    )
    for id_ in judgement.undecided:
        yield f"undecided: memory {id_} (too many orders are possible; nothing is known of it)"
    for anomaly in judgement.anomalies[:_SHOWN]:
        yield ""
        yield from _anomaly(history, anomaly)
    for anomaly in judgement.anomalies[_SHOWN:]:
        yield f"and: {anomaly.kind}: {anomaly.message}"


def _anomaly(history: History, anomaly: Anomaly) -> Iterator[str]:
    settings = json.dumps(dict(history.settings))
    yield f"ANOMALY: {anomaly.kind} (seed {history.seed}, {settings})"
    yield f"  {anomaly.message}"
    short = shrink(history, anomaly)
    if len(short.operations) > _MOST_RECORDED:
        yield f"  it takes all {len(short.operations)} operations: replay the file"
        return
    for state in short.start:
        yield f"  at first         {_compact(state)}"
    if short.operations:
        origin = short.operations[0].started
        yield from (f"  {_line(operation, origin)}" for operation in short.operations)
        yield from (f"  {line}" for line in _faults(history, short, origin))
    if short.rest is not None:
        yield from (f"  {line}" for line in _rest(short.rest))


def _line(operation: Operation, origin: float) -> str:
    ended = (
        "?" if operation.ended is None or operation.outcome is Outcome.UNKNOWN else f"{operation.ended - origin:.3f}"
    )
    interval = f"[{operation.started - origin:.3f}, {ended}]"
    told = _compact({key: value for key, value in operation.answer.items() if key != "status"})
    outcome = f"{operation.outcome} {operation.answer.get('status', '')}".strip()
    who = f"#{operation.index} client {operation.client}"
    return f"{who:<16} {interval:<18} {operation.kind} {_compact(operation.request)} -> {outcome} {told}".rstrip()


def _faults(history: History, short: History, origin: float) -> Iterator[str]:
    """Return the actions of the nemesis between the first and the last of these operations."""
    end = max(one.started if one.ended is None else one.ended for one in short.operations)
    for fault in history.faults:
        if origin <= fault.at <= end:
            moment = f"[{fault.at - origin:.3f}]"
            yield f"{'nemesis':<16} {moment:<18} {fault.action} {fault.target} {_compact(fault.details)}".rstrip()


def _rest(rest: Rest) -> Iterator[str]:
    for name in ("ledger", "export", "history", "get"):
        for id_, value in (getattr(rest, name) or {}).items():
            yield f"at rest, {name}: {id_} {json.dumps(value, ensure_ascii=False)}"
    for part in rest.lists or ():
        if part["memories"]:
            yield f"at rest, list of {_compact(part['scope'])}: {json.dumps(part['memories'], ensure_ascii=False)}"
    for part in rest.searches or ():
        if part["memories"]:
            found = [state["id"] for state in part["memories"]]
            yield f"at rest, search for {part['query']!r} in {_compact(part['scope'])}: {', '.join(found)}"
    for row in rest.index or ():
        yield f"at rest, index: {_compact(row)}"


def _compact(values: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
