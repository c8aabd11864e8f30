"""Records the operations of an episode's clients, in any order, and makes a history of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tests.histories.history import Fault, History, Kind, Operation, Outcome, Rest

__all__ = ["Draft", "Recorder"]


@dataclass(frozen=True, slots=True)
class Draft:
    """An operation that does not have its place in the order yet."""

    client: int
    kind: Kind
    started: float
    ended: float | None
    outcome: Outcome
    request: Mapping[str, Any]
    answer: Mapping[str, Any] = field(default_factory=dict)


class Recorder:
    """A recorder for several threads; times are monotonic seconds of this process."""

    def __init__(self, seed: int, settings: Mapping[str, Any]) -> None:
        self._seed = seed
        self._settings = {**settings, "today": datetime.now(UTC).date().isoformat()}
        self._lock = threading.Lock()
        self._drafts: list[Draft] = []
        self._faults: list[Fault] = []
        #: Adds and deletes by filter that were accepted and whose event has not ended, by the event's id.
        self.waiting: dict[str, Draft] = {}

    @property
    def operations(self) -> int:
        """Return the number of recorded operations."""
        return len(self._drafts)

    @property
    def faults(self) -> int:
        """Return the number of faults that have begun."""
        return self.faults_begun().total()

    def faults_begun(self) -> Counter[str]:
        """Return how often each fault has begun."""
        begun = (fault.action.partition("begin ")[2] for fault in self._faults)
        return Counter(name for name in begun if name)

    def add(self, draft: Draft) -> None:
        """Record an operation that has ended or will not be waited for."""
        with self._lock:
            self._drafts.append(draft)

    def wait_for(self, event: str, draft: Draft) -> None:
        """Note an accepted add or delete; it is recorded when its event has ended."""
        with self._lock:
            self.waiting[event] = draft

    def event_ended(self, event: str, outcome: Outcome, answer: Mapping[str, Any]) -> None:
        """Record the result of an accepted add or delete."""
        with self._lock:
            draft = self.waiting.pop(event, None)
            if draft is not None:
                told = {**draft.answer, **answer}
                self._drafts.append(replace(draft, ended=time.monotonic(), outcome=outcome, answer=told))

    def fault(self, action: str, target: str, **details: Any) -> None:
        """Record an action of the nemesis."""
        with self._lock:
            self._faults.append(Fault(time.monotonic(), action, target, details))

    def drafts(self) -> list[Draft]:
        """Return the operations so far."""
        with self._lock:
            return list(self._drafts)

    def amend(self, change: Mapping[str, Mapping[str, Any]]) -> None:
        """Complete the answers of adds, by the event's id."""
        with self._lock:
            for place, draft in enumerate(self._drafts):
                more = change.get(str(draft.answer.get("event", "")))
                if more:
                    self._drafts[place] = replace(draft, answer={**draft.answer, **more})

    def history(self, rest: Rest | None) -> History:
        """Return the history in the order of the invocations; what still waits is unknown."""
        with self._lock:
            unknown = [replace(draft, outcome=Outcome.UNKNOWN, ended=None) for draft in self.waiting.values()]
            ordered = sorted([*self._drafts, *unknown], key=lambda one: one.started)
            operations = tuple(
                Operation(
                    index=index,
                    client=one.client,
                    kind=one.kind,
                    started=one.started,
                    ended=one.ended,
                    outcome=one.outcome,
                    request=one.request,
                    answer=one.answer,
                )
                for index, one in enumerate(ordered)
            )
            return History(self._seed, self._settings, operations, tuple(self._faults), rest)
