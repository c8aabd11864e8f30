"""Generates histories of a service without faults: overlapping random operations, each with one moment of effect.

A moment is drawn for every effect, the effects are done one after the other on one dictionary, and each answer tells
what was there at its moment. So the history is right by construction.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tests.histories.fault_free_service import TODAY, Model, RefusedError
from tests.histories.history import History, Kind, Operation, Outcome

__all__ = ["SCOPES", "Shape", "run"]

SCOPES: tuple[dict[str, str], ...] = ({"user_id": "ann"}, {"user_id": "ben"}, {"user_id": "ben", "run_id": "r1"})
WEIGHTS = {
    "add": 8,
    "supersede": 4,
    "update": 22,
    "delete": 4,
    "scope_delete": 1,
    "filter_delete": 1,
    "get": 16,
    "list": 8,
    "search": 10,
    "history": 6,
    "export": 1,
}
_READS = {Kind.GET, Kind.LIST, Kind.SEARCH, Kind.HISTORY, Kind.EXPORT}

#: Does something, and returns what that adds to the answer; raises RefusedError.
Effect = Callable[[], dict[str, Any]]
Drawn = tuple[dict[str, Any], list[Effect]]


@dataclass(frozen=True, slots=True)
class Shape:
    """How a run looks: `unknown` is the share of changes without an answer."""

    operations: int
    clients: int = 5
    unknown: float = 0.1
    #: Whether answers tell versions.
    versions: bool = True
    #: Memories of a scope beyond which clients delete instead of adding.
    full: int = 6


@dataclass(slots=True)
class _Planned:
    client: int
    kind: Kind
    request: dict[str, Any]
    started: float
    ended: float
    outcome: Outcome
    answer: dict[str, Any] = field(default_factory=dict)


def run(seed: int, shape: Shape) -> History:
    """Return a valid history."""
    return _Run(seed, shape).history()


class _Run:
    def __init__(self, seed: int, shape: Shape) -> None:
        self._seed = seed
        self._shape = shape
        self._chance = random.Random(seed)
        self._model = Model(versions=shape.versions)
        self._words = 0
        #: What clients know of, from answers: nobody asks for any other.
        self._met: dict[str, None] = {}
        #: Effects to come, of operations that have begun.
        self._coming: list[tuple[float, int, _Planned, Effect]] = []

    def history(self) -> History:
        free_at = [0.0] * self._shape.clients
        done: list[_Planned] = []
        for number in range(self._shape.operations):
            client = min(range(len(free_at)), key=free_at.__getitem__)
            # The client that is free first begins next, so operations are planned in the order of their starts.
            started = free_at[client]
            self._pass(until=started)
            planned = self._plan(number, client, started)
            free_at[client] = planned.ended + self._chance.uniform(0.001, 0.2)
            done.append(planned)
        self._pass(until=float("inf"))
        operations = tuple(_recorded(index, planned) for index, planned in enumerate(done))
        return History(self._seed, {"today": TODAY}, operations, (), self._model.rest(SCOPES))

    def _pass(self, *, until: float) -> None:
        """Let what has come take effect."""
        self._coming.sort(key=lambda one: one[:2])
        while self._coming and self._coming[0][0] <= until:
            _, _, planned, effect = self._coming.pop(0)
            try:
                planned.answer |= effect()
            except RefusedError as error:
                planned.answer["status"] = error.status
                if planned.outcome is Outcome.OK:
                    planned.outcome = Outcome.FAILED

    def _answer(self, planned: _Planned) -> dict[str, Any]:
        """The client learns what the answer shows."""
        if planned.outcome is Outcome.OK:
            shown = [*planned.answer.get("memories", ()), *planned.answer.get("events", ())]
            self._met.update(dict.fromkeys(one["id"] for one in shown))
        return {}

    def _plan(self, number: int, client: int, started: float) -> _Planned:
        chance = self._chance
        kind, (request, effects) = self._drawn()
        ended = started + chance.uniform(0.01, 1.0)
        unknown = kind not in _READS and chance.random() < self._shape.unknown
        planned = _Planned(client, kind, request, started, ended, Outcome.UNKNOWN if unknown else Outcome.OK)
        if not unknown or chance.random() < 0.6:
            # What is not answered may also happen later, or never.
            late = chance.uniform(0, 5) if unknown else 0.0
            moments = sorted(chance.uniform(started, ended + late) for _ in effects)
            self._coming += [(at, number, planned, effect) for at, effect in zip(moments, effects, strict=True)]
            self._coming.append((ended, number, planned, lambda: self._answer(planned)))
        return planned

    def _drawn(self) -> tuple[Kind, Drawn]:
        chance, memories = self._chance, self._model.memories
        scope = chance.choice(SCOPES)
        name = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        known = [id_ for id_ in islice(reversed(self._met), 12) if self._model.there(id_)]
        if name in {"add", "supersede"} and len(self._model.current(scope)) >= self._shape.full:
            name = "scope_delete" if chance.random() < 0.3 else "delete"
        if name in {"update", "delete", "get", "history", "supersede"} and not known:
            name = "add"
        id_ = chance.choice(known) if known else ""
        if chance.random() < 0.05 and self._met:
            id_ = chance.choice(list(islice(reversed(self._met), 100)))
        by_name: dict[str, Callable[[], Drawn]] = {
            "add": lambda: self._add(scope, None),
            "supersede": lambda: self._add(memories[id_][0]["scope"], id_),
            "update": lambda: self._update(id_),
            "delete": lambda: self._delete(id_),
            "scope_delete": lambda: self._scope_delete(scope),
            "filter_delete": lambda: self._filter_delete(scope),
            "get": lambda: ({"id": id_}, [lambda: {"memory": self._model.get(id_)}]),
            "history": lambda: ({"id": id_}, [lambda: {"events": self._model.events_of(id_)}]),
            "list": lambda: self._list(scope),
            "search": lambda: self._search(scope),
            "export": lambda: (
                {},
                [lambda: {"events": [one for id_ in memories for one in self._model.events_of(id_)]}],
            ),
        }
        return Kind.ADD if name == "supersede" else Kind(name), by_name[name]()

    def _word(self) -> str:
        self._words += 1
        return f"w{self._words}"

    def _add(self, scope: Mapping[str, str], old: str | None) -> Drawn:
        chance = self._chance
        texts = [f"Tea is for {self._word()}" for _ in range(2 if chance.random() < 0.2 else 1)]
        ids = [f"m{self._word()}" for _ in texts]
        expiration = chance.choice((None, None, None, "2020-01-01", "2999-01-01"))
        request: dict[str, Any] = {"scope": dict(scope), "texts": texts, "infer": old is not None}
        request |= {"metadata": {"tag": chance.choice("ab")}, "expiration": expiration}
        indexed = chance.random() < 0.9

        def happen() -> dict[str, Any]:
            memories = self._model.add(ids, request)
            if old is None:
                return {"memories": memories, "indexed": indexed}
            self._model.supersede(old, ids[0])
            return {"memories": memories, "indexed": indexed, "supersedes": [[old, ids[0]]]}

        return request, [happen]

    def _update(self, id_: str) -> Drawn:
        chance = self._chance
        request: dict[str, Any] = {"id": id_}
        if chance.random() < 0.5:
            request["text"] = f"Milk is for {self._word()}"
        if chance.random() < 0.4:
            request["metadata"] = {chance.choice(("tag", "k1", "k2")): chance.choice("abc")}
        if len(request) == 1 or chance.random() < 0.2:
            request["expiration"] = chance.choice((None, "2020-01-01", "2999-01-01"))
        if chance.random() < 0.3:
            request["if_version"] = self._model.last(id_)["version"]
        shows = chance.random() < 0.7

        def happen() -> dict[str, Any]:
            state = self._model.update(id_, request)
            return {"memory": state} if shows else {}

        return request, [happen]

    def _delete(self, id_: str) -> Drawn:
        def happen() -> dict[str, Any]:
            self._model.delete(id_)
            return {}

        return {"id": id_}, [happen]

    def _scope_delete(self, scope: dict[str, str]) -> Drawn:
        """Half of the memories at one moment, the others at another."""

        def half(odd: int) -> Effect:
            def happen() -> dict[str, Any]:
                for id_ in self._model.current(scope, superseded=True):
                    if int(id_[2:]) % 2 == odd:
                        self._model.delete(id_)
                return {}

            return happen

        return {"scope": dict(scope)}, [half(0), half(1)]

    def _filter_delete(self, scope: dict[str, str]) -> Drawn:
        """Looks at one moment, and deletes at another what matched then."""
        tag = self._chance.choice("abc")
        found: list[str] = []

        def judge() -> dict[str, Any]:
            there = self._model.current(scope, superseded=True)
            found.extend(id_ for id_ in there if self._model.last(id_)["metadata"]["tag"] == tag)
            return {}

        def carry_out() -> dict[str, Any]:
            for id_ in filter(self._model.there, found):
                self._model.delete(id_)
            return {}

        return {"scope": dict(scope), "metadata": {"tag": tag}}, [judge, carry_out]

    def _list(self, scope: dict[str, str]) -> Drawn:
        expired = self._chance.random() < 0.5
        limit = 100 if self._chance.random() < 0.9 else 3

        def shown() -> dict[str, Any]:
            ids = [id_ for id_ in reversed(self._model.current(scope)) if expired or not self._model.expired(id_)]
            return {"memories": [self._model.state(id_) for id_ in ids[:limit]]}

        return {"scope": dict(scope), "limit": limit, "show_expired": expired}, [shown]

    def _search(self, scope: dict[str, str]) -> Drawn:
        newest = islice(reversed(self._model.memories), 8)
        texts = [text for id_ in newest if (text := self._model.last(id_)["text"])]
        word = self._chance.choice(texts).split()[-1] if texts else "nothing"

        def shown() -> dict[str, Any]:
            ids = [id_ for id_ in self._model.current(scope) if word in self._model.last(id_)["text"].split()]
            return {"memories": [self._model.state(id_) for id_ in ids if not self._model.expired(id_)]}

        return {"scope": dict(scope), "query": word, "limit": 100, "show_expired": False}, [shown]


def _recorded(index: int, planned: _Planned) -> Operation:
    answer = {} if planned.outcome is Outcome.UNKNOWN else {"status": 200, **planned.answer}
    return Operation(
        index=index,
        client=planned.client,
        kind=planned.kind,
        started=planned.started,
        ended=planned.ended,
        outcome=planned.outcome,
        request=planned.request,
        answer=answer,
    )
