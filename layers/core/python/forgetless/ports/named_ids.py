"""The ids that a request is about, for the audit list: what checks or finds an id notes it for the current request."""

from __future__ import annotations

from contextvars import ContextVar

from forgetless.domain.audit import MOST_IDS
from forgetless.domain.scope import Scope

__all__ = ["NamedIds", "begin_named_ids", "note_id", "note_scope"]

#: By the name of an id, its values.
NamedIds = dict[str, set[str]]

_named: ContextVar[NamedIds | None] = ContextVar("named_ids", default=None)


def begin_named_ids() -> NamedIds:
    """The ids of the request that begins now; it fills while the request is served, also in other threads."""
    found: NamedIds = {}
    _named.set(found)
    return found


def note_id(name: str, value: str) -> str:
    """The id itself, noted."""
    named = _named.get()
    if named is not None:
        values = named.setdefault(name, set())
        if len(values) < MOST_IDS:
            values.add(value)
    return value


def note_scope(scope: Scope) -> None:
    """Note each id of a scope."""
    for name, value in scope.ids().items():
        note_id(name, value)
