"""CountingLedger: passes every call on to a real ledger, and counts calls by method and rows that lists returned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from forgetless.ports.ledger import Ledger

__all__ = ["CountingLedger"]


class CountingLedger:
    """See `forgetless.ports.ledger.Ledger`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.calls: Counter[str] = Counter()
        #: Rows by method.
        self.rows: Counter[str] = Counter()
        #: The limits that were asked for.
        self.limits: list[int] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)
        return self._counted(name, found) if callable(found) else found

    def clear(self) -> None:
        """Begin to count again."""
        self.calls.clear()
        self.rows.clear()
        self.limits.clear()

    def _counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.calls[name] += 1
            if name in {"list_memories", "jobs", "documents", "entities"}:
                self.limits.append(named["limit"])
            answer = method(*arguments, **named)
            items = getattr(answer, "items", None)
            if isinstance(items, tuple):
                self.rows[name] += len(items)
            elif name in {"jobs", "documents"}:
                self.rows[name] += len(answer[0])
            return answer

        return counted
