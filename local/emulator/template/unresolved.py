"""Values of a template that cannot be known here: an export of another stack, a parameter without a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Stands for a value that cannot be known on this machine, and says why."""

    reason: str

    def __repr__(self) -> str:
        return self.reason


def reasons_in(value: Any) -> list[str]:
    """Return why parts of a value are not known; nothing if all are."""
    if isinstance(value, Unresolved):
        return [value.reason]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [reason for item in items for reason in reasons_in(item)]
