"""The ids that a request names, for the audit list: what checks an id notes it for the request that it belongs to."""

from __future__ import annotations

from contextvars import ContextVar

from forgetless.domain.audit import MOST_IDS

__all__ = ["NamedIds", "begin_named_ids", "note_id"]

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
