"""Partitions a history by memories: the calls that concern each one, and what answers say about its versions.

A history is linearizable if and only if that of each object is (Herlihy and Wing 1990), so each memory is checked
alone. A call is left out if every order allows it: an answer that does not show a memory before its add began, or
after a delete of it was acknowledged.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter

from tests.histories.history import EventSeen, History, Kind, Operation, Outcome
from tests.histories.lifetimes import Lifetimes, done
from tests.histories.linearizability import Call
from tests.histories.memory_origins import Origins, histories_in, sightings
from tests.histories.register import (
    Add,
    Delete,
    Erase,
    Metadata,
    Missing,
    Recounted,
    Refused,
    Register,
    Shown,
    Step,
    Supersede,
    Unlisted,
    Update,
    frozen,
    legible,
    seen,
)

__all__ = ["Versions", "partition", "versions"]


@dataclass(slots=True)
class Versions:
    """All that is known of a memory's versions."""

    content: dict[int, dict[str, object]] = field(default_factory=dict)
    gone_at: int | None = None

    def allow(self, register: Register) -> bool:
        """Whether the memory can have been this."""
        if self.gone_at is not None and register.gone != (register.version >= self.gone_at):
            return False
        return register.gone or register.shows(self.content.get(register.version, {}))


def versions(history: History) -> defaultdict[str, Versions]:
    """By memory; of two answers that contradict each other the first counts, and some order fails for it."""
    found: defaultdict[str, Versions] = defaultdict(Versions)
    for one in sightings(history):
        if "version" in one.state:
            known = found[one.id].content.setdefault(one.state["version"], {})
            known.update({key: value for key, value in seen(one.state).items() if key not in known})
    rest = history.rest
    at_rest = (rest.ledger, rest.export, rest.history) if rest else ()
    everywhere = [histories_in(operation) for operation in history.operations] + [part for part in at_rest if part]
    for histories in everywhere:
        for id_, events in histories.items():
            if events and events[-1].get("event") == "DELETE":
                found[id_].gone_at = len(events)
    return found


def partition(history: History, origins: Origins) -> dict[str, list[Call]]:
    """The calls of each memory whose origin is known, in no order."""
    return _Partition(history, origins).calls


