"""Finds the add that each memory comes from, also if the add was not answered: by the memory's first text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.histories.anomalies import Anomaly, AnomalyKind
from tests.histories.history import EventSeen, History, Kind, Operation, Outcome, State
from tests.histories.register import UNBORN, Register, frozen

__all__ = ["Origin", "Origins", "Sighting", "attribute", "sightings"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One place where a memory is shown; without an `operation` it is in the final state."""

    id: str
    state: State
    operation: Operation | None


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a memory; without an `operation` it existed at the start."""

    id: str
    scope: Mapping[str, str]
    text: str
    operation: Operation | None
    before: Register = UNBORN


@dataclass(slots=True)
class Origins:
    """All that could be told; `nameless`: seen only without words, with the first add that each can come from."""

    by_id: dict[str, Origin] = field(default_factory=dict)
    anomalies: list[Anomaly] = field(default_factory=list)
    nameless: dict[str, Operation] = field(default_factory=dict)


def sightings(history: History) -> Iterator[Sighting]:
    """Return every state that an answer or the final state shows; those of a history have a version."""
    for operation in history.operations:
        answer = operation.answer
        shown = list(answer.get("memories", ()))
        if operation.kind in {Kind.GET, Kind.UPDATE} and answer.get("memory"):
            shown.append({"id": operation.request["id"], **answer["memory"]})
        yield from (Sighting(state["id"], state, operation) for state in shown)
        for id_, events in histories_in(operation).items():
            yield from (Sighting(id_, state, operation) for state in _versioned(events))
    if history.rest is not None:
        yield from _at_rest(history.rest)


def histories_in(operation: Operation) -> dict[str, list[EventSeen]]:
    """Return the histories in an answer, by memory."""
    found: dict[str, list[EventSeen]] = {}
    for event in operation.answer.get("events", ()):
        found.setdefault(event.get("id") or operation.request["id"], []).append(event)
    return found


def _at_rest(rest: Any) -> Iterator[Sighting]:
    for histories in (rest.ledger, rest.export, rest.history):
        for id_, events in (histories or {}).items():
            yield from (Sighting(id_, state, None) for state in _versioned(events))
    shown = [state for state in (rest.get or {}).values() if state]
    shown += [state for part in (*(rest.lists or ()), *(rest.searches or ())) for state in part["memories"]]
    yield from (Sighting(state["id"], state, None) for state in shown)


def _versioned(events: list[EventSeen]) -> Iterator[State]:
    """A history's events as states; of what is deleted only what is not blanked, and no state at its end."""
    gone = bool(events) and events[-1].get("event") == "DELETE"
    for place, event in enumerate(events, 1):
        state: Any = {**event, "version": event.get("version", place)}
        if event.get("event") == "DELETE":
            yield {"scope": event["scope"]} if "scope" in event else {}
        elif not gone:
            yield state
        elif event.get("superseded_by"):
            yield {key: state[key] for key in ("version", "superseded_by", "scope") if key in state}  # type: ignore[misc]


def attribute(history: History) -> Origins:
    """Find the origin of every memory that was ever seen."""
    return _Attribution(history).origins


