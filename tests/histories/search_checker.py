"""Checks searches: each must show a memory that was reported as indexed before and was live and matching meanwhile.

It also checks what no list or search may show in any order: an id twice, or a memory of another scope.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.histories.anomalies import Anomaly, AnomalyKind
from tests.histories.history import History, Kind, Operation, Outcome
from tests.histories.linearizability import Call
from tests.histories.memory_origins import Origin
from tests.histories.register import Add, Update

__all__ = ["badly_shown", "missed", "words_of"]

_WORD = re.compile(r"\w+")


def words_of(text: str) -> set[str]:
    """The words of a text."""
    return set(_WORD.findall(text.casefold()))


def badly_shown(history: History, origins: Mapping[str, Origin]) -> Iterator[Anomaly]:
    """Ids that stand twice in a list or search, and memories of a scope that was not asked for."""
    for operation in history.operations:
        if operation.kind not in {Kind.LIST, Kind.SEARCH} or operation.outcome is not Outcome.OK:
            continue
        seen: set[str] = set()
        for state in operation.answer.get("memories", ()):
            id_ = state["id"]
            if id_ in seen:
                yield _about(AnomalyKind.LISTED_TWICE, f"#{operation.index} shows memory {id_} twice", id_, operation)
            seen.add(id_)
            scope = origins[id_].scope if id_ in origins else state.get("scope")
            if scope is not None and not operation.request["scope"].items() <= scope.items():
                message = f"#{operation.index} shows memory {id_}, whose scope is {dict(scope)}"
                yield _about(AnomalyKind.FOREIGN_SCOPE, message, id_, operation)


def _about(kind: AnomalyKind, message: str, id_: str, operation: Operation) -> Anomaly:
    return Anomaly(kind, message, (id_,), (operation.index,))


def missed(history: History, origins: Mapping[str, Origin], calls: Mapping[str, Sequence[Call]]) -> Iterator[Anomaly]:
    """Searches for one word that lack a memory which they had to show."""
    by_word: dict[str, list[_Claims]] = {}
    for claim in [claim for id_ in origins if (claim := _Claims.of(origins[id_], calls[id_])) is not None]:
        for word in claim.words:
            by_word.setdefault(word, []).append(claim)
    today = str(history.settings.get("today", ""))
    for operation in history.operations:
        query = operation.request.get("query", "").casefold()
        if operation.kind is not Kind.SEARCH or operation.outcome is not Outcome.OK or operation.ended is None:
            continue
        shown = {state["id"] for state in operation.answer["memories"]}
        if len(shown) >= operation.request.get("limit", math.inf):
            continue
        for claim in by_word.get(query, ()):
            id_, scope = claim.origin.id, claim.origin.scope
            within = operation.request["scope"].items() <= scope.items()
            if within and id_ not in shown and claim.holds(operation, query, today):
                message = f"#{operation.index} looks for {query!r} and does not find memory {id_}, which says so"
                yield _about(AnomalyKind.SEARCH_MISSES, message, id_, operation)


@dataclass(frozen=True, slots=True)
class _Claims:
    """The changes of a memory that was called indexed at least once."""

    origin: Origin
    changes: Sequence[Call]
    words: frozenset[str]

    @classmethod
    def of(cls, origin: Origin, calls: Sequence[Call]) -> _Claims | None:
        changes = [call for call in calls if not call.step.reads and not _without_effect(call)]
        claimed = [call for call in changes if _claims(call)]
        if not claimed:
            return None
        return cls(origin, changes, frozenset(word for call in claimed for word in words_of(_text(call))))

    def holds(self, search: Operation, word: str, today: str) -> bool:
        """Whether the search had to show it: its last change said so, and no other can have come after that."""
        assert search.ended is not None
        begun = [call for call in self.changes if call.started <= search.ended]
        last = max(begun, key=lambda call: call.started, default=None)
        if last is None or not _claims(last) or word not in words_of(_text(last)):
            return False
        if any(call.ended >= (last.started if call is not last else search.started) for call in begun):
            return False
        return bool(search.request.get("show_expired")) or self._unexpired(begun, today)

    def _unexpired(self, begun: Sequence[Call], today: str) -> bool:
        """Whether no change so far can have set a day that has passed."""
        return all((_expiration(call) or today) >= today for call in begun)


def _claims(call: Call) -> bool:
    """Whether the call's answer called the memory, with a text of its own, indexed."""
    told = call.operation is not None and call.operation.answer.get("indexed") is True
    return told and call.ended < math.inf and bool(_text(call))


def _text(call: Call) -> str:
    if isinstance(call.step, Add):
        return call.step.text
    return str(call.step.changes.get("text", "")) if isinstance(call.step, Update) else ""


def _expiration(call: Call) -> str | None:
    if isinstance(call.step, Add):
        return call.step.expiration
    return call.step.changes.get("expiration") if isinstance(call.step, Update) else None


def _without_effect(call: Call) -> bool:
    """A change that was answered as refused is no change."""
    return call.operation is not None and call.operation.outcome is Outcome.FAILED
