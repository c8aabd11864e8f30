"""MortalLedger: passes calls on to a real ledger until its process dies at one of them, before or after its effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forgetless.ports.ledger import Ledger

__all__ = ["KilledError", "MortalLedger"]


class KilledError(BaseException):
    """The end of a process: no code handles it."""


class MortalLedger:
    """A ledger whose process dies at a call: before it, or (`after`) when it has taken effect."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.calls = 0
        self.deadly: int | None = None
        self.after = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)
        return self._mortal(found) if callable(found) else found

    def _mortal(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            dies = self.calls == self.deadly
            self.calls += 1
            if dies and not self.after:
                raise KilledError
            result = method(*arguments, **named)
            if dies:
                raise KilledError
            return result

        return call