class _Attribution:
    def __init__(self, history: History) -> None:
        self.origins = Origins()
        self._texts: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._seen: dict[str, Sighting] = {}
        successors: dict[str, Sighting] = {}
        for one in sightings(history):
            self._seen.setdefault(one.id, one)
            if one.state.get("superseded_by"):
                by = str(one.state["superseded_by"])
                successors.setdefault(by, Sighting(by, {}, one.operation))
            if one.state.get("text"):
                self._texts[one.id][one.state["text"]] = None
        # Of some memories it is only known that they have superseded another one.
        self._seen = {**successors, **self._seen}
        adds = [operation for operation in history.operations if operation.kind is Kind.ADD]
        self._adds = [add for add in adds if add.outcome is not Outcome.FAILED]
        #: The texts of each add for which no memory has been found.
        self._free = {add.index: list(add.request["texts"]) for add in adds}
        self._by_text: defaultdict[str, list[Operation]] = defaultdict(list)
        for add in sorted(adds, key=lambda one: (one.outcome is Outcome.FAILED, one.started)):
            for text in dict.fromkeys(add.request["texts"]):
                self._by_text[text].append(add)
        self._started(history)
        for add in self._adds:
            self._answered(add)
        for id_ in self._seen:
            if id_ not in self.origins.by_id:
                self._unanswered(id_)
        for add in self._adds:
            self._lost(add, history)

    def _started(self, history: History) -> None:
        for state in history.start:
            before = Register(
                state["version"],
                state["text"],
                frozen(state.get("metadata")),
                state.get("expiration"),
                state.get("superseded_by"),
            )
            self.origins.by_id[state["id"]] = Origin(state["id"], state.get("scope", {}), state["text"], None, before)

    def _answered(self, add: Operation) -> None:
        """The memories that an add's answer names; one without a text, or with a later one, by elimination."""
        named: list[State] = list(add.answer.get("memories", ()))
        free = self._free[add.index]
        unnamed: list[str] = []
        for state in named:
            if state["id"] in self.origins.by_id:
                self._twice(state["id"], add)
                free[:] = [text for text in free if text != state.get("text")]
            elif state.get("text") in free:
                self._born(state["id"], add, state["text"])
            else:
                unnamed.append(state["id"])
        in_order = len(free) == len(unnamed)
        for id_ in unnamed:
            fitting = [text for text in self._texts[id_] if text in free]
            text = free[0] if in_order and free else next(iter(fitting or free), None)
            if text is None:
                self._doubled(id_, add, "the add had fewer texts than its answer has memories")
            else:
                self._born(id_, add, text)

    def _unanswered(self, id_: str) -> None:
        """A memory that no answer of an add names."""
        seen = self._seen[id_]
        adds = [add for text in self._texts[id_] for add in self._by_text[text] if _fits(add, seen)]
        for add in adds:
            text = next((text for text in self._texts[id_] if text in self._free[add.index]), None)
            if text is not None and add.outcome is not Outcome.FAILED:
                self._born(id_, add, text)
                return
        open_adds = (add for add in self._adds if self._free[add.index] and _fits(add, seen))
        first = next(open_adds, None) if not self._texts[id_] else None
        if first is not None:
            self.origins.nameless[id_] = first
        elif adds and adds[0].outcome is not Outcome.FAILED:
            self._doubled(id_, adds[0], "a memory of that text is known already")
        else:
            self._foreign(seen, adds)

    def _born(self, id_: str, add: Operation, text: str) -> None:
        self._free[add.index].remove(text)
        self.origins.by_id[id_] = Origin(id_, add.request["scope"], text, add)

    def _lost(self, add: Operation, history: History) -> None:
        """An add that was answered, and of which a text is nowhere, though nothing can have taken it away."""
        missing = self._free[add.index]
        if add.outcome is not Outcome.OK or add.answer.get("erased") or not missing:
            return
        # A fact that another memory has told already is not stored again.
        known = {text for texts in self._texts.values() for text in texts} if add.request.get("infer") else set()
        lost = [text for text in missing if text not in known]
        # Without the ids in its answer, the memory may also have been deleted later and never been seen.
        until = add.ended if "memories" in add.answer else None
        if lost and not any(self._may_take(one, add, until) for one in history.operations):
            message = f"the add was acknowledged, and no memory that says {lost[0]!r} is in its answer or anywhere else"
            self.origins.anomalies.append(Anomaly(AnomalyKind.LOST_ADD, message, (), (add.index,)))

    def _may_take(self, one: Operation, add: Operation, until: float | None) -> bool:
        """Whether it may have deleted what the add had made, after the add began and before `until` (None: ever)."""
        if one.outcome is Outcome.FAILED or (until is not None and one.started > until):
            return False
        if one.outcome is Outcome.OK and one.ended is not None and one.ended < add.started:
            return False
        if one.kind is Kind.DELETE:
            return one.request["id"] not in self.origins.by_id
        deletes = one.kind in {Kind.SCOPE_DELETE, Kind.FILTER_DELETE}
        return deletes and one.request["scope"].items() <= add.request["scope"].items()

    def _twice(self, id_: str, add: Operation) -> None:
        first = self.origins.by_id[id_].operation
        numbers = tuple(one.index for one in (first, add) if one is not None)
        message = f"memory {id_} is the answer of two adds"
        self.origins.anomalies.append(Anomaly(AnomalyKind.ONE_FOR_TWO, message, (id_,), numbers))

    def _doubled(self, id_: str, add: Operation, why: str) -> None:
        others = [origin.id for origin in self.origins.by_id.values() if origin.operation is add]
        message = f"one add has made memory {id_} beside {', '.join(others) or 'none'}: {why}"
        self.origins.anomalies.append(Anomaly(AnomalyKind.DOUBLED_ADD, message, (*others, id_), (add.index,)))

    def _foreign(self, seen: Sighting, adds: list[Operation]) -> None:
        kind, why = AnomalyKind.NEVER_WRITTEN, "no add can have made it"
        if adds:
            kind, why = AnomalyKind.FAILED_TOOK_EFFECT, f"the add #{adds[0].index} that says so was answered as failed"
        numbers = [add.index for add in adds[:1]] + ([seen.operation.index] if seen.operation else [])
        message = f"memory {seen.id} is shown ({seen.state.get('text')!r}), but {why}"
        self.origins.anomalies.append(Anomaly(kind, message, (seen.id,), tuple(numbers)))


def _fits(add: Operation, seen: Sighting) -> bool:
    """Whether a memory seen there can come from this add."""
    if seen.operation is not None and seen.operation.ended is not None and seen.operation.ended < add.started:
        return False
    # What is left of an erased memory tells no ids, though every memory has some.
    return not seen.state.get("scope") or seen.state["scope"] == add.request["scope"]
