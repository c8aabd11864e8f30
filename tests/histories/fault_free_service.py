"""A service without faults in one dictionary, for the checker's own tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.histories.history import EventSeen, Rest, State

__all__ = ["TODAY", "Model", "RefusedError"]

TODAY = "2026-11-27"


class RefusedError(Exception):
    """The request fails with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Model:
    """Memories by id, each with its events; `versions` says whether answers show versions."""

    def __init__(self, *, versions: bool = True) -> None:
        self._versions = versions
        self.memories: dict[str, list[EventSeen]] = {}
        #: The memories that are not deleted.
        self._alive: dict[str, None] = {}

    def add(self, ids: Sequence[str], request: Mapping[str, Any]) -> list[State]:
        """Store the texts of an ADD's request under these ids."""
        for position, (id_, text) in enumerate(zip(ids, request["texts"], strict=True)):
            event: EventSeen = {"id": id_, "event": "ADD", "version": 1, "text": text}
            event |= {"metadata": dict(request["metadata"]), "expiration": request["expiration"]}
            event |= {"superseded_by": None, "scope": dict(request["scope"])}
            event |= {"job": f"job of {ids[0]}", "position": position}
            self.memories[id_] = [event]
            self._alive[id_] = None
        return [{"id": id_, "text": self.last(id_)["text"]} for id_ in ids]

    def update(self, id_: str, request: Mapping[str, Any]) -> State:
        """Do what an UPDATE's request says."""
        if not self.there(id_):
            raise RefusedError(404)
        last = self.last(id_)
        if request.get("if_version", last["version"]) != last["version"]:
            raise RefusedError(412)
        self._next(
            id_,
            text=request.get("text", last["text"]),
            metadata={**last["metadata"], **request.get("metadata", {})},
            expiration=request.get("expiration", last["expiration"]),
        )
        return self.state(id_)

    def supersede(self, old: str, new: str) -> None:
        """Put a new memory in an old one's place, if it still has one."""
        if self.there(old) and self.last(old)["superseded_by"] is None:
            self._next(old, superseded_by=new)

    def delete(self, id_: str) -> None:
        """Delete and blank what it ever said."""
        if not self.there(id_):
            raise RefusedError(404)
        self._next(id_, event="DELETE")
        del self._alive[id_]
        for event in self.memories[id_]:
            event |= {"text": "", "metadata": {}}

    def last(self, id_: str) -> EventSeen:
        """Its last event."""
        return self.memories[id_][-1]

    def there(self, id_: str) -> bool:
        """Whether a get shows it."""
        return id_ in self._alive

    def expired(self, id_: str) -> bool:
        """Whether its day has passed."""
        return (self.last(id_)["expiration"] or TODAY) < TODAY

    def current(self, scope: Mapping[str, str], *, superseded: bool = False) -> list[str]:
        """Those of a scope that lists show, expired ones too; with `superseded` also those."""
        return [
            id_
            for id_ in self._alive
            if scope.items() <= self.last(id_)["scope"].items()
            and (superseded or self.last(id_)["superseded_by"] is None)
        ]

    def state(self, id_: str) -> State:
        """As answers show it."""
        last = self.last(id_)
        state: State = {"id": id_, "text": last["text"], "metadata": dict(last["metadata"])}
        state |= {"expiration": last["expiration"], "superseded_by": last["superseded_by"]}
        if self._versions:
            state["version"] = last["version"]
        return state

    def get(self, id_: str) -> State | None:
        """As a get shows it."""
        return self.state(id_) if self.there(id_) else None

    def events_of(self, id_: str) -> list[EventSeen]:
        """Its history."""
        return [event.copy() for event in self.memories.get(id_, [])]

    def rest(self, scopes: Sequence[Mapping[str, str]]) -> Rest:
        """What every reader shows now."""
        totals: Counter[tuple[str, str]] = Counter()
        for id_ in self.current({}):
            scope = self.memories[id_][0]["scope"]
            totals.update((name.removesuffix("_id"), value) for name, value in scope.items())
        return Rest(
            ledger={id_: self.events_of(id_) for id_ in self.memories},
            export={id_: self.events_of(id_) for id_ in self.memories},
            history={id_: self.events_of(id_) for id_ in self.memories},
            get={id_: self.get(id_) for id_ in self.memories},
            lists=[{"scope": scope, "memories": [self.state(id_) for id_ in self.current(scope)]} for scope in scopes],
            totals=[{"kind": kind, "id": name, "total": total} for (kind, name), total in totals.items()],
            searches=list(self._searches()),
            index=[{"id": id_, "version": self.last(id_)["version"]} for id_ in self.current({})],
            pending=0,
        )

    def _searches(self) -> Iterator[dict[str, Any]]:
        for id_ in self.current({}):
            word = self.last(id_)["text"].split()[-1]
            yield {"scope": self.memories[id_][0]["scope"], "query": word, "memories": [self.state(id_)]}

    def _next(self, id_: str, **changes: Any) -> None:
        last = self.last(id_)
        event: Any = {**last, "event": "UPDATE", "version": last["version"] + 1, **changes}
        self.memories[id_].append(event)