class _Partition:
    def __init__(self, history: History, known: Origins) -> None:
        self._origins = origins = known.by_id
        self._nameless = known.nameless
        self.calls: dict[str, list[Call]] = {id_: [] for id_ in origins}
        self._today = str(history.settings.get("today", ""))
        self._lifetimes = Lifetimes(origins.values(), history.operations)
        for origin in origins.values():
            if origin.operation is not None:
                add = origin.operation.request
                step = Add(origin.text, frozen(add.get("metadata")), add.get("expiration"))
                self._change(origin.id, origin.operation, step)
        for operation in sorted(history.operations, key=attrgetter("started")):
            self._take(operation)
        self._supersede(history)
        self._rest(history)

    def _take(self, operation: Operation) -> None:
        """Add an operation to the calls of every memory that it concerns."""
        if operation.kind is Kind.ADD:
            self._show(operation, listed=False)
        elif operation.kind in {Kind.SCOPE_DELETE, Kind.FILTER_DELETE}:
            self._delete_many(operation)
        elif operation.kind in {Kind.LIST, Kind.SEARCH}:
            self._show(operation, listed=True)
        elif operation.kind is Kind.EXPORT:
            self._recount(operation)
        elif operation.request["id"] in self._origins:
            self._take_one(operation, operation.request["id"])

    def _take_one(self, operation: Operation, id_: str) -> None:
        request, answer = operation.request, operation.answer
        if operation.kind is Kind.HISTORY:
            if operation.outcome is Outcome.OK:
                self._look(id_, operation, _recounted(answer["events"]))
        elif operation.kind is Kind.GET:
            if operation.outcome is Outcome.OK:
                shown = answer.get("memory")
                self._look(id_, operation, Missing() if shown is None else Shown(seen(shown)))
        elif operation.outcome is Outcome.FAILED:
            if answer.get("status") == 404:
                self._look(id_, operation, Missing())
            elif answer.get("status") == 412 and "if_version" in request:
                self._look(id_, operation, Refused(request["if_version"]))
        elif operation.kind is Kind.DELETE:
            self._change(id_, operation, Delete())
        else:
            changes = {key: request[key] for key in ("text", "metadata", "expiration") if key in request}
            after = seen(answer.get("memory") or {}) if operation.outcome is Outcome.OK else {}
            self._change(id_, operation, Update(changes, after, request.get("if_version")))

    def _show(self, operation: Operation, *, listed: bool) -> None:
        if operation.outcome is not Outcome.OK:
            return
        request, shown = operation.request, operation.answer.get("memories", [])
        expired = bool(request.get("show_expired"))
        for state in shown:
            if state["id"] in self._origins:
                self._look(state["id"], operation, Shown(seen(state), self._today, listed, expired))
        if operation.kind is Kind.LIST and len(shown) < request.get("limit", math.inf):
            there = {state["id"] for state in shown}
            for origin in self._lifetimes.during(operation):
                if origin.id not in there:
                    self._look(origin.id, operation, Unlisted(self._today, expired))

    def _recount(self, operation: Operation) -> None:
        """An export: all memories, also those that it lacks; of what is deleted and blank nothing can be wrong."""
        if operation.outcome is not Outcome.OK:
            return
        histories = histories_in(operation)
        there = (origin.id for origin in self._lifetimes.during(operation))
        for id_ in {*histories, *there} & self._origins.keys():
            events = histories.get(id_, [])
            erased = bool(events) and events[-1].get("event") == "DELETE" and not any(map(legible, events))
            if not erased or self._lifetimes.overlap(self._origins[id_], operation):
                self._look(id_, operation, _recounted(events))

    def _delete_many(self, operation: Operation) -> None:
        if operation.outcome is Outcome.FAILED:
            return
        wanted = None if operation.kind is Kind.SCOPE_DELETE else frozen(operation.request["metadata"])
        for origin in self._lifetimes.during(operation):
            self._change(origin.id, operation, Erase(), where=wanted)

    def _supersede(self, history: History) -> None:
        """Pairs that an answer names must happen if they can; others that anything shows may."""
        named = {(old, new) for one in history.operations for old, new in one.answer.get("supersedes", ())}
        shown = {(one.id, one.state.get("superseded_by")) for one in sightings(history)}
        for old, new in sorted((old, new) for old, new in named | shown if new is not None and old in self._origins):
            if new in self._nameless:
                self._may_supersede(old, new, self._nameless[new])
            elif new in self._origins and (add := self._origins[new].operation) is not None:
                self._change(old, add, Supersede(new), optional=(old, new) not in named)
        if history.rest is None or history.rest.ledger is None:
            # Whoever has not seen the end does not know what an unanswered add has superseded.
            unknown = [one for one in history.operations if one.kind is Kind.ADD and one.outcome is Outcome.UNKNOWN]
            for add in [one for one in unknown if one.request.get("infer")]:
                for origin in self._origins.values():
                    if origin.scope == add.request["scope"] and self._lifetimes.overlap(origin, add):
                        self._may_supersede(origin.id, "somebody", add)

    def _may_supersede(self, old: str, new: str, add: Operation) -> None:
        self.calls[old].append(Call(add, Supersede(new), add.started, math.inf))

    def _change(
        self, id_: str, operation: Operation, step: Step, *, optional: bool = False, where: Metadata | None = None
    ) -> None:
        self.calls[id_].append(Call(operation, step, operation.started, done(operation), optional, where))

    def _look(self, id_: str, operation: Operation, step: Step) -> None:
        if operation.ended is not None:
            self.calls[id_].append(Call(operation, step, operation.started, operation.ended))

    def _rest(self, history: History) -> None:
        """What one reader shows at rest, after everything; that the others agree with it is another question."""
        rest = history.rest
        if rest is None:
            return
        moments = [one.ended if one.ended is not None else one.started for one in history.operations]
        at = max(moments, default=0.0) + 1.0
        for id_, calls in self.calls.items():
            for reader in (rest.ledger, rest.export, rest.history):
                if reader is not None:
                    calls.append(Call(None, _recounted(reader.get(id_, [])), at, at))
                    break
            else:
                if rest.get is not None:
                    state = rest.get.get(id_)
                    calls.append(Call(None, Shown(seen(state)) if state else Missing(), at, at))


def _recounted(events: list[EventSeen]) -> Recounted:
    return Recounted(tuple(events), seen(events[-1]) if events else {})
