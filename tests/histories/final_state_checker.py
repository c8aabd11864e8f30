"""Checks that all readers agree in the final state: ledger, export, history, get, lists, totals, searches, index.

The ledger is the measure. Whether it holds what was acknowledged is checked with each memory's calls.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.histories.anomalies import Anomaly, AnomalyKind
from tests.histories.history import EventSeen, History, Kind, State
from tests.histories.memory_origins import Origin
from tests.histories.register import legible, seen
from tests.histories.search_checker import words_of

__all__ = ["disagreements"]

Scope = Mapping[str, str]


def disagreements(history: History, origins: Mapping[str, Origin]) -> Iterator[Anomaly]:
    """Return every disagreement in the final state; none if the state or its ledger was not read."""
    if history.rest is not None and history.rest.ledger is not None:
        yield from _AtRest(history, origins, history.rest.ledger).all()


class _AtRest:
    def __init__(
        self, history: History, origins: Mapping[str, Origin], ledger: Mapping[str, Sequence[EventSeen]]
    ) -> None:
        assert history.rest is not None
        self._history = history
        self._rest = history.rest
        self._origins = origins
        self._ledger = ledger
        self._last = {id_: events[-1] for id_, events in ledger.items() if events}
        self._present = {id_: event for id_, event in self._last.items() if event.get("event") != "DELETE"}
        self._live = {id_: event for id_, event in self._present.items() if event.get("superseded_by") is None}

    def all(self) -> Iterator[Anomaly]:
        yield from self._contiguous()
        yield from self._doubled()
        yield from self._facts()
        for name, reader in (("export", self._rest.export), ("history", self._rest.history)):
            if reader is not None:
                yield from self._histories(name, reader)
        if self._rest.get is not None:
            yield from self._get(self._rest.get)
        for part in self._rest.lists or ():
            yield from self._list(part["scope"], part["memories"])
        for part in self._rest.searches or ():
            yield from self._search(part["scope"], part["query"], part["memories"])
        if self._rest.totals is not None:
            yield from self._totals(self._rest.totals)
        if self._rest.index is not None:
            yield from self._index(self._rest.index)
        if self._rest.pending:
            yield Anomaly(AnomalyKind.INDEX_WRONG, f"the ledger calls {self._rest.pending} memories not yet indexed")

    def _contiguous(self) -> Iterator[Anomaly]:
        for id_, events in self._ledger.items():
            numbers = [event.get("version", place) for place, event in enumerate(events, 1)]
            kinds = [event.get("event") for event in events]
            if numbers != list(range(1, len(events) + 1)) or kinds[:1] != ["ADD"] or "DELETE" in kinds[:-1]:
                told = ", ".join(f"{kind} {number}" for kind, number in zip(kinds, numbers, strict=True))
                yield Anomaly(
                    AnomalyKind.VERSIONS_NOT_CONTIGUOUS, f"the ledger's events of memory {id_}: {told}", (id_,)
                )

    def _doubled(self) -> Iterator[Anomaly]:
        """Find two memories of one job and position."""
        places: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
        for id_, events in self._ledger.items():
            if events and "job" in events[0]:
                places[events[0]["job"], events[0].get("position", 0)].append(id_)
        for (job, position), ids in places.items():
            if len(ids) > 1:
                message = f"job {job} has several memories at position {position}: {', '.join(ids)}"
                yield Anomaly(AnomalyKind.DOUBLED_ADD, message, tuple(ids))

    def _facts(self) -> Iterator[Anomaly]:
        """Find an extracted text that is current twice in one exact scope."""
        facts: defaultdict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = defaultdict(list)
        for id_ in self._live:
            origin = self._origins.get(id_)
            extracted = origin is not None and origin.operation is not None and origin.operation.request.get("infer")
            texts = {one.get("text") for one in self._ledger[id_]}
            if origin is not None and extracted and texts == {origin.text}:
                facts[origin.text, tuple(sorted(origin.scope.items()))].append(id_)
        for (text, scope), ids in facts.items():
            if len(ids) > 1:
                message = f"{text!r} was extracted twice in {dict(scope)}: {', '.join(ids)}"
                yield Anomaly(AnomalyKind.FACT_TWICE, message, tuple(ids))

    def _histories(self, name: str, reader: Mapping[str, Sequence[EventSeen]]) -> Iterator[Anomaly]:
        for id_ in sorted({*self._ledger, *reader}):
            mine, theirs = self._ledger.get(id_, ()), reader.get(id_, ())
            gone = bool(mine) and id_ not in self._present
            if any(map(legible, theirs)) and gone:
                yield Anomaly(AnomalyKind.ERASED_LEGIBLE, f"the {name} tells words of deleted memory {id_}", (id_,))
            elif len(mine) != len(theirs) or not all(map(_same, mine, theirs)):
                message = f"ledger and {name} disagree on memory {id_}: {_events(mine)} and {_events(theirs)}"
                yield Anomaly(AnomalyKind.READERS_DISAGREE, message, (id_,))

    def _get(self, reader: Mapping[str, State | None]) -> Iterator[Anomaly]:
        for id_, state in reader.items():
            mine = self._present.get(id_)
            if (mine is None) != (state is None) or (mine and state and not _same(mine, state)):
                kind = (
                    AnomalyKind.ERASED_LEGIBLE if id_ in self._last and mine is None else AnomalyKind.READERS_DISAGREE
                )
                yield Anomaly(kind, f"ledger and get disagree on memory {id_}: {mine} and {state}", (id_,))

    def _list(self, scope: Scope, memories: Sequence[State]) -> Iterator[Anomaly]:
        ids = Counter(state["id"] for state in memories)
        for id_, times in ids.items():
            if times > 1:
                yield Anomaly(
                    AnomalyKind.LISTED_TWICE, f"the list of {dict(scope)} has memory {id_} {times} times", (id_,)
                )
        expected = {id_ for id_ in self._live if scope.items() <= self._scope(id_).items()}
        for id_ in sorted(expected - ids.keys()):
            yield Anomaly(AnomalyKind.READERS_DISAGREE, f"the list of {dict(scope)} lacks memory {id_}", (id_,))
        for state in memories:
            if state["id"] not in expected or not _same(self._live[state["id"]], state):
                message = f"the list of {dict(scope)} shows {state}, the ledger has {self._last.get(state['id'])}"
                yield Anomaly(self._kind_of_shown(state), message, (state["id"],))

    def _kind_of_shown(self, state: State) -> AnomalyKind:
        gone = state["id"] in self._last and state["id"] not in self._present
        return AnomalyKind.ERASED_LEGIBLE if gone else AnomalyKind.READERS_DISAGREE

    def _search(self, scope: Scope, query: str, memories: Sequence[State]) -> Iterator[Anomaly]:
        found = {state["id"] for state in memories}
        word = query.casefold()
        for id_, event in self._live.items():
            says_so = word in words_of(event.get("text", ""))
            if says_so and id_ not in found and scope.items() <= self._scope(id_).items():
                yield Anomaly(AnomalyKind.INDEX_WRONG, f"a search for {query!r} does not find memory {id_}", (id_,))
        for state in memories:
            mine = self._live.get(state["id"])
            if mine is None or not _same(mine, state):
                message = f"a search for {query!r} shows {state}, the ledger has {self._last.get(state['id'])}"
                yield Anomaly(self._kind_of_shown(state), message, (state["id"],))
            elif state.get("words", 0) > 0 and self._updated_away(mine, word):
                message = f"the index finds memory {state['id']} by {query!r}, which it says no longer"
                yield Anomaly(AnomalyKind.INDEX_WRONG, message, (state["id"],))

    def _updated_away(self, event: EventSeen, word: str) -> bool:
        """Whether it says a word no longer that came by an update (an add's may stand in others' rows, as context)."""
        if word in words_of(event.get("text", "")):
            return False
        operations = self._history.operations
        updates = [one for one in operations if one.kind is Kind.UPDATE and one.request["id"] == event["id"]]
        added = [text for one in operations if one.kind is Kind.ADD for text in one.request["texts"]]
        updated = [one.request.get("text", "") for one in updates]
        return any(word in words_of(text) for text in updated) and not any(word in words_of(text) for text in added)

    def _totals(self, totals: Sequence[Mapping[str, Any]]) -> Iterator[Anomaly]:
        counted: Counter[tuple[str, str]] = Counter()
        for id_ in self._live:
            counted.update((name.removesuffix("_id"), value) for name, value in self._scope(id_).items())
        told = {(one["kind"], one["id"]): one["total"] for one in totals}
        for kind, name in sorted({*counted, *told}):
            mine, theirs = counted[kind, name], told.get((kind, name), 0)
            if mine != theirs:
                message = f"{kind} {name} has {mine} live memories in the ledger, and {theirs} by the entities' totals"
                yield Anomaly(AnomalyKind.TOTAL_WRONG, message)

    def _index(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[Anomaly]:
        held = defaultdict(set)
        for row in rows:
            held[row["id"]].add((row["version"], row.get("hash")))
        for id_ in sorted({*held, *self._live}):
            mine = self._live.get(id_)
            versions = {version for version, _ in held[id_]}
            if versions != ({mine.get("version")} if mine else set()):
                theirs = _brief(self._last.get(id_))
                message = f"the index holds versions {sorted(versions)} of memory {id_}, the ledger {theirs}"
                yield Anomaly(AnomalyKind.INDEX_WRONG, message, (id_,))
            elif mine and {hash_ for _, hash_ in held[id_]} - {None, _md5(mine.get("text", ""))}:
                message = f"the index's row of memory {id_} is not made of {mine.get('text')!r}"
                yield Anomaly(AnomalyKind.INDEX_WRONG, message, (id_,))

    def _scope(self, id_: str) -> Scope:
        if "scope" in self._last[id_]:
            return self._last[id_]["scope"]
        return self._origins[id_].scope if id_ in self._origins else {}


def _same(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Return whether two readers agree on the fields that both show."""
    one, other = seen(mine), seen(theirs)
    kinds = mine.get("event", theirs.get("event")) == theirs.get("event", mine.get("event"))
    return kinds and all(other[key] == value for key, value in one.items() if key in other)


def _events(events: Sequence[EventSeen]) -> str:
    return "[" + ", ".join(_brief(event) for event in events) + "]"


def _brief(event: EventSeen | None) -> str:
    if event is None:
        return "nothing"
    shown: Mapping[str, Any] = event
    return " ".join(str(shown[key]) for key in ("event", "version", "text", "metadata") if key in shown)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
