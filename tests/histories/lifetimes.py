"""The lifetime of each memory: from the start of its add until a delete of it was acknowledged."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from tests.histories.history import Kind, Operation, Outcome
from tests.histories.memory_origins import Origin

__all__ = ["Lifetimes", "done"]


def done(operation: Operation) -> float:
    """Return until when an operation can take effect: for ever, unless it was answered."""
    return math.inf if operation.ended is None or operation.outcome is not Outcome.OK else operation.ended


@dataclass(slots=True)
class _Life:
    """The lifetime of one memory; `known` is the time when its add was acknowledged."""

    origin: Origin
    started: float
    known: float
    ended: float = math.inf


@dataclass(slots=True)
class _Crowd:
    """The memories of one exact scope, asked for by operations in the order of their starts."""

    coming: list[_Life]
    there: list[_Life] = field(default_factory=list)

    def during(self, started: float, until: float) -> Iterator[_Life]:
        """Those that can be there at some time between the two; whoever asks next starts no earlier."""
        while self.coming and self.coming[-1].started <= until:
            self.there.append(self.coming.pop())
        self.there = [life for life in self.there if life.ended >= started]
        return (life for life in self.there if life.started <= until)


class Lifetimes:
    """The lifetimes of all memories of a history."""

    def __init__(self, origins: Iterable[Origin], operations: Iterable[Operation]) -> None:
        self._lives = {origin.id: _life(origin) for origin in origins}
        self._gather()
        for operation in sorted(operations, key=attrgetter("started")):
            if done(operation) == math.inf:
                continue
            if operation.kind is Kind.DELETE and operation.request["id"] in self._lives:
                self._end(self._lives[operation.request["id"]], operation)
            elif operation.kind is Kind.SCOPE_DELETE:
                for life in self._during(operation):
                    if life.known < operation.started:
                        self._end(life, operation)
        self._gather()

    def overlap(self, origin: Origin, operation: Operation) -> bool:
        """Return whether the memory can exist while the operation runs."""
        life = self._lives[origin.id]
        return life.started <= done(operation) and operation.started <= life.ended

    def during(self, operation: Operation) -> list[Origin]:
        """Return the memories of the operation's scope that can exist while it runs.

        Call this for operations in the order of their starts.
        """
        return [life.origin for life in self._during(operation)]

    def _during(self, operation: Operation) -> Iterator[_Life]:
        scope: Mapping[str, str] = operation.request.get("scope", {})
        for pairs, crowd in self._crowds.items():
            if scope.items() <= pairs:
                yield from crowd.during(operation.started, done(operation))

    def _gather(self) -> None:
        by_scope: defaultdict[frozenset[tuple[str, str]], list[_Life]] = defaultdict(list)
        for life in sorted(self._lives.values(), key=attrgetter("started"), reverse=True):
            by_scope[frozenset(life.origin.scope.items())].append(life)
        self._crowds = {scope: _Crowd(lives) for scope, lives in by_scope.items()}

    @staticmethod
    def _end(life: _Life, operation: Operation) -> None:
        life.ended = min(life.ended, done(operation))


def _life(origin: Origin) -> _Life:
    if origin.operation is None:
        return _Life(origin, -math.inf, -math.inf)
    return _Life(origin, origin.operation.started, done(origin.operation))
